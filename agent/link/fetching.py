"""From an offer to a sealed memfd, without looking into the payload.

    1. the size that was offered, and every byte while it arrives, against the limit
    2. the envelope, strictly; the payload inside stays bytes
    3. SHA-256 of the payload against the hash that was offered
    4. a memfd that nobody can change any more, for the supervisor, who checks the signature

What fails 1 to 3 raises `FetchRefusedError`, which becomes an acknowledgement with state rejected.
A connection that breaks is no verdict on content and raises grpc's own error.
"""

import fcntl
import hashlib
import os
from collections.abc import AsyncIterable
from dataclasses import dataclass

from agent.link.errors import FetchRefusedError
from agent.link.limits import LIMITS
from agent.link.reports import text
from bulkhead.v1 import report_pb2, sensor_service_pb2
from content.channel_file import load_envelope
from content.problems import ContentError
from content.reasons import Reason

HASH_MISMATCH = "HASH_MISMATCH"
"""Reason code: the payload is not the one that was offered."""

SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


@dataclass(frozen=True, slots=True)
class Fetched:
    """A payload that has the offered hash, and the first signature of its envelope, if any.

    signature: hexadecimal digits. Whether it is good, only the supervisor can say.
    """

    payload: bytes
    key_id: str = ""
    signature: str = ""


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
    pieces: AsyncIterable[sensor_service_pb2.FetchChannelFileResponse],
) -> bytes:
    """Step 1, while it arrives."""
    data = bytearray()
    async for piece in pieces:
        data += piece.chunk
        if len(data) > LIMITS.fetch_bytes:
            raise FetchRefusedError(
                Reason.FILE_TOO_LARGE,
                "envelope",
                f"more than {LIMITS.fetch_bytes} bytes",
                f"at most {LIMITS.fetch_bytes} bytes",
            )
    return bytes(data)


def open_envelope(data: bytes, offered_hash: bytes) -> Fetched:
    """Steps 2 and 3."""
    try:
        envelope = load_envelope(data)
    except ContentError as error:
        first = error.problems[0]
        raise FetchRefusedError(first.reason, first.place, first.found, first.expected) from error
    found = hashlib.sha256(envelope.payload).digest()
    if found != offered_hash:
        raise FetchRefusedError(HASH_MISMATCH, "payload", found.hex(), offered_hash.hex())
    if not envelope.signatures:
        return Fetched(envelope.payload)
    signature = envelope.signatures[0]
    return Fetched(envelope.payload, signature.key_id, signature.signature.hex())


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
        state=report_pb2.CONTENT_STATE_REJECTED,
        problems=[
            report_pb2.Problem(
                reason_code=error.reason,
                place=text(error.place),
                found=text(error.found),
                expected=text(error.expected),
            )
        ],
    )
