"""What do the sensor and its peers cost a busy host, and how much of what happens do they see?

Loads open files for writing, execute /bin/true, and connect, at full rate and at chosen rates, on
one core. Who watches is started, sees all loads and is ended; right before that, the same loads run
with no sensor, and a slow-down is the ratio of such a pair: of the time that passed, and of the
loop's processor time, which other work on the machine disturbs less. All take turns. auditd
comes last in all rounds, because it leaves a cost behind (`bench.peer_auditd`).
"""

import statistics
import sys
from collections import defaultdict
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from bench.evaluator_alone import cpu_seconds
from bench.event_load import Kind, Loads, Outcome, loads, two_cores
from bench.harness import Figure, Note, NotMeasurableError, Peer, run
from bench.sensor import sensor
from bench.subjects import NOBODY, SENSOR, Subject, Watching, nobody, subjects

ROUNDS, SECONDS, RATES = 5, 0.5, (1_000, 10_000, 100_000)
QUICK_ROUNDS, QUICK_SECONDS = 1, 0.2
BARS = {Kind.OPEN: "<= 1.4", Kind.EXEC: "<= 1.03"}
AUDIT_NOTE = (
    "Auditing was enabled for auditd, with rules, backlog limit and waiting time of our own; a "
    "`never,task` rule was set aside where there was one. All was put back. The kernel keeps an "
    "audit context for each task that has started since, until the next boot or until "
    "`auditctl -a never,task`; 'after auditd' is measured with that."
)
SEEN_NOTE = "Other programs' events are seen as well: shares are cut at 100 %."

Told = tuple[str, Kind, int]
"""Who watched, what was done, and the rate asked for (0: full)."""


@dataclass(slots=True)
class Results:
    """Everything that was measured, by who watched, kind and rate."""

    slower: dict[tuple[str, Kind], list[float]] = field(default_factory=lambda: defaultdict(list))
    costlier: dict[tuple[str, Kind], list[float]] = field(default_factory=lambda: defaultdict(list))
    reached: dict[Told, list[float]] = field(default_factory=lambda: defaultdict(list))
    cpu: dict[Told, list[float]] = field(default_factory=lambda: defaultdict(list))
    done: dict[tuple[str, Kind], int] = field(default_factory=lambda: defaultdict(int))
    seen: dict[tuple[str, Kind], int] = field(default_factory=lambda: defaultdict(int))
    lost: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    notes: list[Note] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plan:
    """How often, how long and at which rates."""

    rounds: int
    seconds: float
    rates: tuple[int, ...]


def measure(*, quick: bool) -> list[Figure | Note]:
    """Slow-down, share of events seen, events lost, processor time; peers beside the sensor."""
    plan = Plan(ROUNDS, SECONDS, RATES)
    if quick:
        plan = Plan(QUICK_ROUNDS, QUICK_SECONDS, ())
    results = Results()
    with sensor() as world, loads() as load:
        if world.agent is not None:
            world.agent.stop()
        everyone = subjects(world)
        of_audit = [one for one in everyone if one.name.startswith("auditd")]
        for group in ([one for one in everyone if one not in of_audit], of_audit):
            measured = list(group)
            for number in range(plan.rounds):
                for one in tuple(measured):
                    try:
                        _pair(load, one, plan, results, paced=number == 0)
                    except NotMeasurableError as reason:
                        results.notes.append(Note(f"{one.name} is left out: {reason}"))
                        measured.remove(one)
        _one(load, nobody(), "after auditd", plan, results)
    if any(one in measured for one in of_audit):
        results.notes.append(Note(AUDIT_NOTE))
    return [*_figures(results, plan), Note(SEEN_NOTE), *results.notes]


def _pair(load: Loads, subject: Subject, plan: Plan, results: Results, *, paced: bool) -> None:
    """The loads with no sensor and with this one."""
    rates = plan.rates if paced else ()
    alone = _one(load, nobody(), NOBODY, plan, results)
    watched = _one(load, subject.watch(), subject.name, plan, results, rates)
    for kind in Kind:
        with_it, without = watched[kind], alone[kind]
        results.slower[subject.name, kind].append(with_it.microseconds / without.microseconds)
        ratio = with_it.cpu_microseconds / without.cpu_microseconds
        results.costlier[subject.name, kind].append(ratio)


def _one(
    load: Loads,
    context: AbstractContextManager[Watching],
    name: str,
    plan: Plan,
    results: Results,
    rates: tuple[int, ...] = (),
) -> dict[Kind, Outcome]:
    """All loads once while somebody watches; what came of those at full rate."""
    at_full_rate = {}
    with context as watching:
        for kind in Kind:
            for rate in (0, *rates):
                used = sum(cpu_seconds(pid) for pid in watching.pids)
                outcome = load.run(kind, seconds=plan.seconds, rate=rate, core=two_cores()[0])
                used = sum(cpu_seconds(pid) for pid in watching.pids) - used
                results.cpu[name, kind, rate].append(used / outcome.seconds * 100)
                results.reached[name, kind, rate].append(outcome.rate)
                results.done[name, kind] += outcome.events
                if not rate:
                    at_full_rate[kind] = outcome
    for kind in Kind:
        results.seen[name, kind] += watching.seen.get(kind, 0)
    results.lost[name] += watching.lost
    return at_full_rate


def _figures(results: Results, plan: Plan) -> list[Figure]:
    names = list(dict.fromkeys(name for name, _ in results.slower))
    figures = []
    for kind in Kind:
        ratios = {name: results.slower[name, kind] for name in names}
        figures.append(_beside(f"{kind} loop, slow-down, median", ratios, "times", BARS.get(kind)))
        ratios = {name: results.costlier[name, kind] for name in names}
        figures.append(_beside(f"{kind} loop, its own processor time, median", ratios, "times"))
        for rate in (0, *plan.rates):
            told = f"{kind}s at {f'{rate:,}/s' if rate else 'full rate'}"
            everybody = [NOBODY, *names, "after auditd"] if rate == 0 else names
            reached = {name: results.reached[name, kind, rate] for name in everybody}
            figures.append(_beside(f"{told}: reached", reached, "events/s"))
            used = {name: results.cpu[name, kind, rate] for name in names}
            figures.append(_beside(f"{told}: processor time", used, "% of a core"))
        seen = {
            name: [min(100.0, results.seen[name, kind] / results.done[name, kind] * 100)]
            for name in names
            if results.seen[name, kind]
        }
        figures.append(_beside(f"{kind}s seen, all rates", seen, "%", ">= 100"))
    lost = {name: [float(results.lost[name])] for name in names}
    return [*figures, _beside("events lost, as each says itself", lost, "events", "= 0")]


def _beside(
    name: str, samples: dict[str, list[float]], unit: str, bar: str | None = None
) -> Figure:
    """The sensor's median with everybody else's as peers."""
    medians = {who: statistics.median(values) for who, values in samples.items() if values}
    peers = tuple(Peer(who, value) for who, value in medians.items() if who != SENSOR)
    return Figure(name, medians[SENSOR], unit, bar, peers, tuple(samples[SENSOR]))


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
