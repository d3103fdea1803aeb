"""Real power cuts in the middle of updates: a guest is killed, started again, and asked.

`judge` is pure: what may be found after a cut follows from what the guest had announced before it.
Old is the last version that was finished, new the one that was under way; everything else, and
anything left out, left over or not evaluated, is broken. What reached the disk stays there: QEMU's
end loses what the guest's kernel had not written yet, not what a disk would keep in a cache of its
own (the unit test that replays the store's system calls reorders that as well).
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from lab.boot.lines import Said, first, read
from lab.vm import machine
from lab.vm.errors import VmError, VmReason
from lab.vm.machine import Guest, Machine

BOOT_SECONDS = 60.0
SENSOR_SECONDS = 60.0
"""Until the updates begin, on a processor of its own; emulated ones get more."""

LATEST_CUT_SECONDS = 4.0
"""A cut comes at random, at most so long after the first update was announced."""

LOOK_SECONDS = 0.05


class Found(StrEnum):
    """What a power cut left behind."""

    OLD = "old"
    NEW = "new"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Cut:
    """One cut: how long after the first update it came, and what was found at the next start.

    updates: how many had been finished in that boot. under_way: whether the power went amid a
    commit, that of a new version or that of its acceptance.
    agent_seconds: until the sensor evaluated what was found.
    """

    after_seconds: float
    updates: int
    under_way: bool
    found: Found
    why: str
    boot_seconds: float
    agent_seconds: float | None


@dataclass(slots=True)
class Boot:
    """A boot as it was watched from outside."""

    said: Sequence[Said]
    ready_seconds: float
    cut_after_seconds: float = 0.0


@dataclass(slots=True)
class Plan:
    """How many cuts, from which seed, and who is told of each."""

    cuts: int
    seed: int
    tell: Callable[[Cut], None]
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        """The same moments for the same seed."""
        self.chance = random.Random(self.seed)  # noqa: S311 — repeatable, no secret


def run(guest: Guest, folder: Path, plan: Plan) -> list[Cut]:
    """Cut the power so many times; VmError where a guest never comes as far as its updates."""
    before = _boot(guest, folder, plan.chance)
    cuts = []
    for _ in range(plan.cuts):
        after = _boot(guest, folder, plan.chance)
        cuts.append(_cut(before, after))
        plan.tell(cuts[-1])
        if cuts[-1].found is Found.BROKEN:
            break
        before = after
    return cuts


def judge(before: Sequence[Said], after: Sequence[Said]) -> tuple[Found, str]:
    """What a cut left behind, and in words what is wrong with it."""
    found, agent = first(after, "found"), first(after, "agent")
    if found is None:
        return Found.BROKEN, "the store could not be opened"
    done, begun = _last(before, "done"), _last(before, "begun")
    certain = done if done is not None else _last(before, "found")
    version = int(found["version"])
    rests = [*found["left_out"], *found["rests"]]
    if rests:
        return Found.BROKEN, "; ".join(map(str, rests))
    if version not in (certain, begun):
        return Found.BROKEN, f"version {version}, expected {certain} or {begun}"
    if agent is None:
        return Found.BROKEN, f"the sensor does not evaluate version {version}"
    return (Found.OLD if version == certain else Found.NEW), ""


def _cut(before: Boot, after: Boot) -> Cut:
    found, why = judge(before.said, after.said)
    agent = first(after.said, "agent")
    return Cut(
        after_seconds=before.cut_after_seconds,
        updates=sum(one["what"] == "done" for one in before.said),
        under_way=amid_commit(before.said),
        found=found,
        why=why,
        boot_seconds=after.ready_seconds,
        agent_seconds=None if agent is None else float(agent["seconds"]),
    )


def amid_commit(said: Sequence[Said]) -> bool:
    """Whether a commit had been begun and not been finished: the last word was not that."""
    steps = [one["what"] for one in said if one["what"] in ("begun", "done", "accepted")]
    return bool(steps) and steps[-1] != "accepted"


def _boot(guest: Guest, folder: Path, chance: random.Random) -> Boot:
    """Start the guest, let it come to its updates, and cut the power amid them."""
    factor, began = guest.accelerator.time_factor, time.monotonic()
    with machine.started(guest, folder) as running:
        ready = running.wait_until_ready(BOOT_SECONDS * factor)
        if ready is None:
            raise VmError(VmReason.GUEST_FAILED, _last_words(running))
        updating = _wait_for_updates(running, SENSOR_SECONDS * factor)
        moment = chance.uniform(0.0, LATEST_CUT_SECONDS)
        if updating:
            time.sleep(moment)
        running.cut_power()
        return Boot(read(running.results()), ready - began, moment)


def _wait_for_updates(running: Machine, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while first(read(running.results()), "begun") is None:
        if time.monotonic() > deadline or running.process.poll() is not None:
            return False
        time.sleep(LOOK_SECONDS)
    return True


def _last(said: Sequence[Said], what: str) -> int | None:
    versions = [int(one["version"]) for one in said if one["what"] == what]
    return versions[-1] if versions else None


def _last_words(running: Machine) -> str:
    lines = running.console_tail().splitlines()
    return lines[-1] if lines else "the guest said nothing"
