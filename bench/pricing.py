"""How well do the prices that the Content Validator estimates agree with what content costs?"""

import gc
import math
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bench.harness import Figure, Peer, from_samples, run
from bench.interpreter_load import COMMAND_LINE, IMAGE, PARENT_IMAGE, SEED, Load, make
from content.interpreter import Interpreter
from content.model import ChannelFile, Clause, Criterion, Operator, TemplateInstance
from content.pricing import BATCH_RECORDS, price
from content.record import Records

EVENTS = 2 * BATCH_RECORDS
PASSES = 9
QUICK_PASSES = 3
USER_ID = 6
NANOSECONDS = 1e9
LEAST_NANOSECONDS = 20.0
LEAST_MILLISECONDS = 0.3
"""Less than that is lost in what varies from run to run; estimates below are counted as that."""

BAR_OF_RANKS = ">= 0.8"
BAR_OF_RATIO = "<= 4"
"""An estimate that is four times off still tells a costly instance from a cheap one."""


@dataclass(frozen=True, slots=True)
class PriceClass:
    """Content that costs alike: `instances` instances, each of one clause."""

    name: str
    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """Estimated and measured: nanoseconds per event, and of processor time to make ready."""

    name: str
    estimated: float
    measured: float
    samples: tuple[float, ...]
    estimated_ready: float
    measured_ready: float


def measure(*, quick: bool) -> list[Figure]:
    """Rank correlation and typical ratio, over classes of content from cheap to ruinous."""
    load = make(10, EVENTS)
    records = load.records()[: load.timed]
    passes = QUICK_PASSES if quick else PASSES
    compared = [_compare(load, records, one, passes) for one in _classes()]
    figures = [
        *_agreement("price per event", [(one.estimated, one.measured) for one in compared]),
        *_agreement(
            "price to make ready", [(one.estimated_ready, one.measured_ready) for one in compared]
        ),
    ]
    for one in compared:
        per_event = Peer("the estimate", one.estimated)
        ready = Peer("the estimate", one.estimated_ready)
        figures += [
            from_samples(one.name, one.samples, unit="CPU ns/event", peer=per_event),
            Figure(f"{one.name}, made ready", one.measured_ready, "CPU ms", peer=ready),
        ]
    return figures


def _agreement(name: str, pairs: Sequence[tuple[float, float]]) -> list[Figure]:
    """Of estimates with measurements; pairs of which both are too small say nothing."""
    least = min(min(pair) for pair in pairs)
    telling = [pair for pair in pairs if max(pair) > least]
    return [
        Figure(f"{name}, rank correlation", _rank_correlation(telling), "", BAR_OF_RANKS),
        Figure(
            f"{name}, typical ratio of estimate and measurement",
            _typical_ratio(telling),
            "times",
            BAR_OF_RATIO,
        ),
    ]


def _compare(load: Load, records: Records, content: PriceClass, passes: int) -> Compared:
    """What content adds to an interpreter that searches the same fields for one rare value."""
    some = load.channel_file.instances[0]
    instances = [
        replace(some, id=f"i{number}", clauses=(clause,))
        for number, clause in enumerate(content.clauses)
    ]
    nothing = [replace(some, id=f"f{field}", clauses=(_rare(field),)) for field in _texts(content)]
    without, ready_without = _interpreted(load, records, nothing, passes)
    both, ready = _interpreted(load, records, [*nothing, *instances], passes)
    base = statistics.median(without)
    samples = tuple(max(LEAST_NANOSECONDS, one - base) for one in both)
    prices = [price(one, load.template_type, "") for one in instances]
    return Compared(
        content.name,
        estimated=max(LEAST_NANOSECONDS, sum(one.units for one in prices)),
        measured=statistics.median(samples),
        samples=samples,
        estimated_ready=max(LEAST_MILLISECONDS, sum(one.compile for one in prices) / 1e6),
        measured_ready=max(LEAST_MILLISECONDS, ready - ready_without),
    )


