"""The comparison of engines: its load, and that no engine may find anything else."""

from collections import Counter
from dataclasses import replace

import pytest

from bench.interpreter import EVENTS, require_same
from bench.interpreter_engine import ENGINES, INTERPRETER, Compared, Measured, measure_here
from bench.interpreter_load import CHECKED, make
from content.model import Operator

LOAD = make(40, 3000)


def engine(name: str) -> Compared:
    """An engine with the load's content, ready."""
    made = ENGINES[name](LOAD)
    made.make_ready()
    return made


@pytest.fixture(scope="module")
def expected() -> list[tuple[int, int]]:
    """What the interpreter finds."""
    return engine(INTERPRETER).matches(range(len(LOAD.texts)))


@pytest.mark.parametrize("name", sorted(set(ENGINES) - {INTERPRETER}))
def test_every_engine_finds_the_same(name: str, expected: list[tuple[int, int]]) -> None:
    """A peer that does less, or something else, would be compared."""
    compared = engine(name)
    rows = range(2900, len(LOAD.texts))
    assert sorted(compared.matches(rows)) == [pair for pair in expected if pair[0] in rows]
    assert sorted(compared.matches(range(50))) == [pair for pair in expected if pair[0] < 50]


def test_one_event_in_a_thousand_matches_and_those_to_be_checked_often(
    expected: list[tuple[int, int]],
) -> None:
    """An engine that never has to decide would look fast, and agree with all others."""
    timed = [row for row, _ in expected if row < LOAD.timed]
    assert timed == [0, 1000, 2000]
    assert len(expected) - len(timed) == CHECKED // 3


def test_content_has_the_shape_it_is_said_to_have() -> None:
    """Figures would be of content that nobody has."""
    shapes: Counter[str] = Counter()
    instances = make(1000, 0).channel_file.instances
    for instance in instances:
        criteria = instance.clauses[0].criteria
        shapes["expression"] += any(one.operator is Operator.REGEX for one in criteria)
        shapes["negated"] += any(one.negated for one in criteria)
        shapes["common part"] += sum(one.operator is Operator.CONTAINS for one in criteria[1:])
        shapes["several"] += len(criteria[0].values) > 1
    assert shapes == {"expression": 100, "negated": 100, "common part": 500, "several": 250}


def test_engines_that_differ_end_the_benchmark() -> None:
    """A wrong engine's figures would be published."""
    found = [(0, 1), (1000, 2), (EVENTS + 3, 4)]
    own = Measured(1.0, 1, [1.0], EVENTS, found)
    cut_off = replace(own, timed=1000, pairs=[(0, 1), (EVENTS + 3, 4)])
    require_same({INTERPRETER: own, "cut off": cut_off}, EVENTS)
    for wrong in (found[:2], [*found, (EVENTS + 4, 4)], [(0, 2), *found[1:]]):
        with pytest.raises(RuntimeError, match="differ"):
            require_same({INTERPRETER: own, "wrong": replace(own, pairs=wrong)}, EVENTS)


class Hungry:
    """An engine that takes 64 MiB while it is made ready and gives them back."""

    batch = 100

    def make_ready(self) -> None:
        """Take them."""
        bytearray(64 * 2**20)[:: 2**12] = b"x" * 2**14

    def matches(self, rows: range) -> list[tuple[int, int]]:
        """One for each event."""
        return [(row, 0) for row in rows]


def test_memory_is_what_was_taken_at_its_peak() -> None:
    """An engine that needs much while it compiles would look frugal."""
    result = measure_here(Hungry(), LOAD, passes=2, seconds=60)
    assert 60 * 2**20 < result.memory < 80 * 2**20
    assert result.timed == LOAD.timed
    assert len(result.costs) == 2 * LOAD.timed / 100
    assert len(result.pairs) == len(LOAD.texts)


def test_an_engine_that_takes_too_long_gets_no_more_events() -> None:
    """The slowest peer would decide how long the benchmark takes."""
    result = measure_here(Hungry(), LOAD, passes=1, seconds=0)
    assert result.timed == 100
    assert len(result.pairs) == 100 + CHECKED
