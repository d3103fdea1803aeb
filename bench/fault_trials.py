"""After how many faults is the host or the agent gone for good, or has somebody to help?

Each trial lets one fault happen to a sensor at work under load, drawn at random from a table: every
kind of death of the evaluator (lab/deaths/kinds.py), SIGKILL and SIGSTOP of each role, two roles
at once, and the supervisor, whose parent (`--respawn`) starts another one. After each trial: the
same boot of the same kernel, the same supervisor (or, where that was the fault's victim, another
one that came by itself), a canary detected, evaluator and stand-by ready again. Nothing is done
about it but waiting. `--seed` repeats a run, `--trials` sets how many; the seed is printed.
Several sensors side by side share the trials, most of whose time is waiting. The full form takes
under an hour.
"""

import functools
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.dying_sensor import WAIT_SECONDS, die, dying_sensor, opens, ready
from bench.harness import Figure, Note, from_samples, run
from bench.side_by_side import side_by_side
from lab.deaths.kinds import KINDS
from lab.demo.claims import ClaimError
from lab.demo.processes import wait_for
from lab.demo.steps import Demonstration
from lab.poisoned import scenario

TRIALS, QUICK_TRIALS = 3000, 8
QUICK_SEED = 116
"""Among whose eight are no hangs that take half a minute to be noticed, and one of a supervisor."""
SENSORS = 6
LOAD_PER_SECOND = 1000
ROLES = ("evaluator", "standby", "link")
SIGNALS = (signal.SIGKILL, signal.SIGSTOP)
SUPERVISOR = "supervisor "

Fault = Callable[[Demonstration, Mapping[str, Any]], object]


def faults() -> dict[str, Fault]:
    """Every fault, by name."""
    table = {f"evaluator dies of {kind}": _dies(kind) for kind in KINDS}
    for number in SIGNALS:
        for role in ROLES:
            table[f"{role} {number.name}"] = _signals(number, role)
        for pair in (("evaluator", "standby"), ("evaluator", "link")):
            table[f"{' and '.join(pair)} {number.name}"] = _signals(number, *pair)
        table[f"{SUPERVISOR}{number.name}"] = _signals(number, "supervisor")
    return table


@dataclass(slots=True)
class Tally:
    """What came of all trials so far."""

    trials: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    respawned: list[float] = field(default_factory=list)
    rebooted: int = 0
    ended: int = 0
    unprotected: int = 0


def measure(
    *, quick: bool, trials: int | None = None, seed: int | None = None
) -> list[Figure | Note]:
    """Trials, and after how many of them the host, the agent or its protection was gone."""
    count = trials or (QUICK_TRIALS if quick else TRIALS)
    if seed is None:
        seed = QUICK_SEED if quick else random.SystemRandom().randrange(2**32)
    print(f"fault_trials: {count} trials, seed {seed}", flush=True)
    began = time.monotonic()
    chosen = _chosen(random.Random(seed), count)  # noqa: S311 - to be repeated, not to be secret
    tallies = side_by_side(_trials, chosen, 1 if quick else SENSORS)
    tally = functools.reduce(_together, tallies)
    kinds = ", ".join(f"{name} {times}" for name, times in sorted(tally.trials.items()))
    return [
        Figure("fault trials", tally.trials.total(), "trials", f">= {count}"),
        Figure("kinds of fault among them", len(tally.trials), "kinds"),
        Figure("trials after which the OS was down", tally.rebooted, "trials", "= 0"),
        Figure("trials after which the agent was gone for good", tally.ended, "trials", "= 0"),
        Figure("trials with a manual step", tally.unprotected, "trials", "= 0"),
        from_samples(
            "fault to all roles ready and a canary detected, p50",
            tally.seconds,
            unit="s",
            percent=50,
        ),
        from_samples(
            "fault to all roles ready and a canary detected, p99",
            tally.seconds,
            unit="s",
            percent=99,
        ),
        *_respawned(tally.respawned),
        Figure("trials an hour", tally.trials.total() / (time.monotonic() - began) * 3600, ""),
        Note(f"Seed {seed}. Faults: {kinds}."),
    ]


