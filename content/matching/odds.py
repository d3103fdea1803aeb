"""How often a pattern is found in ordinary texts, and what it takes to look for it: estimates.

Content is priced before anybody has seen its events, so this guesses from the pattern alone: how
frequent each byte is in texts that are known to be common, as if bytes came independently, and that
a literal that is part of such a text is found in many events. For prices only: what is found by
which index is decided by `Pattern.bits`, and what matches by neither.
"""

from collections import Counter
from dataclasses import dataclass

from content.matching.pattern import ORDINARY_TEXTS, Pattern, without_slack
from content.regex_subset import (
    Alternation,
    ByteSet,
    End,
    Node,
    Repeat,
    Sequence,
    Start,
    matches_empty,
    positions,
)

ORDINARY_TEXT_BYTES = 100
"""Of a command line; paths are shorter, and arguments may be much longer."""

SHARE_OF_COMMON = 0.6
SHARE_OF_COMMON_ANCHORED = 0.25
"""In so many texts a common literal is found, anywhere or at an end."""

LEAST_SHARE_OF_A_BYTE = 0.001

LITERAL_BYTES = 3
"""From so many bytes on, a literal spares a matcher the rest of the expression nearly always."""

UNITS_PER_TEXT_WITHOUT_LITERAL = 20
"""For a matcher that has to follow an expression through every text."""

UNITS_TO_COMPILE_LITERAL = 20_000
UNITS_TO_COMPILE_EXPRESSION = 700_000
UNITS_TO_COMPILE_WITHOUT_LITERAL = 8_000_000
UNITS_TO_COMPILE_POSITION = 50_000

RISKY_REPEATS = 16
"""From so many repeats of a class on, RE2's automaton may grow beyond its memory."""

_COUNTED = Counter(b"".join(ORDINARY_TEXTS).lower())
_TOTAL = _COUNTED.total()
SHARES = {
    value: max(LEAST_SHARE_OF_A_BYTE, _COUNTED[value] / _TOTAL)
    for value in range(256)
    if bytes([value]) == bytes([value]).lower()
}
"""Share of each byte in ordinary text, letters in either case counted as small ones."""


@dataclass(frozen=True, slots=True)
class Odds:
    """What to expect of one pattern.

    hits: ends of matches that a matcher reports per text. share: of texts that match, 0 to 1.
    """

    hits: float
    share: float


def odds_of(pattern: Pattern) -> Odds:
    """How often a pattern is found in ordinary texts of its field."""
    if pattern.matches_empty:
        return Odds(0.0, 1.0)
    if isinstance(pattern.body, bytes):
        return _literal(pattern.body.lower(), anchored=pattern.at_start or pattern.at_end)
    share = _share(without_slack(pattern.body)) * ORDINARY_TEXT_BYTES
    return Odds(share, min(1.0, share))


def units_to_search(pattern: Pattern) -> float:
    """Work of a matcher per text, hits apart, that it would not have without this pattern."""
    return UNITS_PER_TEXT_WITHOUT_LITERAL if lacks_literal(pattern) else 0.0


def units_to_compile(pattern: Pattern) -> float:
    """Work to make a matcher ready for this pattern, once."""
    if isinstance(pattern.body, bytes):
        return UNITS_TO_COMPILE_LITERAL
    units = UNITS_TO_COMPILE_EXPRESSION
    if lacks_literal(pattern):
        units += UNITS_TO_COMPILE_WITHOUT_LITERAL
        units += UNITS_TO_COMPILE_POSITION * positions(pattern.body)
    return units


def lacks_literal(pattern: Pattern) -> bool:
    """Whether it is an expression that can match without any literal worth looking for."""
    return not isinstance(pattern.body, bytes) and _longest_literal(pattern.body) < LITERAL_BYTES


def is_risky(node: Node, before: tuple[frozenset[int], ...] = ()) -> bool:
    """Whether RE2 may have to follow many positions at once, as in `a[ab]{200}`.

    That needs a class that is repeated often, within which the expression can begin anew: nothing
    of what stands before it (by its bytes) ends a repetition that is under way.
    """
    match node:
        case Repeat():
            inner = _bytes(node.item)
            counts = (node.maximum or node.minimum) >= RISKY_REPEATS and not _is_letter(inner)
            if counts and before and all(one & inner for one in before):
                return True
            again = node.maximum is None or node.maximum > 1
            return is_risky(node.item, (*before, inner) if again else before)
        case Sequence():
            for item in node.items:
                if is_risky(item, before):
                    return True
                if not matches_empty(item):
                    before = (*before, _bytes(item))
        case Alternation():
            return any(is_risky(option, before) for option in node.options)
    return False


def _bytes(node: Node) -> frozenset[int]:
    """All bytes that occur in a node; none for a start or end."""
    match node:
        case ByteSet():
            return node.members
        case Repeat():
            return _bytes(node.item)
        case Sequence():
            return frozenset().union(*map(_bytes, node.items))
        case Alternation():
            return frozenset().union(*map(_bytes, node.options))
    return frozenset()


def _literal(folded: bytes, *, anchored: bool) -> Odds:
    share = ORDINARY_TEXT_BYTES ** (not anchored)
    for value in folded:
        share *= SHARES[value]
    if any(folded in text.lower() for text in ORDINARY_TEXTS):
        share = max(share, SHARE_OF_COMMON_ANCHORED if anchored else SHARE_OF_COMMON)
    return Odds(share, min(1.0, share))


def _share(node: Node) -> float:
    """How probable a match is that begins at a given byte; a start or end is one of many bytes."""
    match node:
        case ByteSet():
            return min(1.0, sum(SHARES[value] for value in node.members if value in SHARES))
        case Repeat():
            return _share(node.item) ** node.minimum
        case Sequence():
            share = 1.0
            for item in node.items:
                share *= _share(item)
            return share
        case Alternation():
            return min(1.0, sum(map(_share, node.options)))
        case Start() | End():
            return 1.0 / ORDINARY_TEXT_BYTES


def _longest_literal(node: Node) -> int:
    """Bytes of the longest literal without which there is no match; of its shortest spelling."""
    match node:
        case ByteSet():
            return int(_is_literal(node))
        case Repeat():
            return _literal_bytes(node) or (_longest_literal(node.item) if node.minimum else 0)
        case Sequence():
            return _longest_run(node)
        case Alternation():
            return min(map(_longest_literal, node.options))
    return 0


def _longest_run(node: Sequence) -> int:
    longest = run = 0
    for item in node.items:
        size = _literal_bytes(item)
        run = run + size if size else 0
        longest = max(longest, run, _longest_literal(item))
    return longest


def _literal_bytes(node: Node) -> int:
    """Bytes of a node that is nothing but literals, else 0; the shortest of alternatives."""
    match node:
        case ByteSet():
            return int(_is_literal(node))
        case Repeat():
            return node.minimum * _literal_bytes(node.item)
        case Sequence():
            sizes = list(map(_literal_bytes, node.items))
            return sum(sizes) if all(sizes) else 0
        case Alternation():
            return min(map(_literal_bytes, node.options))
    return 0


def _is_literal(node: Node) -> bool:
    return isinstance(node, ByteSet) and _is_letter(node.members)


def _is_letter(members: frozenset[int]) -> bool:
    """Whether it is one byte, or one letter of ASCII in either case."""
    return len(set(bytes(members).lower())) == 1
