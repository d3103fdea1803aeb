"""Any bytes are refused as a form or a signed release of the console, or are one."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from tuf.api.metadata import Metadata, Targets

from cloud import presigned
from cloud.console.forms import MULTIPART, URLENCODED, read
from cloud.errors import ContentStateError, RequestError
from cloud.presigned import Parts
from cloud.revoke import NANOSECONDS, signed_order
from cloud.signing import SigningKey, envelope
from content.signing_domains import RollbackOrder
from tests.fuzz.target import Target

KEY = SigningKey.generate()
TRUSTED = [KEY.trusted()]
NOW_NS = 1_767_225_600_000_000_000
KINDS = (URLENCODED, f"{MULTIPART}; boundary=x")


def one_input(data: bytes) -> None:
    """Read it as each of them."""
    for kind in KINDS:
        with suppress(RequestError):
            read(kind, data)
    with suppress(ContentStateError):
        release = presigned.read(data, TRUSTED, NOW_NS)
        pushed = envelope(release.signed.payload, release.keys)
        assert TRUSTED[0].signed_channel_file(pushed)


def seeds() -> Iterator[bytes]:
    """Forms with and without a file, and a release."""
    yield b"token=t&reason=caf%C3%A9&sure=yes"
    yield (
        b'--x\r\nContent-Disposition: form-data; name="token"\r\n\r\nt\r\n'
        b'--x\r\nContent-Disposition: form-data; name="release"; filename="a"\r\n\r\n{}\r\n'
        b"--x--\r\n"
    )
    order = RollbackOrder(b"h" * 32, 1, 2, 0, "", NOW_NS // NANOSECONDS, 2**40, "")
    targets = Metadata(Targets(version=1, expires=datetime(2030, 1, 1, tzinfo=UTC)))
    targets.sign(KEY.tuf_signer())
    yield Parts(envelope(b"payload", [KEY]), signed_order(order, [KEY]), targets).written()


TARGET = Target(one_input, seeds, quick_runs=50_000, max_bytes=2048)
