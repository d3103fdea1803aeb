"""From an offer to a sealed memfd, without looking into the payload.

    1. the size that was offered, against the limit; every byte while it arrives, against the
       length that the targets metadata name
    2. the envelope, strictly; the payload inside stays bytes
    3. SHA-256 of the payload against the hash that was offered, length and hashes against the
       targets metadata
    4. a memfd that nobody can change any more, for the supervisor, who checks the signatures

What fails 1 to 3 raises `FetchRefusedError`, which becomes an acknowledgement with state
undelivered: no verdict on content. A connection that breaks raises grpc's own error.
"""

import fcntl
import hashlib
import os
from collections.abc import AsyncIterable
from dataclasses import dataclass

from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import TargetFile

from agent.link.errors import FetchRefusedError
from agent.link.limits import LIMITS
from agent.link.reports import text
from agent.link.verifier import DeliveryReason
from bulkhead.v1 import report_pb2, sensor_service_pb2
from content.channel_file import load_envelope
from content.problems import ContentError
from content.reasons import Reason

HASH_MISMATCH = "HASH_MISMATCH"
"""Reason code: the payload is not the one that was offered."""

SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


@dataclass(frozen=True, slots=True)
class Fetched:
    """A payload that has the offered hash, and the signatures of its envelope.

    signatures: pairs of a key's id and hexadecimal digits. Whether they are good, only the
    supervisor can say.
    """

    payload: bytes
    signatures: tuple[tuple[str, str], ...] = ()


def require_acceptable(offer: sensor_service_pb2.Offer) -> None:
    """Step 1, before anything is fetched."""
    if offer.size_bytes > LIMITS.fetch_bytes:
        raise FetchRefusedError(
            Reason.FILE_TOO_LARGE,
            "offer.size_bytes",
            f"{offer.size_bytes} bytes",
            f"at most {LIMITS.fetch_bytes} bytes",
        )


async def collect(
    pieces: AsyncIterable[sensor_service_pb2.FetchChannelFileResponse], payload_bytes: int
) -> bytes:
    """Step 1, while it arrives."""
    limit = min(payload_bytes + LIMITS.envelope_bytes, LIMITS.fetch_bytes)
    data = bytearray()
    async for piece in pieces:
        data += piece.chunk
        if len(data) > limit:
            raise FetchRefusedError(
                Reason.FILE_TOO_LARGE,
                "envelope",
                f"more than {limit} bytes",
                f"at most {limit} bytes",
            )
    return bytes(data)


def open_envelope(data: bytes, offered_hash: bytes, target: TargetFile) -> Fetched:
    """Steps 2 and 3."""
    try:
        envelope = load_envelope(data)
    except ContentError as error:
        first = error.problems[0]
        raise FetchRefusedError(first.reason, first.place, first.found, first.expected) from error
    found = hashlib.sha256(envelope.payload).digest()
    if found != offered_hash:
        raise FetchRefusedError(HASH_MISMATCH, "payload", found.hex(), offered_hash.hex())
    try:
        target.verify_length_and_hashes(envelope.payload)
    except LengthOrHashMismatchError as error:
        raise FetchRefusedError(
            DeliveryReason.TARGET_MISMATCH, "payload", str(error), "what the targets metadata name"
        ) from error
    signatures = envelope.signatures[: LIMITS.signatures]
    return Fetched(envelope.payload, tuple((one.key_id, one.signature.hex()) for one in signatures))


def sealed_memfd(payload: bytes) -> int:
    """Step 4: a descriptor, owned by the caller; OSError where there is no memory for it."""
    descriptor = os.memfd_create("channel-file", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        left = memoryview(payload)
        while left:
            left = left[os.write(descriptor, left) :]
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def refusal(content_hash: bytes, error: FetchRefusedError) -> report_pb2.ContentAcknowledgement:
    """What the cloud is told."""
    return report_pb2.ContentAcknowledgement(
        content_hash=content_hash,
        state=report_pb2.CONTENT_STATE_UNDELIVERED,
        problems=[
            report_pb2.Problem(
                reason_code=error.reason,
                place=text(error.place),
                found=text(error.found),
                expected=text(error.expected),
            )
        ],
    )