def _interpreted(
    load: Load, records: Records, instances: Sequence[TemplateInstance], passes: int
) -> tuple[list[float], float]:
    """CPU nanoseconds per event, batch by batch, and CPU milliseconds to make ready."""
    file: ChannelFile = replace(load.channel_file, instances=tuple(instances))
    template_type = load.template_type
    began = time.thread_time()
    engine = Interpreter([file], {template_type.number: template_type})
    ready = (time.thread_time() - began) * 1e3
    samples = []
    for number in range(passes + 1):
        gc.collect()
        for batch in _batches(records):
            began = time.thread_time()
            faults = engine.evaluate(template_type, batch).faults
            took = time.thread_time() - began
            if faults:
                raise RuntimeError(f"{faults[0].instance.id}: {faults[0].detail}")
            if number:  # The first pass warms up.
                samples.append(took / len(batch) * NANOSECONDS)
    return samples, ready


def _batches(records: Records) -> Iterator[Records]:
    for start in range(0, len(records), BATCH_RECORDS):
        yield records[start : start + BATCH_RECORDS]


def _texts(content: PriceClass) -> list[int]:
    used = {criterion.field for clause in content.clauses for criterion in clause.criteria}
    return sorted(used & {IMAGE, COMMAND_LINE, PARENT_IMAGE})


def _rare(field: int) -> Clause:
    return Clause((Criterion(field, Operator.CONTAINS, (b"/zq/never-there",)),))


def _rank_correlation(pairs: Sequence[tuple[float, float]]) -> float:
    """Spearman's: Pearson's of the ranks; equal values share the mean of theirs."""
    estimated, measured = zip(*pairs, strict=True)
    return statistics.correlation(_ranks(estimated), _ranks(measured))


def _ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    return [ordered.index(one) + (ordered.count(one) - 1) / 2 for one in values]


def _typical_ratio(pairs: Sequence[tuple[float, float]]) -> float:
    """The median of how many times one is the other, in whichever direction."""
    return statistics.median(math.exp(abs(math.log(one / other))) for one, other in pairs)


def _classes() -> list[PriceClass]:
    """From what costs nearly nothing to what would be flagged at once."""
    contains, regex = Operator.CONTAINS, Operator.REGEX
    words = [b"/zq/tool-%04d" % number for number in range(1000)]
    source = random.Random(SEED)  # noqa: S311 - the same content every time, nothing secret

    def text(operator: Operator, *values: bytes, negated: bool = False) -> Criterion:
        return Criterion(COMMAND_LINE, operator, values, negated)

    def one(name: str, *criteria: Criterion) -> PriceClass:
        return PriceClass(name, (Clause(criteria),))

    def image(*values: bytes, negated: bool = False) -> Criterion:
        return Criterion(IMAGE, contains, values, negated)

    def many(name: str, expressions: Sequence[bytes]) -> PriceClass:
        return PriceClass(name, tuple(Clause((text(regex, each),)) for each in expressions))

    without = [_without_literal(source) for _ in range(100)]
    return [
        one("a rare literal", text(contains, words[0])),
        PriceClass("1,000 rare literals", tuple(Clause((text(contains, word),)) for word in words)),
        one("a number that is rare", Criterion(USER_ID, Operator.EQUALS, (4711,))),
        one("presence", Criterion(IMAGE, Operator.EXISTS, ())),
        one("a comparison", Criterion(USER_ID, Operator.GREATER_OR_EQUAL, (100_000,))),
        one("a common literal", image(b"/bin/")),
        one("a common literal and a rare one", image(b"/bin/"), text(contains, words[0])),
        one("a common literal, a negated rare one", image(b"/bin/"), image(words[0], negated=True)),
        one("a short literal", text(contains, b"sh")),
        one("one letter", text(contains, b"a")),
        one("only negated", text(contains, words[0], negated=True)),
        one("a negated glob of stars", text(Operator.GLOB, b"*", negated=True)),
        one("512 rare literals as values", text(contains, *words[:512])),
        one("an expression with a literal", text(regex, rb"/zq/[a-z]+\.(?:zip|tar)")),
        many("100 expressions with a literal", [word + rb"[a-z]+\.zip" for word in words[:100]]),
        many("20 expressions without a literal", without[:20]),
        many("100 expressions without a literal", without),
        one("a long repeat of a class", text(regex, rb"[A-Za-z0-9+/]{40,}")),
        one("any word character", text(regex, rb"\w")),
        one("fifty bytes of anything", text(regex, rb".{50}")),
    ]


def _without_literal(source: random.Random) -> bytes:
    counts = [source.randint(2, 7) for _ in range(3)]
    low, high = source.randint(97, 116), source.randint(71, 85)
    return b"[%c-z]{%d}[0-9]{%d}[A-F%c]{%d}" % (low, counts[0], counts[1], high, counts[2])


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
