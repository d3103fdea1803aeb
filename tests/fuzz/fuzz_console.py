"""Any bytes are refused as a form or a signed release of the console, or are one."""

from collections.abc import Iterator
from contextlib import suppress

from cloud import presigned
from cloud.console.forms import MULTIPART, URLENCODED, read
from cloud.errors import ContentStateError, RequestError
from cloud.signing import SigningKey
from tests.fuzz.target import Target

KEY = SigningKey.generate()
TRUSTED = [KEY.trusted()]
KINDS = (URLENCODED, f"{MULTIPART}; boundary=x")


def one_input(data: bytes) -> None:
    """Read it as each of them."""
    for kind in KINDS:
        with suppress(RequestError):
            read(kind, data)
    with suppress(ContentStateError):
        release = presigned.read(data, TRUSTED)
        assert TRUSTED[0].signed_channel_file(release.signed)


def seeds() -> Iterator[bytes]:
    """Forms with and without a file, and a release."""
    yield b"token=t&reason=caf%C3%A9&sure=yes"
    yield (
        b'--x\r\nContent-Disposition: form-data; name="token"\r\n\r\nt\r\n'
        b'--x\r\nContent-Disposition: form-data; name="release"; filename="a"\r\n\r\n{}\r\n'
        b"--x--\r\n"
    )
    yield presigned.write(b"payload", KEY)


TARGET = Target(one_input, seeds, quick_runs=50_000, max_bytes=2048)
