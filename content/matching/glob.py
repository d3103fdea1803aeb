r"""Globs: `*` is any bytes, `?` is one byte, a backslash takes the next byte literally.

`*` and `?` match a slash as well, brackets mean themselves, and the whole text must match.
"""

from collections.abc import Iterator

from content.regex_subset import (
    ALL_BYTES,
    EXACT,
    FOLDED,
    ByteSet,
    End,
    ExpressionError,
    Node,
    Repeat,
    Sequence,
    Start,
)

ANY_BYTE = ByteSet(ALL_BYTES)
ANY_BYTES = Repeat(ANY_BYTE, 0, None)
_STAR, _QUESTION_MARK, _BACKSLASH = b"*?\\"


def parse(glob: bytes, *, case_sensitive: bool = True) -> Node:
    """The expression that a glob stands for, anchors included.

    case_sensitive: where False, ASCII letters match in either case.

    Raises ExpressionError where it ends in a lone backslash; positions count bytes from 1.
    """
    literals = EXACT if case_sensitive else FOLDED
    items: list[Node] = []
    values = iter(glob)
    for value in values:
        if value == _STAR:
            # Neighbouring stars say no more than one.
            if not items or items[-1] is not ANY_BYTES:
                items.append(ANY_BYTES)
        elif value == _QUESTION_MARK:
            items.append(ANY_BYTE)
        elif value == _BACKSLASH:
            items.append(literals[_escaped(values, glob)])
        else:
            items.append(literals[value])
    return Sequence((Start(), *items, End()))


def _escaped(values: Iterator[int], glob: bytes) -> int:
    value = next(values, None)
    if value is None:
        expected = r"a byte to take literally (\\ is a backslash)"
        raise ExpressionError(len(glob), "a backslash with nothing behind it", expected)
    return value
