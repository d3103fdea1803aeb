"""How many evaluators die of a poison instance before it is quarantined, and what does it cost?

A sensor on real probes, with the laboratory's evaluator, which dies in native code of one instance
in a Channel File of 42: while it works on that instance, or in the search of a whole batch, where
nothing but the batch is known and an inquest has to find it. Programs that the poison instance
matches are run, each once protection is back, until it is quarantined. A canary has to be detected
after each death, and another instance of the same file at the end.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.harness import Figure, NotMeasurableError, from_samples, run
from lab.demo.claims import ClaimError, Claims
from lab.demo.steps import Demonstration
from lab.demo.world import World, is_root
from lab.poisoned import scenario
from lab.poisoned.content import BULK_POISON, HARMLESS, ROW_POISON

MANY = 40
RUNS = 3
QUICK_RUNS = 1
KINDS = {ROW_POISON: "on one instance", BULK_POISON: "in a batch"}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one poison instance has cost."""

    deaths: int
    instances: int
    files: int
    aside: int
    down: float


def measure(*, quick: bool) -> list[Figure]:
    """Deaths, instances, files and events that a poison instance costs, the worst of all runs."""
    if not is_root():
        raise NotMeasurableError("needs root, for BPF")
    figures: list[Figure] = []
    for kind, words in KINDS.items():
        costs = [_cost(kind) for _ in range(QUICK_RUNS if quick else RUNS)]
        figures += [
            _worst(f"deaths until quarantine, death {words}", [c.deaths for c in costs], "<= 2"),
            _worst(f"instances lost, death {words}", [c.instances for c in costs], "= 1"),
            _worst(f"Channel Files lost, death {words}", [c.files for c in costs], "= 0"),
            _worst(f"events set aside, death {words}", [c.aside for c in costs], "<= 2"),
            from_samples(
                f"longest time without a worker, death {words}",
                [c.down for c in costs],
                unit="s",
                percent=100,
            ),
        ]
    return figures


def _worst(name: str, samples: list[int], bar: str) -> Figure:
    return from_samples(name, samples, unit="", percent=100, bar=bar)


def _cost(kind: str) -> Cost:
    with _sensor() as demo:
        scenario.push(demo.world, 1, [kind], harmless=MANY)
        found = scenario.until_quarantine(demo, kind, burst=kind == BULK_POISON)
        scenario.protected(demo)
        scenario.detected(demo, f"{HARMLESS}-1", f"{HARMLESS}-1")
    return Cost(
        len(found["deaths"]),
        len(found["content"]["quarantined_instances"]),
        len(found["content"]["quarantine"]),
        _aside(found),
        max(_seconds_down(found)),
    )


def _seconds_down(status: Mapping[str, Any]) -> list[float]:
    """How long no evaluator was there, each time; events wait in the ring meanwhile."""
    return [
        (one["to_unix_ns"] - one["from_unix_ns"]) / 1e9
        for one in status["loss_records"]
        if one["cause"] == "EVALUATOR_DOWN"
    ]


def _aside(status: Mapping[str, Any]) -> int:
    return sum(one["count"] for one in status["losses"] if one["cause"] == "SUSPECT_EVENT")


@contextmanager
def _sensor() -> Iterator[Demonstration]:
    output = Path(tempfile.mkdtemp(prefix="bulkhead-bench-"))
    world = World(output)
    demo = Demonstration(world, Claims(Console(quiet=True)))
    try:
        scenario.start(demo)
        yield demo
    except ClaimError as error:
        raise NotMeasurableError(str(error)) from error
    finally:
        world.stop()
        world.remove()
        shutil.rmtree(output, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
