"""Is any event lost or doubled when the evaluator dies, at whatever step of its cycle?

Before and after each step between reading a batch and committing its position, an evaluator is
killed from outside, or crashes by itself; with events that match nothing, some that match, some
whose detections fill several messages, and with an instance in quarantine. What counts are sequence
numbers of detections, the positions of the ring and the loss ledger (lab/deaths/books.py).
"""

import sys

from bench.harness import Figure, run
from lab.deaths.books import EVENTS, LARGE, LOADS, SKIPPING, Books, steps, trial
from lab.deaths.steps import Ending


def measure(*, quick: bool) -> list[Figure]:
    """Trials, and what was lost, doubled or miscounted over all of them."""
    loads = (LARGE, SKIPPING) if quick else LOADS
    endings = (Ending.KILLED,) if quick else tuple(Ending)
    books: list[Books] = []
    for load in loads:
        for step in steps(load)[:: 3 if quick else 1]:
            books += [trial(load, step, ending) for ending in endings]
            print(f"deaths_at_steps: {load.name}, {step}: {books[-1].balance}", flush=True)
    return [
        Figure("deaths at a step", sum(one.died for one in books), "deaths", f"= {len(books)}"),
        Figure("events neither evaluated nor counted", sum(map(_lost, books)), "events", "= 0"),
        Figure("events evaluated or counted twice", sum(map(_doubled, books)), "events", "= 0"),
        Figure("detections lost", sum(one.missing for one in books), "detections", "= 0"),
        Figure("detections doubled", sum(one.doubled for one in books), "detections", "= 0"),
        Figure("undecided events miscounted", sum(map(_undecided, books)), "events", "= 0"),
        Figure("events set aside and counted", sum(one.counted for one in books), "events"),
    ]


def _lost(one: Books) -> int:
    return max(0, EVENTS - one.evaluated - one.counted)


def _doubled(one: Books) -> int:
    return max(0, one.evaluated + one.counted - EVENTS)


def _undecided(one: Books) -> int:
    return abs(one.undecided)


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
