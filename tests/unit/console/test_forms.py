"""Forms are read as browsers send them, and in no other way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.console.forms import MULTIPART, URLENCODED, read
from cloud.errors import CloudReason, RequestError

KIND = f"{MULTIPART}; boundary=xYz"


def part(head: bytes, content: bytes) -> bytes:
    """One part of a multipart body."""
    return b"--xYz\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + content + b"\r\n"


def test_both_encodings_give_the_same_fields() -> None:
    """A form with a file would be another one."""
    plain = read(URLENCODED, b"token=t&reason=caf%C3%A9+%26&empty=")
    parts = [(b'name="token"', b"t"), (b'name="reason"', "café &".encode()), (b'name="empty"', b"")]
    mixed = read(KIND, b"".join(part(*one) for one in parts) + b"--xYz--\r\n")
    assert plain.fields == mixed.fields == {"token": "t", "reason": "café &", "empty": ""}
    assert plain.text("reason") == "café &"


@given(st.binary(max_size=200))
def test_a_file_comes_as_it_was_sent(content: bytes) -> None:
    """Signatures would not hold: line ends, or zero bytes, would be changed."""
    if b"\r\n--xYz" in b"\r\n" + content:
        return
    body = part(b'name="release"; filename="a.release"', content) + b"--xYz--\r\n"
    assert read(KIND, body).files == {"release": content}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("", b""),
        ("application/json", b"{}"),
        (URLENCODED, b"a=%FF"),
        (URLENCODED, b"a=1&a=2"),
        (URLENCODED, "a=ü".encode()),
        (URLENCODED, b"&".join(b"f%d=1" % n for n in range(40))),
        (URLENCODED, b"no equals sign"),
        (MULTIPART, b"--xYz--\r\n"),
        (KIND, b""),
        (KIND, part(b'name="a"', b"1")),
        (KIND, b"preamble" + part(b'name="a"', b"1") + b"--xYz--\r\n"),
        (KIND, part(b'name="a"', b"1") + part(b'name="a"', b"2") + b"--xYz--\r\n"),
        (KIND, part(b'name="a"', b"\xff") + b"--xYz--\r\n"),
        (KIND, part(b'filename="a"', b"1") + b"--xYz--\r\n"),
        (KIND, part(b'name="A-B"', b"1") + b"--xYz--\r\n"),
        (KIND, b"".join(part(b'name="f%c"' % (97 + n), b"1") for n in range(20)) + b"--xYz--\r\n"),
    ],
)
def test_what_no_browser_sends_is_refused(kind: str, body: bytes) -> None:
    """Two readers of one form could take it for two orders."""
    with pytest.raises(RequestError) as caught:
        read(kind, body)
    assert caught.value.reason == CloudReason.FORM_INVALID


@given(st.binary(max_size=300))
def test_nothing_else_breaks_it(body: bytes) -> None:
    """Hostile bytes would be an error of ours, and fill the log."""
    for kind in (URLENCODED, KIND):
        try:
            read(kind, body)
        except RequestError:
            continue


def test_a_field_that_is_missing_or_no_number_is_named() -> None:
    """An operator's order would be another one than the form's."""
    form = read(URLENCODED, b"pin=x&paused=no&sure=yes")
    for attempt in (lambda: form.text("token"), lambda: form.number("pin", int)):
        with pytest.raises(RequestError, match=r"token|pin"):
            attempt()
    assert (form.ticked("paused"), form.ticked("sure"), form.ticked("absent")) == (
        False,
        True,
        False,
    )
