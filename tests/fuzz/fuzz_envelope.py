"""Any bytes are refused as an envelope, or say exactly what they pack back to."""

from collections.abc import Iterator
from contextlib import suppress

from content.channel_file import (
    Envelope,
    Signature,
    SignatureAlgorithm,
    load_envelope,
    pack_envelope,
)
from content.problems import ContentError
from tests.fuzz.target import Target


def one_input(data: bytes) -> None:
    """Load an envelope."""
    with suppress(ContentError):
        assert pack_envelope(load_envelope(data)) == data


def seeds() -> Iterator[bytes]:
    """Envelopes without, with one and with several signatures."""
    signature = Signature("ab" * 32, SignatureAlgorithm.ED25519, bytes(range(64)))
    for count in (0, 1, 3):
        yield pack_envelope(Envelope(b"payload", (signature,) * count))


TARGET = Target(one_input, seeds, quick_runs=100_000, max_bytes=1024)
