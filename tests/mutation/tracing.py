"""Which test executes which statements of the targets, and how much CPU time it takes for that.

The tests run once, without a mutant, in as many processes as there are workers; a mutant is then
judged by the tests that execute its statement, quickest first.
"""

import json
import os
import time
from collections import defaultdict
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import is_hypothesis_test

from tests.mutation.importing import import_from, probed, set_probe
from tests.mutation.mutants import Mutant
from tests.mutation.session import forked, run_pytest

Place = tuple[str, int]
"""Path of a target and the line on which a statement of a function begins."""


class TestsFailError(Exception):
    """The tests fail without any mutant: nothing can be said of them."""


@dataclass(slots=True)
class Trace:
    """What the tests do without a mutant.

    seconds: CPU time by test, of those that ran. tests: by place. collected: places that collecting
    the tests executes. left_out: tests that were collected and not run.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)
    tests: dict[Place, set[str]] = field(default_factory=lambda: defaultdict(set))
    collected: set[Place] = field(default_factory=set)

    def of_statement(self, mutant: Mutant) -> list[str]:
        """Tests that execute a mutant's statement, quickest first."""
        return self._quickest_first([(mutant.path, mutant.line)])

    def of_module(self, path: str) -> list[str]:
        """Tests that execute anything in a target, quickest first."""
        return self._quickest_first(place for place in self.tests if place[0] == path)

    def is_collected(self, mutant: Mutant) -> bool:
        """Whether collecting the tests already executes a mutant's statement."""
        return (mutant.path, mutant.line) in self.collected

    def _quickest_first(self, places: Iterable[Place]) -> list[str]:
        found: set[str] = set()
        for place in places:
            found |= self.tests.get(place, set())
        return sorted(found, key=lambda test: (self.seconds[test], test))


def trace(paths: Sequence[str], scratch: Path, workers: int, *, properties: bool) -> Trace:
    """Run the tests on targets with probes; without `properties`, not those of hypothesis."""
    files = [scratch / f"trace-{number}.json" for number in range(workers)]
    pids = []
    for number, file in enumerate(files):
        tracer = _Tracer(paths, slice(number, None, workers), properties=properties)
        pids.append(forked(partial(tracer.write, file)))
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    if any(codes):
        raise TestsFailError("tests fail as they are, without a mutant: run pytest first")
    found = Trace()
    for file in files:
        _merge(found, json.loads(file.read_text(encoding="utf-8")))
    return found


def _merge(into: Trace, written: dict[str, Any]) -> None:
    into.seconds |= written["seconds"]
    for test, places in written["places"].items():
        for path, line in places:
            into.tests[path, line].add(test)
    into.left_out |= set(written["left_out"])
    into.collected |= {(path, line) for path, line in written["collected"]}


class _Tracer:
    """A pytest plugin that notes what each test executes."""

    def __init__(self, paths: Sequence[str], share: slice, *, properties: bool) -> None:
        self._paths = paths
        self._share = share
        self._properties = properties
        self._current: set[Place] = set()
        self._collected = self._current
        self._places: dict[str, set[Place]] = {}
        self._seconds: dict[str, float] = {}
        self._left_out: list[str] = []

    def write(self, file: Path) -> int:
        """Run the tests, write what was found and return pytest's exit status."""
        set_probe(self._executed)
        for path in self._paths:
            import_from(path, partial(probed, path))
        code = run_pytest(self)
        found = {
            "seconds": self._seconds,
            "places": {test: sorted(places) for test, places in self._places.items()},
            "left_out": self._left_out,
            "collected": sorted(self._collected),
        }
        file.write_text(json.dumps(found), encoding="utf-8")
        return code

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        if not self._properties:
            left_out = [item for item in items if is_hypothesis_test(item.obj)]
            self._left_out = [item.nodeid for item in left_out]
            items[:] = [item for item in items if item not in left_out]
        items[:] = items[self._share]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        self._current = self._places[item.nodeid] = set()
        began = time.process_time()
        result = yield
        self._seconds[item.nodeid] = time.process_time() - began
        return result

    def _executed(self, path: str, line: int) -> None:
        self._current.add((path, line))
