"""Escaped text: one line, printable, and it can be read back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.escape import safe

BYTE = re.compile(r"\\(?:\\|x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")


def read_back(shown: str) -> bytes:
    """What `safe` was given."""
    raw, position = b"", 0
    for match in BYTE.finditer(shown):
        raw += shown[position : match.start()].encode()
        if match[1]:
            raw += bytes([int(match[1], 16)])
        elif match[2] or match[3]:
            raw += chr(int(match[2] or match[3], 16)).encode()
        else:
            raw += b"\\"
        position = match.end()
    return raw + shown[position:].encode()


@given(st.binary(max_size=200))
def test_any_bytes_are_one_printable_line_and_can_be_read_back(value: bytes) -> None:
    """A name could forge a line, steer a terminal, or be taken for another name."""
    shown = safe(value)
    assert shown.isprintable()
    assert read_back(shown) == value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"\x1b[31m\n", "\\x1b[31m\\x0a"),
        (b"\x85", "\\x85"),
        ("\x85".encode(), "\\u0085"),
        ("\u202e".encode(), "\\u202e"),
        (b"a\\b", "a\\\\b"),
    ],
)
def test_what_is_escaped_how(value: bytes, shown: str) -> None:
    """A byte that is not UTF-8 and a control character would look alike."""
    assert safe(value) == shown


def test_long_text_is_cut_and_says_so() -> None:
    """A command line of a megabyte would fill the screen."""
    assert safe("a" * 10_000, 100) == "a" * 100 + "…(+9900 more)"
