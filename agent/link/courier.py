"""Fetches what the cloud offers, one after the other, and hands it over to the supervisor.

    1. the metadata of the repository are fetched and verified (agent.link.verifier); what they say
       about keys goes to the supervisor, who verifies it again
    2. what is offered has to be a target of it, of that Template Type and version
    3. the target is fetched and checked (agent.link.fetching), and handed over

What came with the offer, or with the welcome, is not fetched (agent.link.enclosed), unless it turns
out not to be good.

Offers of content that is here already are passed over. A fetch that fails with the connection is
tried again a few times and then left: the cloud offers again after the next hello.
"""

import asyncio
import random
from dataclasses import replace

import grpc
import grpc.aio
from tuf.api.metadata import TargetFile

from agent.backoff import Backoff
from agent.link import enclosed, fetching
from agent.link.errors import CloudError, FetchRefusedError
from agent.link.limits import LIMITS
from agent.link.log import say
from agent.link.mailbox import HandOver, Mailbox
from agent.link.metadata_fetching import Look, MetadataFetcher
from agent.link.reports import HASH_BYTES
from agent.link.sensor import Sensor
from agent.link.stub import Stub
from agent.link.verifier import DeliveryReason, Verifier
from bulkhead.v1 import sensor_service_pb2


class Courier:
    """Belongs to one session."""

    def __init__(self, stub: Stub, sensor: Sensor, verifier: Verifier, mailbox: Mailbox) -> None:
        self._stub = stub
        self._sensor = sensor
        self._verifier = verifier
        self._mailbox = mailbox
        self._fetch_metadata = MetadataFetcher(stub, _backoff())
        self._root_told = 0
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
        self._offers[content_hash] = enclosed.kept(offer)
        self._arrived.set()

    def withdraw(self, content_hash: bytes) -> None:
        """It was revoked: an offer that waits, or is being fetched, is not handed over."""
        self._offers.pop(content_hash, None)

    async def run(self, welcomed: sensor_service_pb2.Enclosed) -> None:
        """Fetch for as long as the session lasts; look for new keys at first and now and then.

        welcomed: what came with the welcome.
        """
        while True:
            try:
                await self._refresh(welcomed)
            except FetchRefusedError as error:
                self._note_refusal("metadata", error)
            await self._serve_offers()
            welcomed = enclosed.NOTHING  # an hour old

    async def _serve_offers(self) -> None:
        """Until nothing was offered for so long that a look at the metadata is due."""
        while True:
            while not self._offers:
                self._arrived.clear()
                try:
                    async with asyncio.timeout(LIMITS.refresh_seconds):
                        await self._arrived.wait()
                except TimeoutError:
                    return
            offer = next(iter(self._offers.values()))
            await self._serve(offer)
            self._offers.pop(offer.content_hash, None)

    async def _serve(self, offer: sensor_service_pb2.Offer) -> None:
        content_hash = offer.content_hash
        try:
            fetching.require_acceptable(offer)
            await self._refresh(offer.enclosed)  # 1
            target = self._target(offer)  # 2
            fetched = await self._fetched(offer, target)  # 3
            if fetched is None or content_hash not in self._offers:
                return
            await self._hand_over(offer, fetched)
        except FetchRefusedError as error:
            self._note_refusal(f"content {content_hash.hex()}", error)
            self._mailbox.post_refusal(fetching.refusal(content_hash, error))

    async def _refresh(self, sent_along: sensor_service_pb2.Enclosed) -> None:
        try:
            await self._verify(sent_along)
        finally:
            # Also where a later step failed: new root metadata count from when they were verified.
            await self._tell_trust()
        note = self._sensor.trust
        self._sensor.trust = replace(note, root=self._verifier.root_version, good=True)

    async def _verify(self, sent_along: sensor_service_pb2.Enclosed) -> None:
        if sent_along.timestamp:
            fetch = enclosed.before_asking(sent_along, self._fetch_metadata)
            try:
                await self._verifier.refresh(fetch)
            except FetchRefusedError as error:
                # They may have been overtaken by newer ones while they waited.
                say(f"metadata that came along: {error}; asking for others")
            else:
                return
        await self._verifier.refresh(Look(self._fetch_metadata))

    async def _tell_trust(self) -> None:
        for fields in self._verifier.records(self._root_told):
            record = HandOver("trust", fields)
            self._mailbox.post_hand_over(record)
            await asyncio.wrap_future(record.done)
            self._root_told = fields["version"]

    def _target(self, offer: sensor_service_pb2.Offer) -> TargetFile:
        target = self._verifier.target(offer.content_hash)
        named = (target.custom or {}).get("template_type"), (target.custom or {}).get("version")
        if named != (offer.template_type, offer.version):
            raise FetchRefusedError(
                DeliveryReason.TARGET_MISMATCH,
                "offer",
                f"Template Type {offer.template_type} version {offer.version}",
                f"Template Type {named[0]!r:.40} version {named[1]!r:.40}",
            )
        return target

    def _note_refusal(self, what: str, error: FetchRefusedError) -> None:
        say(f"refused {what}: {error}")
        note, count = self._sensor.trust, self._sensor.trust.refused + 1
        good = note.good and not error.place.startswith("metadata")
        self._sensor.trust = replace(note, refused=count, because=str(error.reason), good=good)

    async def _fetched(
        self, offer: sensor_service_pb2.Offer, target: TargetFile
    ) -> fetching.Fetched | None:
        name = offer.content_hash
        if sent_along := offer.enclosed.channel_file:
            try:
                return fetching.open_envelope(sent_along, name, target)
            except FetchRefusedError as error:
                say(f"content {name.hex()} that came along: {error}; asking for it")
        data = await self._fetch(name, target.length)
        return None if data is None else fetching.open_envelope(data, name, target)

    async def _fetch(self, content_hash: bytes, payload_bytes: int) -> bytes | None:
        """The envelope as it came, or None where the connection did not let us."""
        request = sensor_service_pb2.FetchChannelFileRequest(content_hash=content_hash)
        backoff = _backoff()
        while True:
            call = self._stub.FetchChannelFile(request, timeout=LIMITS.fetch_seconds)
            try:
                return await fetching.collect(call, payload_bytes)
            except grpc.aio.AioRpcError as error:
                delay = backoff.next_delay()
                say(f"fetching {content_hash.hex()} failed: {error.code().name}")
                if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise _slow() from error
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
                "signatures": [list(one) for one in fetched.signatures],
                "template_type": offer.template_type,
            },
            descriptor=fetching.sealed_memfd(fetched.payload),
        )
        # Before the supervisor can answer: its word, whatever it is, comes after ours.
        self._sensor.note_outcome(offer.content_hash, "received")
        self._mailbox.post_hand_over(content)
        await asyncio.wrap_future(content.done)


def _backoff() -> Backoff:
    return Backoff(LIMITS.reconnect_first_seconds, LIMITS.reconnect_cap_seconds, random.random)


def _slow() -> FetchRefusedError:
    return FetchRefusedError(
        DeliveryReason.TARGET_SLOW,
        "envelope",
        "not whole in time",
        f"all of it within {LIMITS.fetch_seconds:g} s",
    )
