"""What is looked for in a text, in a form that every matcher understands.

Values of criteria become `Pattern`s: text without choices stays bytes, globs and regular
expressions are trees of `content.regex_subset`. Case is folded for ASCII letters only.
"""

import math
from dataclasses import dataclass

from content.matching import glob
from content.model import Criterion, Operator, Value
from content.regex_subset import (
    Alternation,
    ByteSet,
    End,
    Node,
    Repeat,
    Sequence,
    Start,
    matches_empty,
    parse,
)

LITERAL_OPERATORS = frozenset(
    {Operator.EQUALS, Operator.STARTS_WITH, Operator.ENDS_WITH, Operator.CONTAINS}
)

BITS_PER_BYTE = 5.0
"""How much a given byte of a text says at most, in bits: texts are far from random."""

BITS_PER_ANCHOR = 3.0
BITS_OF_ORDINARY_TEXT = 4.0

RARE_BITS = 20.0
"""A literal of an expression that says so much is worth searching for in its stead."""

ORDINARY_TEXTS = (
    b"/bin/bash /usr/bin/bash -c /bin/sh /usr/bin/sh /usr/bin/dash /usr/bin/python3 -m python3.11",
    b"/usr/sbin/ /usr/local/bin/ /usr/local/sbin/ /usr/lib/ /usr/libexec/ /usr/share/ /lib/systemd",
    b"/etc/ /home/ /root/ /tmp/ /var/tmp/ /var/lib/ /var/log/ /var/run/ /run/user/ /opt/ /proc/",
    b"/dev/null /dev/shm/ /sys/ --help --version -- .conf .so .py .sh .txt .json .log .tmp http://",
    b"sudo su ssh sshd cron git node java perl awk sed grep cat ls cp mv rm find env curl root",
)
"""A literal that is part of one of these is common, however long it is."""

_ORDINARY = b"\n".join(ORDINARY_TEXTS)


@dataclass(frozen=True, slots=True)
class Pattern:
    """Something to be found anywhere in a text, unless it is anchored.

    body: a literal, or an expression, which itself says where it is anchored and which case counts.
    at_start, at_end: anchors of a literal.
    case_sensitive: where False, ASCII letters of a literal match in either case; True for
    expressions.
    """

    body: bytes | Node
    at_start: bool = False
    at_end: bool = False
    case_sensitive: bool = False

    @property
    def matches_empty(self) -> bool:
        """Whether it matches without any byte of the text; such a pattern can't be searched for."""
        return not self.body if isinstance(self.body, bytes) else matches_empty(self.body)

    @property
    def bits(self) -> float:
        """A guess how rare it is: found in one of 2 ** bits texts."""
        if not isinstance(self.body, bytes):
            return _information(self.body)
        folded = self.body.lower()
        if folded in _ORDINARY:
            return BITS_OF_ORDINARY_TEXT + self.at_start + self.at_end
        return BITS_PER_BYTE * len(folded) + BITS_PER_ANCHOR * (self.at_start + self.at_end)


def patterns_of(criterion: Criterion) -> tuple[Pattern, ...]:
    """One pattern per value of a criterion on text.

    Raises ContentError where an expression is outside the subset, TypeError where a value is not
    text and ValueError for an operator that compares no text.
    """
    return tuple(_pattern(criterion, value) for value in criterion.values)


def _pattern(criterion: Criterion, value: Value) -> Pattern:
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} is not text")
    operator, exact = criterion.operator, criterion.case_sensitive
    if operator in LITERAL_OPERATORS:
        at_start = operator in (Operator.EQUALS, Operator.STARTS_WITH)
        at_end = operator in (Operator.EQUALS, Operator.ENDS_WITH)
        return Pattern(value, at_start, at_end, exact)
    if operator is Operator.GLOB:
        return _of_tree(glob.parse(value, case_sensitive=exact), case_sensitive=exact)
    if operator is Operator.REGEX:
        return _of_tree(parse(value, case_sensitive=exact), case_sensitive=exact)
    raise ValueError(f"{operator.name} compares no text")


