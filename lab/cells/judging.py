"""A cell's measurement, from what happened in it. Pure.

The fault took effect when the host panicked, else when the first process died of it, else when it
was carried out. Protection is back when a canary was detected that ran after the last death or
panic, and nobody had to help.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from lab.cells.model import Measured, Outcome
from lab.cells.story import Boot, End, Line, repair_steps

HOST_ENDS = (End.PANICKED, End.SILENT)
KERNEL = "kernel"


def judge(boots: Sequence[Boot], seconds: float) -> Measured:
    """What one cell showed; it was carried out as far as it goes."""
    steps = repair_steps(boots)
    effect = _effect(boots)
    restored = _restored(boots, effect)
    facts = _last(boots, "facts")
    return Measured(
        outcome=_outcome(boots, steps),
        boots=tuple(one.boot_id for one in boots if one.boot_id and not one.rescued),
        panics=sum(one.end is End.PANICKED for one in boots),
        restored_seconds=None if restored is None else max(0.0, restored - effect),
        gap_seconds=_gap(boots),
        events_lost=facts.get("events_lost"),
        events_uncounted=facts.get("events_uncounted"),
        manual_steps=steps,
        died=_died(boots),
        said=_said(boots, facts),
        seconds=seconds,
    )


def _outcome(boots: Sequence[Boot], steps: Sequence[str]) -> Outcome:
    lines = list(_lines(boots))
    whats = {one.what for one in lines}
    if any(one.rescued for one in boots) or boots[-1].end is not End.DONE:
        return Outcome.HOST_LOST
    if steps or "gone" in whats:
        return Outcome.AGENT_GONE
    if len(boots) > 1:
        return Outcome.HOST_RESTARTED
    if "wrong" in whats:
        return Outcome.WRONG_ANSWER
    if "died" in whats:
        return Outcome.CONTAINED
    refused = "refused" in str(_last(boots, "facts").get("settled"))
    return Outcome.REFUSED if refused else Outcome.UNAFFECTED


def _effect(boots: Sequence[Boot]) -> float:
    """When the fault took effect; the beginning where it never was carried out."""
    for boot in boots:
        fault = next((one.at for one in boot.lines if one.what == "fault"), None)
        acted = fault is not None or boot is not boots[0]
        if acted and boot.end in (*HOST_ENDS, End.CUT):
            return _last_ran(boot) if boot.end is End.SILENT else boot.ended
        died = [one.at - float(one.said["ago"]) for one in boot.lines if one.what == "died"]
        if died and fault is not None:
            return max(fault, died[0])
        if fault is not None:
            return fault
    return boots[0].began


def _last_ran(boot: Boot) -> float:
    """When the last canary was run that a host was heard of: it is silent from then on."""
    return max((one.at for one in boot.lines if one.what == "ran"), default=boot.began)


def _restored(boots: Sequence[Boot], effect: float) -> float | None:
    """When a canary was detected that ran after the last trouble; None if a person had to help."""
    lines = list(_lines(boots))
    if any(one.what == "gone" for one in lines):
        return None
    ends = [one.ended for one in boots if one.end is not End.DONE]
    deaths = [one.at - float(one.said["ago"]) for one in lines if one.what == "died"]
    effect = max([effect, *ends, *deaths])
    for boot in boots:
        if boot.rescued:
            return None
        ran = {one.said["number"]: one.at for one in boot.lines if one.what == "ran"}
        for line in boot.lines:
            if line.what == "detected" and ran.get(line.said["number"], 0.0) > effect:
                return line.at
    return None


def _gap(boots: Sequence[Boot]) -> float | None:
    """The longest time between detections of canaries; None with fewer than two of them."""
    points = [one.at for one in _lines(boots) if one.what == "detected"]
    fault = [one.at for one in _lines(boots) if one.what == "fault"]
    if fault and (not points or fault[0] < points[0]):
        points.insert(0, fault[0])
    return max((later - sooner for sooner, later in pairwise(points)), default=None)


def _died(boots: Sequence[Boot]) -> tuple[str, ...]:
    if any(one.end in HOST_ENDS for one in boots):
        return (KERNEL,)
    told = [
        f"{one.said['name']} ({one.said['pid']})" for one in _lines(boots) if one.what == "died"
    ]
    known = {text.rpartition("(")[2] for text in told}
    others = [
        str(text)
        for one in _lines(boots)
        if one.what == "after"
        for text in one.said["died"]
        if str(text).rpartition("(")[2] not in known
    ]
    return tuple(dict.fromkeys([*told, *others]))


def _said(boots: Sequence[Boot], facts: dict[str, Any]) -> str:
    """The words by which it can be told what happened."""
    panic = next((f"{one.panic} at {one.point}" for one in boots if one.panic), "")
    if panic:
        return panic
    wrong = next((str(one.said["detection"]) for one in _lines(boots) if one.what == "wrong"), "")
    gone = next((str(one.said["why"]) for one in _lines(boots) if one.what == "gone"), "")
    died = next((str(one.said["how"]) for one in _lines(boots) if one.what == "died"), "")
    failed = next((str(one.said["why"]) for one in _lines(boots) if one.what == "failed"), "")
    parts = [wrong, gone, died, failed, str(facts.get("said") or "")]
    silent = any(one.end is End.SILENT for one in boots)
    return "; ".join(["nothing was heard of it for 5 minutes"] * silent + [p for p in parts if p])


def _last(boots: Sequence[Boot], what: str) -> dict[str, Any]:
    found = [dict(one.said) for one in _lines(boots) if one.what == what]
    return found[-1] if found else {}


def _lines(boots: Sequence[Boot]) -> Iterator[Line]:
    for boot in boots:
        yield from boot.lines
