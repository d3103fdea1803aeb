"""What does it cost to write down what is being evaluated, so that a death has a suspect?

The Content Interpreter evaluates the same events with attribution and without, batch by batch in
turn, so that whatever disturbs this machine disturbs both. With it, each batch is announced in the
shared record, and each candidate clause notes its row and instance there, as in the evaluator's
loop. What naming the instances costs when content is loaded is measured as well: each is hashed and
written into its slot once.
"""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from agent import attribution
from agent.attribution import NONE, Attribution, Phase
from bench.harness import Figure, Peer, from_samples, run
from bench.interpreter_load import Load, make
from content.channel_file import load, pack
from content.instance_digest import instance_digests
from content.interpreter import Interpreter
from content.record import Records

SIZES = (100, 1_000, 10_000)
QUICK_SIZES = (100, 1_000)
EVENTS = 16_384
QUICK_EVENTS = 4_096
BATCHES = {4_096: "full batches", 64: "batches of 64", 1: "one at a time"}
"""Records in a batch: of a busy host, of one that is polled before more have come, of an idle one
(and of an evaluator that takes care)."""
MOST_BATCHES = 512

ROUNDS = 40
QUICK_ROUNDS = 12
BAR = "<= 2"
MICROSECONDS = 1e6
Spent = np.ndarray[tuple[int, int], np.dtype[np.int64]]
"""Of each batch: nanoseconds without, nanoseconds with, and which was first."""

PERCENT = 100.0


def measure(*, quick: bool) -> list[Figure]:
    """Percent of evaluation that attribution takes, and the cost of naming all instances."""
    sizes = QUICK_SIZES if quick else SIZES
    figures: list[Figure] = []
    for size in sizes:
        load_of_size = make(size, QUICK_EVENTS if quick else EVENTS)
        for records, words in BATCHES.items():
            rounds = QUICK_ROUNDS if quick else ROUNDS
            # A long batch is seldom left alone by the machine from beginning to end.
            rounds *= 5 if records == max(BATCHES) else 1
            figures += _figures(f"{size:,} instances, {words}", load_of_size, records, rounds)
        figures.append(_naming(load_of_size, size))
    return figures


def _figures(name: str, of: Load, batch: int, rounds: int) -> Iterator[Figure]:
    without, noted = _costs(of, batch, rounds)
    yield Figure(f"attribution, {name}", (noted / without - 1) * PERCENT, "%", BAR)
    with_it = f"evaluation with attribution, {name}"
    peer = Peer("without", without * MICROSECONDS)
    yield Figure(with_it, noted * MICROSECONDS, "CPU µs/event", peer=peer)


def _costs(of: Load, batch: int, rounds: int) -> tuple[float, float]:
    """Processor seconds per event, without attribution and with it.

    A batch is evaluated both ways, one right after the other, and what counts is the difference:
    its median where the one was first and where the other was, and the middle of the two, because
    whoever comes second finds the events in the cache.
    """
    types = {of.template_type.number: of.template_type}
    descriptor = attribution.create()
    try:
        record = Attribution(descriptor)
        # One engine for both: two would differ by where their memory happens to lie.
        engine = Interpreter([of.channel_file], types, note=record.note)
        records = of.records()[: min(of.timed, batch * MOST_BATCHES)]
        turns = _Turns(of, engine, record, records, batch)
        spent = np.array([pair for number in range(rounds) for pair in turns.round(number)])
    finally:
        os.close(descriptor)
    of_batch = min(batch, len(records))
    more = np.mean([np.median(one[:, 1] - one[:, 0]) for one in _by_order(spent)])
    without = float(np.median(spent[:, 0]))
    return without / 1e9 / of_batch, (without + float(more)) / 1e9 / of_batch


def _by_order(spent: Spent) -> Iterator[Spent]:
    """The pairs in which the one was first, and those in which the other was."""
    for first in (0, 1):
        yield spent[spent[:, 2] == first]


@dataclass(frozen=True, slots=True)
class _Turns:
    """All events once, each batch with attribution and without, whoever is first."""

    of: Load
    engine: Interpreter
    record: Attribution
    records: Records
    batch: int

    def round(self, number: int) -> list[list[int]]:
        """Nanoseconds per batch, without and with, and which was first.

        number: of the round, which decides who begins.
        """
        spent = []
        for index, start in enumerate(range(0, len(self.records), self.batch)):
            first = (index + number) % 2
            each = [0, 0, first]
            for noted in (first, 1 - first):
                each[noted] = self._evaluate(start, noted=bool(noted))
            spent.append(each)
        return spent

    def _evaluate(self, start: int, *, noted: bool) -> int:
        """Nanoseconds of processor time."""
        part, kind = self.records[start : start + self.batch], self.of.template_type
        self.engine._note = self.record.note if noted else None  # noqa: SLF001 — for a measurement
        began = time.thread_time_ns()
        if noted:
            self.record.batch(kind.number, start, len(part))
            if len(part) == 1:
                self.record.note(0, NONE)
        self.engine.evaluate(kind, part)
        if noted:
            self.record.phase(Phase.IDLE)
        return time.thread_time_ns() - began


def _naming(of: Load, size: int) -> Figure:
    """Milliseconds to hash all instances and to write them into the record, once at load."""
    payload = pack(of.channel_file)
    file = load(payload)
    descriptor = attribution.create()
    try:
        record = Attribution(descriptor)
        samples = []
        for _ in range(3):
            began = time.thread_time_ns()
            digests = instance_digests(payload, file)
            ids = (one.id for one in file.instances)
            record.name_instances(list(zip(ids, digests, strict=True)))
            samples.append((time.thread_time_ns() - began) / 1e6)
    finally:
        os.close(descriptor)
    return from_samples(f"naming {size:,} instances, once", samples, unit="CPU ms")


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
