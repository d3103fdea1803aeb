"""What a measurement says, in sentences. Pure; every figure in them is the measurement's own."""

from collections import Counter

from lab.cells.model import Measured, Outcome
from lab.cells.words import duration

PROTECTION_WENT_ON = (Outcome.REFUSED, Outcome.UNAFFECTED, Outcome.WRONG_ANSWER)


def sentence(measured: Measured) -> str:
    """What happened, when protection was back, what somebody had to do, and what was lost."""
    parts = [_what(measured), _protection(measured), _by_hand(measured), _losses(measured)]
    text = "; ".join(part for part in parts if part)
    return f"{text[0].upper()}{text[1:]}."


def back_after(measured: Measured) -> str:
    """When protection was back, in a word or two."""
    if measured.outcome in PROTECTION_WENT_ON:
        return "it was never lost"
    if measured.restored_seconds is None:
        return "it did not come back by itself"
    return f"{measured.restored_seconds:.2f} s"


def ended(measured: Measured, otherwise: str) -> str:
    """Which processes ended, and how often each; otherwise: what to call the one not known."""
    names = Counter(one.partition(" (")[0] for one in measured.died) or {otherwise: 1}
    often = [(name, f" {times(count)}" if count > 1 else "") for name, count in names.items()]
    if len(often) == 1:
        return f"{often[0][0]} ended{often[0][1]}"
    listed = ", ".join(f"{name}{count}" for name, count in often)
    return f"{things(len(measured.died), 'process', 'processes')} ended ({listed})"


def times(count: int) -> str:
    """How often."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def things(count: int, one: str, many: str = "") -> str:
    """A number of things."""
    return f"{count} {one}" if count == 1 else f"{count} {many or one + 's'}"


def _what(measured: Measured) -> str:
    match measured.outcome:
        case Outcome.REFUSED:
            return "it was refused and never evaluated"
        case Outcome.UNAFFECTED:
            return "it was evaluated, and nothing happened"
        case Outcome.WRONG_ANSWER:
            return "nothing died, and the answer was wrong"
        case Outcome.CONTAINED:
            return f"{ended(measured, 'a process')}, and the host ran on"
        case Outcome.AGENT_GONE:
            return f"{ended(measured, 'the agent')} and stayed away; the host ran on"
        case Outcome.HOST_RESTARTED:
            return f"{_went_down(measured)}, and the host came back by itself"
        case Outcome.HOST_LOST:
            return f"{_went_down(measured)}, and the host did not come back by itself"


def _went_down(measured: Measured) -> str:
    if not measured.panics:
        return "the operating system went down"
    boots = things(len(measured.boots), "boot")
    return f"the kernel panicked {times(measured.panics)} in {boots}"


def _protection(measured: Measured) -> str:
    if measured.outcome in PROTECTION_WENT_ON:
        return ""
    if measured.outcome is Outcome.HOST_LOST and measured.restored_seconds is None:
        return ""  # said already
    if measured.restored_seconds is None:
        return "protection did not come back by itself"
    return f"protection was back after {duration(measured.restored_seconds)}"


def _by_hand(measured: Measured) -> str:
    if measured.manual_steps:
        steps = things(len(measured.manual_steps), "step")
        return f"{steps} by hand brought protection back ({', '.join(measured.manual_steps)})"
    if measured.outcome in (Outcome.AGENT_GONE, Outcome.HOST_LOST):
        return "it was not repaired"
    return "nobody had to do anything"


def _losses(measured: Measured) -> str:
    if measured.events_lost is None:
        return "no account of lost events is kept"
    if measured.events_lost == 0:
        return "no event was lost"
    lost = f"{things(measured.events_lost, 'event')} lost"
    if measured.events_uncounted is None:
        return lost
    return f"{lost}, {measured.events_uncounted or 'none'} of them uncounted"