def _trials(names: Sequence[str]) -> Tally:
    """One fault after the other, on a sensor for them alone."""
    tally, began = Tally(), time.monotonic()
    with dying_sensor("--respawn") as demo, opens(LOAD_PER_SECOND):
        for number, name in enumerate(names):
            _try(demo, name, tally)
            if (number + 1) % 25 == 0 or number + 1 == len(names):
                took = time.monotonic() - began
                print(f"fault_trials: {number + 1} of {len(names)} after {took:.0f} s", flush=True)
            if tally.ended or tally.rebooted:
                break
    return tally


def _together(one: Tally, other: Tally) -> Tally:
    return Tally(
        one.trials + other.trials,
        one.seconds + other.seconds,
        one.respawned + other.respawned,
        one.rebooted + other.rebooted,
        one.ended + other.ended,
        one.unprotected + other.unprotected,
    )


def _respawned(seconds: Sequence[float]) -> list[Figure]:
    if not seconds:
        return []
    name = "supervisor killed to all roles ready and a canary detected, p99"
    return [from_samples(name, seconds, unit="s", percent=99)]


def _chosen(dice: random.Random, count: int) -> list[str]:
    """Each fault as often as any other, in random order."""
    names: list[str] = []
    while len(names) < count:
        some = list(faults())
        dice.shuffle(some)
        names += some
    return names[:count]


def _try(demo: Demonstration, name: str, tally: Tally) -> None:
    world = demo.world
    before = world.wait("evaluator and stand-by", _whole, WAIT_SECONDS)
    began = time.monotonic()
    tally.trials[name] += 1
    try:
        faults()[name](demo, before)
        scenario.protected(demo, WAIT_SECONDS)
        after = world.wait("all roles", _whole, WAIT_SECONDS)
    except ClaimError as error:
        print(f"fault_trials: {name}: {error}", flush=True)
        gone = world.agent is None or world.agent.process.poll() is not None
        tally.ended += gone
        tally.unprotected += 1
        return
    took = time.monotonic() - began
    tally.seconds.append(took)
    if name == f"{SUPERVISOR}{signal.SIGKILL.name}":
        tally.respawned.append(took)
    same = before["roles"]["supervisor"]["pid"] == after["roles"]["supervisor"]["pid"]
    tally.ended += same is name.startswith(SUPERVISOR)
    tally.rebooted += before["boot_id"] != after["boot_id"] or _boot_id() != after["boot_id"]


def _whole(found: Mapping[str, Any]) -> bool:
    return ready(found) and bool(found["roles"]["link"])


def _dies(kind: str) -> Fault:
    return lambda demo, _: die(demo, kind)


def _signals(number: signal.Signals, *roles: str) -> Fault:
    def happen(_: Demonstration, found: Mapping[str, Any]) -> None:
        pids = [_pid(found, role) for role in roles]
        for pid in pids:
            os.kill(pid, number)
        # A stand-by that is stopped does no harm, and nobody has to notice before it is needed.
        awaited = [pid for role, pid in zip(roles, pids, strict=True) if not _idle(role, number)]
        wait_for("their ends", lambda: not any(map(_exists, awaited)) or None, WAIT_SECONDS)

    return happen


def _idle(role: str, number: signal.Signals) -> bool:
    return role == "standby" and number == signal.SIGSTOP


def _pid(found: Mapping[str, Any], role: str) -> int:
    entry = found["roles"][role]
    return int((entry[0] if role == "standby" else entry)["pid"])


def _exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _argument(name: str) -> int | None:
    """A number from the command line, taken off it: the harness knows nothing of it."""
    if name not in sys.argv:
        return None
    at = sys.argv.index(name)
    _, value = sys.argv[at : at + 2]
    del sys.argv[at : at + 2]
    return int(value)


if __name__ == "__main__":
    given = functools.partial(measure, trials=_argument("--trials"), seed=_argument("--seed"))
    sys.exit(run(__spec__.name, given))
