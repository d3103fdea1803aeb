r"""Expression trees written in the dialects of the matchers.

Only what all dialects agree on is written: bytes as \xHH, explicit byte classes, groups that
capture nothing, counted repeats. So no dialect's idea of `\d`, `.`, `$` or folding case comes in.
"""

import string
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from content.matching.column import SEPARATOR, STAND_IN
from content.matching.pattern import Pattern, without_slack
from content.regex_subset import Alternation, ByteSet, End, Node, Repeat, Sequence, Start

_PLAIN = frozenset(string.ascii_letters.encode() + b"0123456789/_")

RE2_MOST_REPEATS = 1000
"""RE2 refuses nested repeats whose counts multiply to more; then the outer one is written out."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one matcher wants its expressions.

    adapt: the members that a byte class must have so that it means the same there.
    """

    adapt: Callable[[frozenset[int]], frozenset[int]]
    start: bytes
    end: bytes


def for_joined(pattern: Pattern) -> bytes:
    r"""For a scan over `column.Joined.buffer`, case of literals being folded by the matcher.

    No byte of the pattern matches a separator, so no match spans two texts; anchors become the
    separator that is there. Exact for all rows that aren't `ambiguous`.
    """
    if not isinstance(pattern.body, bytes):
        return _write(without_slack(pattern.body), _JOINED)
    literal = pattern.body.replace(bytes([SEPARATOR]), bytes([STAND_IN]))
    return _anchored(b"".join(map(_byte, literal)), pattern, _JOINED)


def for_single_texts(pattern: Pattern) -> bytes:
    """For RE2 on one text, in Latin-1; case is folded here, because RE2 would fold more."""
    if not isinstance(pattern.body, bytes):
        return _write(pattern.body, _SINGLE)
    written = (_byte_class(_spellings(value, pattern)) for value in pattern.body)
    return _anchored(b"".join(written), pattern, _SINGLE)


def _anchored(written: bytes, pattern: Pattern, dialect: Dialect) -> bytes:
    start = dialect.start if pattern.at_start else b""
    end = dialect.end if pattern.at_end else b""
    return start + written + end


def _spellings(value: int, pattern: Pattern) -> frozenset[int]:
    one = bytes([value])
    return frozenset(one if pattern.case_sensitive else one.lower() + one.upper())


def _write(node: Node, dialect: Dialect) -> bytes:
    match node:
        case ByteSet():
            return _byte_class(dialect.adapt(node.members))
        case Start():
            return dialect.start
        case End():
            return dialect.end
        case Repeat():
            return _repeated(b"(?:%b)" % _write(node.item, dialect), node)
        case Sequence():
            return b"".join(_write(item, dialect) for item in node.items)
        case Alternation():
            return b"(?:%b)" % b"|".join(_write(option, dialect) for option in node.options)


def _repeated(item: bytes, node: Repeat) -> bytes:
    least, most = node.minimum, node.maximum
    if _most_repeats(node) > RE2_MOST_REPEATS:
        return item * least + (item + b"*" if most is None else (item + b"?") * (most - least))
    if most is None:
        return item + (b"{%d,}" % least if least > 1 else _UNBOUNDED[least])
    return item + b"{%d,%d}" % (least, most)


def _most_repeats(node: Node) -> int:
    """The largest product of the counts of repeats within repeats."""
    match node:
        case Repeat():
            return max(node.minimum, node.maximum or 1) * _most_repeats(node.item)
        case Sequence():
            return max(map(_most_repeats, node.items))
        case Alternation():
            return max(map(_most_repeats, node.options))
    return 1


def _byte(value: int) -> bytes:
    return bytes([value]) if value in _PLAIN else b"\\x%02x" % value


@lru_cache(maxsize=4096)
def _byte_class(members: frozenset[int]) -> bytes:
    if not members:
        raise ValueError("a byte class without members")
    if len(members) == 1:
        return _byte(*members)
    written = [b"["]
    for first, last in _runs(sorted(members)):
        written.append(_byte(first) if first == last else b"%b-%b" % (_byte(first), _byte(last)))
    return b"".join([*written, b"]"])


def _runs(values: list[int]) -> list[tuple[int, int]]:
    """Rising numbers as ranges of neighbours."""
    runs: list[tuple[int, int]] = []
    for value in values:
        if runs and value == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], value)
        else:
            runs.append((value, value))
    return runs


@lru_cache(maxsize=4096)
def _without_separator(members: frozenset[int]) -> frozenset[int]:
    """Zero bytes of texts are stood in for, so a class with one of the two has the stand-in."""
    if SEPARATOR not in members:
        return members
    return (members - {SEPARATOR}) | {STAND_IN}


def _as_is(members: frozenset[int]) -> frozenset[int]:
    return members


_UNBOUNDED = (b"*", b"+")
_JOINED = Dialect(_without_separator, start=rb"\x00", end=rb"\x00")
_SINGLE = Dialect(_as_is, start=rb"\A", end=rb"\z")
