"""What does the Content Interpreter cost per event, and how does that grow with the content?"""

import statistics
import sys
from collections.abc import Callable, Iterable, Mapping

from bench.harness import Figure, Peer, from_samples, run
from bench.interpreter_engine import ENGINES, INTERPRETER, PEERS, Measured, measured

EVENTS = 20_000
"""Different events; a 64 MiB ring holds some 12,000, and they are read over and over likewise."""

PASSES = 5
"""Of the interpreter over all of them: 100,000 events. Peers, which cost more, make one."""

SECONDS = 2.0
"""Processor time after which an engine gets no more events."""

QUICK_EVENTS = 4096
QUICK_SECONDS = 0.2

SIZES = (10, 100, 1_000, 10_000)
QUICK_SIZES = (10, 1_000)

BARS = {10: "<= 0.8", 100: "<= 1.2", 1_000: "<= 1.8", 10_000: "<= 2.2"}
"""CPU µs per event by number of instances."""

BAR_READY = "<= 2"
BAR_MEMORY = "<= 100"
BAR_GROWTH = "<= 1.6"
MOST = SIZES[-1]
MANY = 1_000
"""From so many instances on, no peer may be faster."""

MICROSECONDS = 1e6
MIB = 2**20

Results = Mapping[str, Measured]
"""What was measured of each engine, at one size."""


def measure(*, quick: bool) -> list[Figure]:
    """Processor time per event, events per core, time and memory to make ready; and its growth."""
    sizes = QUICK_SIZES if quick else SIZES
    results = {size: _at(size, quick=quick) for size in sizes}
    figures = [figure for size in sizes for figure in _figures(size, results[size])]
    return figures + [_growth(results, low) for low in (sizes[0], MANY) if low < sizes[-1]]


def _at(size: int, *, quick: bool) -> Results:
    """All engines at one size; RuntimeError unless they find the same."""
    results = {}
    for name in ENGINES:
        results[name] = measured(
            name,
            size,
            QUICK_EVENTS if quick else EVENTS,
            passes=1 if name in PEERS else PASSES,
            seconds=QUICK_SECONDS if quick else SECONDS,
        )
    require_same(results, QUICK_EVENTS if quick else EVENTS)
    return results


def require_same(results: Results, events: int) -> None:
    """RuntimeError unless each engine found what the interpreter did in all that it evaluated.

    events: how many are timed; those behind them are only checked, by every engine.
    """
    expected = results[INTERPRETER].pairs
    for name, result in results.items():
        wanted = [pair for pair in expected if pair[0] < result.timed or pair[0] >= events]
        if result.pairs != wanted:
            differing = sorted(set(result.pairs) ^ set(wanted))[:5]
            raise RuntimeError(
                f"{name} and the interpreter differ on (event, instance) {differing}"
            )


def _figures(size: int, results: Results) -> Iterable[Figure]:
    name, own = f"interpreter, {size:,} instances", results[INTERPRETER]
    yield from_samples(
        name,
        [cost * MICROSECONDS for cost in own.costs],
        unit="CPU µs/event",
        bar=BARS[size],
        peer=_beside(results, lambda one: _cost(one) * MICROSECONDS),
    )
    yield Figure(
        f"{name}, of one core",
        1 / _cost(own),
        "events/s",
        peer=_beside(results, lambda one: 1 / _cost(one)),
    )
    if size >= MANY:
        fastest = min(PEERS, key=lambda peer: _cost(results[peer]))
        share = _cost(own) / _cost(results[fastest])
        yield Figure(f"{name}, cost as part of the fastest peer's ({fastest})", share, "", "<= 1")
    most = size == MOST
    yield Figure(
        f"{name}, made ready",
        own.ready,
        "CPU s",
        BAR_READY if most else None,
        peer=_beside(results, lambda one: one.ready),
    )
    yield Figure(
        f"{name}, memory at its peak",
        own.memory / MIB,
        "MiB",
        BAR_MEMORY if most else None,
        peer=_beside(results, lambda one: one.memory / MIB),
    )


def _growth(results: Mapping[int, Results], low: int) -> Figure:
    """How many times the cost per event grows from few instances to the most."""
    high = max(results)

    def growth(name: str) -> float:
        return _cost(results[high][name]) / _cost(results[low][name])

    return Figure(
        f"growth of the interpreter's cost from {low:,} to {high:,} instances",
        growth(INTERPRETER),
        "times",
        BAR_GROWTH if low == MANY else None,
        peer=tuple(Peer(name, growth(name)) for name in ENGINES if name != INTERPRETER),
    )


def _beside(results: Results, value: Callable[[Measured], float]) -> tuple[Peer, ...]:
    return tuple(Peer(name, value(one)) for name, one in results.items() if name != INTERPRETER)


def _cost(result: Measured) -> float:
    """CPU seconds per event: the median of the batches."""
    return statistics.median(result.costs)


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
