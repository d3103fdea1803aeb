"""The next certificate, asked for in an open session when half of this one's life is over.

The new key is made here and leaves the host as little as any other. What comes back counts once it
was checked and is on the disk, from the next connection on: the open session goes on with the old
one. What fails is tried again, later each time, for as long as the session lasts.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import grpc
import grpc.aio

from agent.backoff import Backoff
from agent.link.credentials import Credentials, Pair
from agent.link.errors import CloudError, CredentialsError, LinkError, refusal
from agent.link.limits import LIMITS
from agent.link.log import say
from agent.link.sensor import Sensor
from agent.link.signing_request import new_request, proof_of
from agent.link.stub import Stub
from bulkhead.v1 import sensor_service_pb2

SPREAD = 0.1
"""Of a certificate's life: renewals of hosts that joined together come apart."""


def due(pair: Pair, chance: float) -> datetime:
    """When to ask for the next certificate; chance: a number in [0, 1)."""
    return pair.begins + (pair.ends - pair.begins) * (0.5 + SPREAD * chance)


class Renewal:
    """Runs beside a session; `run` ends with the session only."""

    def __init__(
        self,
        credentials: Credentials,
        sensor: Sensor,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._credentials = credentials
        self._sensor = sensor
        self._now = now
        self._chance = random.random()  # noqa: S311  spread, no secret
        self._backoff = Backoff(
            LIMITS.renewal_first_seconds, LIMITS.renewal_cap_seconds, random.random
        )
        self._note(sensor.certificate.because)

    async def run(self, stub: Stub) -> None:
        """Renew whenever it is due, in a session that is open."""
        while True:
            # Looked at again and again, since a host that slept has another time than it thinks.
            await asyncio.sleep(self._pause())
            if self._now() < due(self._credentials.pair, self._chance):
                continue
            because = await self._try(stub)
            self._note(because)
            if not because:
                self._backoff.reset()
            await asyncio.sleep(self._backoff.next_delay())

    def _pause(self) -> float:
        left = (due(self._credentials.pair, self._chance) - self._now()).total_seconds()
        return min(max(left, 0.0), LIMITS.renewal_look_seconds)

    async def _try(self, stub: Stub) -> str:
        """One renewal; the reason why there was none, or nothing."""
        try:
            await self._renew(stub)
        except grpc.aio.AioRpcError as error:
            reason, text = refusal(error.code().name, error.details())
            return self._failed(reason, f"{reason}: {text}")
        except LinkError as error:
            return self._failed(error.reason, str(error))
        except OSError as error:
            return self._failed("CERTIFICATE_STORE", f"CERTIFICATE_STORE: {error.strerror}")
        say(f"certificate renewed, good until {self._credentials.pair.ends.isoformat()}")
        return ""

    async def _renew(self, stub: Stub) -> None:
        old = self._credentials.pair
        signer = old.signing_key()
        if signer is None:
            raise CredentialsError("RENEWAL_KEY", "only an elliptic-curve key can be renewed")
        key, request = new_request(*old.names)
        response: object = await stub.RenewCertificate(
            sensor_service_pb2.RenewCertificateRequest(
                signing_request=request, proof=proof_of(signer, request)
            ),
            timeout=LIMITS.renewal_seconds,
        )
        if not isinstance(response, sensor_service_pb2.RenewCertificateResponse):
            raise CloudError("RENEWAL_ANSWER", "the cloud has not answered with a certificate")
        if len(response.certificate_chain) > LIMITS.certificate_bytes:
            raise CloudError("RENEWAL_ANSWER", "the new certificate is too large")
        self._credentials.replace(response.certificate_chain, key, self._now())

    def _failed(self, reason: str, text: str) -> str:
        if reason != self._sensor.certificate.because:
            say(f"certificate not renewed, trying again: {text}")
        return reason

    def _note(self, because: str) -> None:
        note = self._sensor.certificate
        ends = int(self._credentials.pair.ends.timestamp())
        self._sensor.certificate = replace(note, ends=ends, because=because)
