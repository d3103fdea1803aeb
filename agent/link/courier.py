"""Fetches what the cloud offers, one after the other, and hands it over to the supervisor.

Offers of content that is here already are passed over. A fetch that fails with the connection is
tried again a few times and then left: the cloud offers again after the next hello.
"""

import asyncio
import random
from typing import TYPE_CHECKING, TypeAlias

import grpc

from agent.backoff import Backoff
from agent.link import fetching
from agent.link.errors import CloudError, FetchRefusedError
from agent.link.limits import LIMITS
from agent.link.log import say
from agent.link.mailbox import HandOver, Mailbox
from agent.link.reports import HASH_BYTES
from agent.link.sensor import Sensor
from bulkhead.v1 import sensor_service_pb2

if TYPE_CHECKING:  # this class is only in the generated types
    from bulkhead.v1.sensor_service_pb2_grpc import SensorServiceAsyncStub

Stub: TypeAlias = "SensorServiceAsyncStub"


class Courier:
    """Belongs to one session."""

    def __init__(
        self,
        stub: Stub,
        sensor: Sensor,
        mailbox: Mailbox,
    ) -> None:
        self._stub = stub
        self._sensor = sensor
        self._mailbox = mailbox
        self._offers: dict[bytes, sensor_service_pb2.Offer] = {}
        self._arrived = asyncio.Event()

    def offer(self, offer: sensor_service_pb2.Offer) -> None:
        """The cloud has content for us; CloudError where it has lost all measure."""
        content_hash = offer.content_hash
        if len(content_hash) != HASH_BYTES:
            raise CloudError("OFFER_INVALID", f"a hash of {len(content_hash)} bytes")
        if self._sensor.is_here(content_hash):
            return
        if len(self._offers) >= LIMITS.pending_offers:
            raise CloudError("TOO_MANY_OFFERS", f"more than {LIMITS.pending_offers} at once")
        self._offers[content_hash] = offer
        self._arrived.set()

    def withdraw(self, content_hash: bytes) -> None:
        """It was revoked: an offer that waits, or is being fetched, is not handed over."""
        self._offers.pop(content_hash, None)

    async def run(self) -> None:
        """Fetch for as long as the session lasts."""
        while True:
            while not self._offers:
                self._arrived.clear()
                await self._arrived.wait()
            offer = next(iter(self._offers.values()))
            await self._serve(offer)
            self._offers.pop(offer.content_hash, None)

    async def _serve(self, offer: sensor_service_pb2.Offer) -> None:
        try:
            fetching.require_acceptable(offer)
            data = await self._fetch(offer.content_hash)
            if data is None or offer.content_hash not in self._offers:
                return
            await self._hand_over(offer, fetching.open_envelope(data, offer.content_hash))
        except FetchRefusedError as error:
            say(f"refused content {offer.content_hash.hex()}: {error}")
            self._mailbox.post_refusal(fetching.refusal(offer.content_hash, error))

    async def _fetch(self, content_hash: bytes) -> bytes | None:
        """The envelope as it came, or None where the connection did not let us."""
        request = sensor_service_pb2.FetchChannelFileRequest(content_hash=content_hash)
        backoff = Backoff(
            LIMITS.reconnect_first_seconds, LIMITS.reconnect_cap_seconds, random.random
        )
        while True:
            call = self._stub.FetchChannelFile(request, timeout=LIMITS.fetch_seconds)
            try:
                return await fetching.collect(call)
            except grpc.aio.AioRpcError as error:
                delay = backoff.next_delay()
                say(f"fetching {content_hash.hex()} failed: {error.code().name}")
                if backoff.failures >= LIMITS.fetch_tries:
                    return None
            finally:
                call.cancel()
            await asyncio.sleep(delay)

    async def _hand_over(self, offer: sensor_service_pb2.Offer, fetched: fetching.Fetched) -> None:
        content = HandOver(
            "content",
            {
                "hash": offer.content_hash.hex(),
                "key_id": fetched.key_id,
                "signature": fetched.signature,
                "template_type": offer.template_type,
            },
            descriptor=fetching.sealed_memfd(fetched.payload),
        )
        # Before the supervisor can answer: its word, whatever it is, comes after ours.
        self._sensor.note_outcome(offer.content_hash, "received")
        self._mailbox.post_hand_over(content)
        await asyncio.wrap_future(content.done)
