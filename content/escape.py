"""Make text that an attacker controls safe to print: one line, no control sequences, no loss.

Process names, paths and arguments may hold any byte. `safe` shows printable characters as they are
and everything else (control characters, newlines, bidirectional overrides, bytes that are not
UTF-8, the backslash itself) as backslash escapes, so that the original can be read back.
"""

MAX_CHARACTERS = 8192
"""Longest text that is shown; the rest is replaced by its length."""

_NOT_UTF8 = range(0xDC80, 0xDD00)
"""What surrogateescape holds for the bytes 0x80 to 0xff where they are not UTF-8."""

_TWO_DIGITS = 0x80
"""From here on two digits stand for a byte, and are never mistaken for a character."""

_FOUR_DIGITS = 0x10000


def safe(value: bytes | str, limit: int = MAX_CHARACTERS) -> str:
    """The value as one printable line of at most about `limit` characters."""
    text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
    shown = "".join(map(_escape, text[:limit]))
    left = len(text) - limit
    return f"{shown}…(+{left} more)" if left > 0 else shown


def _escape(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    code = ord(character)
    if code in _NOT_UTF8:
        return f"\\x{code - _NOT_UTF8.start + 0x80:02x}"
    if code < _TWO_DIGITS:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < _FOUR_DIGITS else f"\\U{code:08x}"
