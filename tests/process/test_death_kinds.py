"""Each kind of death of the laboratory is what it says, in the evaluator's own sandbox."""

import pytest

from lab.deaths.kinds import KINDS, Found
from tests.process.locked import run

ENDS = {
    "SIGSEGV": "SIGSEGV",
    "SIGABRT": "SIGABRT",
    "SIGBUS": "SIGBUS",
    "SIGILL": "SIGILL",
    "SIGFPE": "SIGFPE",
    "stack overflow": "SIGSEGV",
    "exception": "exit 1",
    "exit": "exit 3",
    "descriptor leak": "exit 1",
    "fork attempt": "SIGSYS",
    "forbidden call": "SIGSYS",
}
"""How those end that need nobody's help: a write past the channel's end is the supervisor's."""


def test_nothing_is_left_out() -> None:
    """A kind would be measured that is not what its name says."""
    at_once = {name for name, kind in KINDS.items() if kind.found is Found.AT_ONCE}
    assert at_once - ENDS.keys() == {"wrong message"}


@pytest.mark.parametrize("name", sorted(ENDS.keys() & KINDS.keys()))
def test_it_ends_as_it_says(name: str) -> None:
    """A benchmark would call a death by the sandbox, say, a bus error."""
    ended = run(
        "EVALUATOR",
        f"KINDS[{name!r}].happen()",
        before="from lab.deaths.kinds import KINDS",
    )
    assert ended.how == ENDS[name], ended.errors[-500:]