def _of_tree(node: Node, *, case_sensitive: bool) -> Pattern:
    """The pattern of an expression; a plain literal, anchored or not, is recognised."""
    items = list(_flat(node))
    at_start, at_end = isinstance(items[0], Start), isinstance(items[-1], End)
    literal = bytearray()
    for item in items[at_start : len(items) - at_end]:
        letter = _one_byte(item, case_sensitive=case_sensitive)
        if letter is None:
            return Pattern(node, case_sensitive=True)
        literal.append(letter)
    return Pattern(bytes(literal), at_start, at_end, case_sensitive)


def _one_byte(node: Node, *, case_sensitive: bool) -> int | None:
    """The byte that a node stands for, folded case apart; None where it is something else."""
    if not isinstance(node, ByteSet):
        return None
    spellings = node.members if case_sensitive else frozenset(bytes(node.members).lower())
    return min(spellings) if len(spellings) == 1 else None


def _flat(node: Node) -> tuple[Node, ...]:
    """The items of a sequence, those of sequences within it included."""
    if not isinstance(node, Sequence):
        return (node,)
    return tuple(item for part in node.items for item in _flat(part))


def _information(node: Node) -> float:
    """A guess how much a match says, in bits."""
    match node:
        case ByteSet():
            return min(BITS_PER_BYTE, math.log2(256 / len(node.members)))
        case Repeat():
            return node.minimum * _information(node.item)
        case Sequence():
            return sum(map(_information, node.items))
        case Alternation():
            return min(map(_information, node.options))
        case Start() | End():
            return BITS_PER_ANCHOR


def needle(pattern: Pattern) -> Pattern:
    """What to search for where what is found is decided exactly afterwards.

    It is in every text that the pattern is in: of an expression, the longest literal that each of
    its matches contains, if that is rare. A matcher compiles and finds a literal at a small part of
    an expression's cost.
    """
    if isinstance(pattern.body, bytes):
        return pattern
    literal = Pattern(max(_literals(pattern.body), key=len))
    return literal if literal.bits >= RARE_BITS else pattern


def _literals(node: Node) -> list[bytes]:
    """The literals, in lower case, that are in every match of an expression; some are empty."""
    found = [bytearray()]
    for item in _flat(node):
        letter = _one_byte(item, case_sensitive=False)
        if letter is None:
            found.append(bytearray())
        else:
            found[-1].append(letter)
    return [bytes(literal) for literal in found]


def without_slack(node: Node) -> Node:
    """An expression that is found in the same texts, without loose ends that match needlessly.

    Where only the existence of a match counts, `a.*`, `.*a` and `a+` are as good as `a`: a matcher
    that reports every end of every match would report them for byte after byte. `^.*a` is `a`.
    """
    return _trimmed(_trimmed(node, first=True), first=False)


def _trimmed(node: Node, *, first: bool) -> Node:
    """Without slack at its first or last edge."""
    match node:
        case Repeat():
            return Repeat(node.item, node.minimum, node.minimum) if node.minimum else node
        case Alternation():
            return Alternation(tuple(_trimmed(option, first=first) for option in node.options))
        case Sequence():
            return _trimmed_sequence(list(_flat(node)), first=first)
    return node


def _trimmed_sequence(items: list[Node], *, first: bool) -> Node:
    edge, beside = (0, 1) if first else (-1, -2)
    while len(items) > 1 and _is_slack(items[edge], items[beside]):
        del items[edge]
    items[edge] = _trimmed(items[edge], first=first)
    return Sequence(tuple(items))


def _is_slack(node: Node, beside: Node) -> bool:
    """Whether a match of what is beside it is as good; an anchor counts unless `.*` follows."""
    if isinstance(node, Start | End):
        return _is_any_bytes(beside)
    return matches_empty(node)


def _is_any_bytes(node: Node) -> bool:
    return node == glob.ANY_BYTES
