"""What does the Content Interpreter cost per event, and how does that grow with the content?"""

import gc
import sys
import time
from collections.abc import Callable, Sequence

from bench.harness import Figure, Peer, from_samples, run
from bench.interpreter_load import Load, Re2Sets, ReLoop, Texts, make
from content.definitions import load_definitions
from content.interpreter import Interpreter
from content.matching.hyperscan_matcher import HyperscanMatcher
from content.matching.matcher import MatcherFactory
from content.matching.re2_matcher import Re2Matcher
from content.template_type import TemplateType

EVENTS = 100_000
QUICK_EVENTS = 20_000
POOL = 20_000
"""Different records; a 64 MiB ring holds some 12,000, and they are read over and over likewise."""

BATCH = 4096
"""As the evaluator reads them."""

SIZES = (10, 100, 1_000, 10_000)
QUICK_SIZES = (10, 1_000)
RE_LOOP_SEARCHES = 3_000_000
"""How many times the slow peer may search; more instances mean fewer events for it."""

BAR = "<= 1"
"""A tenth of a core at 100,000 events a second."""


def measure(*, quick: bool) -> list[Figure]:
    """Processor time per event by number of instances, and to make ready."""
    template_type = next(one for one in load_definitions().values() if one.name == "process")
    figures: list[Figure] = []
    for size in QUICK_SIZES if quick else SIZES:
        load = make(template_type, size, POOL)
        figures += _of_size(template_type, load, size, QUICK_EVENTS if quick else EVENTS)
    return figures


def _of_size(template_type: TemplateType, load: Load, size: int, events: int) -> list[Figure]:
    def interpreter(matcher: MatcherFactory) -> tuple[float, list[float], int]:
        began = time.thread_time()
        engine = Interpreter(
            [load.channel_file], {template_type.number: template_type}, matcher=matcher
        )
        ready = time.thread_time() - began
        costs, found = [], 0
        for _ in range(max(1, events // POOL)):
            gc.collect()
            for start in range(0, POOL, BATCH):
                records = load.records[start : start + BATCH]
                began = time.thread_time()
                evaluation = engine.evaluate(template_type, records)
                costs.append((time.thread_time() - began) / len(records) * 1e6)
                found += len(evaluation.matches)
        return ready, costs, found

    ready, costs, found = interpreter(HyperscanMatcher)
    _, re2_costs, re2_found = interpreter(Re2Matcher)
    sets = Re2Sets(load.channel_file)
    set_cost, set_found = _peer(sets.matches, load.texts)
    if not found == re2_found == set_found * max(1, events // POOL):
        raise RuntimeError(f"matches differ: {found}, {re2_found}, {set_found}")
    few = load.texts[: max(200, min(POOL, RE_LOOP_SEARCHES // size))]
    loop_cost, _ = _peer(ReLoop(load.channel_file).matches, few)
    name = f"interpreter, {size:,} instances"
    return [
        from_samples(name, costs, unit="CPU µs/event", bar=BAR, peer=Peer("re loop", loop_cost)),
        from_samples(
            f"{name}, on RE2",
            re2_costs,
            unit="CPU µs/event",
            peer=Peer("RE2 set per field and confirm", set_cost),
        ),
        Figure(f"interpreter, {size:,} instances made ready", ready, "CPU s"),
    ]


def _peer(matches: Callable[[Sequence[Texts]], int], events: Sequence[Texts]) -> tuple[float, int]:
    began = time.thread_time()
    found = matches(events)
    return (time.thread_time() - began) / len(events) * 1e6, found


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
