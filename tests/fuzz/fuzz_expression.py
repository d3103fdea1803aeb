"""Any expression is refused with its position, or matches the same on every engine and by hand.

An input is: a byte whose lowest bit says whether case counts, a byte that says how long the
expression is, the expression, and texts apart by SEPARATOR.
"""

from collections.abc import Iterator

import numpy as np

from content.interpreter import Interpreter
from content.matching.hyperscan_matcher import HyperscanMatcher
from content.matching.re2_matcher import Re2Matcher
from content.model import ChannelFile, Clause, Criterion, Operator
from content.record import encode
from content.regex_subset import ExpressionError, Node, parse, positions
from content.template_type import Rung
from tests.fuzz.target import Target
from tests.unit.content.event_strategies import EVERY_KIND, channel_file
from tests.unit.content.tree_matcher import found_in

TYPES = {EVERY_KIND.number: EVERY_KIND}
FIELD = EVERY_KIND.fields[-1]
SEPARATOR = b"\xfe"
MOST_TEXTS = 6
MOST_POSITIONS = 100
"""Of an expression that is also matched by hand, which takes its time."""


def one_input(data: bytes) -> None:
    """Parse, and compare where it is an expression."""
    flags, size, rest = data[:1], data[1:2], data[2:]
    length = int.from_bytes(size, "big")
    expression, texts = rest[:length], rest[length:].split(SEPARATOR)[:MOST_TEXTS]
    case_sensitive = bool(flags and flags[0] & 1)
    tree = _tree(expression, case_sensitive=case_sensitive)
    if tree is None or positions(tree) > MOST_POSITIONS:
        return
    shortened = [text[: FIELD.capacity] for text in texts]
    expected = [row for row, text in enumerate(shortened) if found_in(tree, text)]
    criterion = Criterion(
        FIELD.number, Operator.REGEX, (expression,), case_sensitive=case_sensitive
    )
    assert _found(channel_file((Clause((criterion,)),)), shortened) == [expected, expected]


def _tree(expression: bytes, *, case_sensitive: bool) -> Node | None:
    try:
        return parse(expression, case_sensitive=case_sensitive)
    except ExpressionError as error:
        if not 1 <= error.position <= len(expression) + 1:
            raise AssertionError(f"{expression!r}: position {error.position}") from error
        return None


def _found(content: ChannelFile, texts: list[bytes]) -> list[list[int]]:
    """The rows that match, on each engine."""
    records = np.concatenate(
        [encode(EVERY_KIND, {FIELD.number: text}, rung=Rung.BPF_BTF) for text in texts]
    )
    engines = [
        Interpreter([content], TYPES, matcher=matcher) for matcher in (HyperscanMatcher, Re2Matcher)
    ]
    return [[one.row for one in engine.evaluate(EVERY_KIND, records).matches] for engine in engines]


def seeds() -> Iterator[bytes]:
    """Each part of the language, and texts that it matches and does not."""
    texts = SEPARATOR.join(
        [b"/bin/bash -c x", b"aaaaaaaaaaaaaaaaaaaaaab", b"\xc3\xa9\n", b"\0", b""]
    )
    expressions = (
        r"a b|c (a|b)+c ^/bin/.*sh$ ^a|b$ [^a-z_]{2,} \d+\.\d{1,3} \x00\xff (a+)+$ (a|aa)+$ "
        r"(?:x?){2,5}y [\w\-]+@ \S\s\D\W \t\n\r\f\v é+ ([ab]*c){3} [\]^-]"
    )
    for number, expression in enumerate(expressions.encode().split()):
        yield bytes([number % 2, len(expression)]) + expression + texts


TARGET = Target(one_input, seeds, quick_runs=10_000, max_bytes=384)
