"""One engine on one size of content, measured in a process of its own, for `bench.interpreter`.

`measured` starts `python -m bench.interpreter_engine NAME INSTANCES EVENTS PASSES SECONDS`, which
makes the load, makes the engine ready, times events batch by batch (so many passes over all of
them, or until so many seconds are spent) and writes a `Measured` to standard output. Times are the
processor's, of all threads. Memory is how far the resident set grew at its peak since just before
the engine was made ready.
"""

import argparse
import ctypes
import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from bench.harness import CHECKOUT
from bench.interpreter_load import CHECKED, Load, make
from bench.interpreter_peers import Pair, Re2Sets, ReLoop, RuleEngine, Sqlite
from bench.interpreter_yara import YaraRules
from content.interpreter import Interpreter
from content.matching.hyperscan_matcher import HyperscanMatcher
from content.matching.matcher import MatcherFactory
from content.matching.re2_matcher import Re2Matcher

BYTES_PER_KIB = 1024
RESET_PEAK = "5"
"""What /proc/self/clear_refs takes to make the present size the peak."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of it.

    ready: CPU seconds from content to an engine that can evaluate.
    memory: bytes.
    costs: CPU seconds per event, one for each batch.
    timed: how many of the timed events were evaluated at least once.
    pairs: events and instances that match, in the timed events and in those that are only checked.
    """

    ready: float
    memory: int
    costs: list[float]
    timed: int
    pairs: list[Pair]


class Compared(Protocol):
    """What is compared: an engine over the events of a load.

    batch: how many events it takes at once.
    """

    batch: int

    def make_ready(self) -> None:
        """From content to what evaluates."""

    def matches(self, rows: range) -> list[Pair]:
        """All matches in these events."""
        ...


class Bulkhead:
    """The Content Interpreter, on records, in batches as the evaluator reads them."""

    batch = 4096

    def __init__(self, load: Load, matcher: MatcherFactory) -> None:
        self._load = load
        self._matcher = matcher
        self._records = load.records()
        self._numbers = {one.id: n for n, one in enumerate(load.channel_file.instances)}
        self._engine: Interpreter | None = None

    def make_ready(self) -> None:
        """Plan, index and compile."""
        load = self._load
        types = {load.template_type.number: load.template_type}
        self._engine = Interpreter([load.channel_file], types, matcher=self._matcher)

    def matches(self, rows: range) -> list[Pair]:
        """All matches in these events."""
        if self._engine is None:
            raise RuntimeError("not made ready")
        records = self._records[rows.start : rows.stop]
        found = self._engine.evaluate(self._load.template_type, records).matches
        return [(rows.start + one.row, self._numbers[one.instance.id]) for one in found]


INTERPRETER = "interpreter"
ENGINES: dict[str, Callable[[Load], Compared]] = {
    INTERPRETER: lambda load: Bulkhead(load, HyperscanMatcher),
    "interpreter on RE2": lambda load: Bulkhead(load, Re2Matcher),
    "re loop": ReLoop,
    "RE2 sets": Re2Sets,
    "yara-x": YaraRules,
    "rule-engine": RuleEngine,
    "SQL on SQLite": Sqlite,
}
PEERS = tuple(name for name in ENGINES if not name.startswith(INTERPRETER))


def measured(name: str, instances: int, events: int, *, passes: int, seconds: float) -> Measured:
    """Measure an engine in a fresh process."""
    numbers = (str(one) for one in (instances, events, passes, seconds))
    command = [sys.executable, "-m", __spec__.name, name, *numbers]
    ended = subprocess.run(command, check=True, cwd=CHECKOUT, stdout=subprocess.PIPE)
    result = json.loads(ended.stdout)
    pairs = [(event, instance) for event, instance in result.pop("pairs")]
    return Measured(**result, pairs=pairs)


def measure_here(engine: Compared, load: Load, *, passes: int, seconds: float) -> Measured:
    """Measure an engine in this process."""
    _give_memory_back()
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text(RESET_PEAK, encoding="ascii")
    began = time.process_time()
    engine.make_ready()
    ready = time.process_time() - began
    costs, timed, pairs = _timed(engine, load.timed, passes=passes, seconds=seconds)
    memory = _resident("VmHWM") - before
    pairs += engine.matches(range(load.timed, load.timed + CHECKED))
    return Measured(ready, memory, costs, timed, sorted(pairs))


def _timed(
    engine: Compared, events: int, *, passes: int, seconds: float
) -> tuple[list[float], int, list[Pair]]:
    """Costs of the batches, how many events were evaluated, and what the first pass found."""
    costs: list[float] = []
    pairs: list[Pair] = []
    evaluated, spent = 0, 0.0
    for number in range(passes):
        gc.collect()
        for start in range(0, events, engine.batch):
            rows = range(start, min(start + engine.batch, events))
            began = time.process_time()
            found = engine.matches(rows)
            took = time.process_time() - began
            costs.append(took / len(rows))
            spent += took
            if number == 0:
                pairs += found
                evaluated = rows.stop
            if spent > seconds:
                return costs, evaluated, pairs
    return costs, evaluated, pairs


def _give_memory_back() -> None:
    """To the kernel, so that what the engine takes makes the process grow."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def _resident(size: str) -> int:
    """A size of this process in bytes: VmRSS is the present one, VmHWM the peak."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    line = next(one for one in lines if one.startswith(size + ":"))
    return int(line.split()[1]) * BYTES_PER_KIB


def _main() -> None:
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}")
    parser.add_argument("name", choices=ENGINES)
    for number in ("instances", "events", "passes"):
        parser.add_argument(number, type=int)
    parser.add_argument("seconds", type=float)
    asked = parser.parse_args()
    load = make(asked.instances, asked.events)
    engine = ENGINES[asked.name](load)
    result = measure_here(engine, load, passes=asked.passes, seconds=asked.seconds)
    json.dump(asdict(result), sys.stdout)


if __name__ == "__main__":
    _main()
