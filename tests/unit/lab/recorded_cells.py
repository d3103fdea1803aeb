"""Results of every outcome, as tests of planning, keeping and reporting need them."""

from dataclasses import replace

from lab.campaign.plan import Catalogue
from lab.cells.model import Cell, Environment, Expectation, Measured, Outcome, Result
from lab.results.document import Recorded

HOST = Environment("direct", "tcg", "bookworm", "6.1.0-56-cloud-amd64", 2, 2048)
STARTED = "2026-11-26T19:00:00+00:00"
CALM = Measured(
    outcome=Outcome.UNAFFECTED,
    boots=("1b",),
    panics=0,
    restored_seconds=None,
    gap_seconds=0.5,
    events_lost=0,
    events_uncounted=0,
    manual_steps=(),
    died=(),
    said="",
    seconds=31.25,
)
STEPS = ("boot another medium", "mount the disk", "delete the file", "reboot")

BY_ARM: dict[str, Measured] = {
    "K": replace(
        CALM,
        outcome=Outcome.HOST_LOST,
        boots=("1", "2", "3"),
        panics=3,
        gap_seconds=None,
        events_lost=None,
        events_uncounted=None,
        manual_steps=STEPS,
        died=("kernel",),
        said="BUG: unable to handle page fault for address: ffff9a5b00000010",
    ),
    "P": replace(
        CALM,
        outcome=Outcome.AGENT_GONE,
        events_lost=412,
        events_uncounted=None,
        died=("agent (511)", "agent (524)"),
        manual_steps=("delete the file", "start the agent"),
        said="agent.service: Start request repeated too quickly.",
    ),
    "W": replace(
        CALM,
        outcome=Outcome.CONTAINED,
        restored_seconds=0.83,
        gap_seconds=1.25,
        died=("evaluator (611)",),
        said="EVALUATOR_DIED: SIGSEGV",
    ),
    "B1": replace(
        CALM, outcome=Outcome.REFUSED, said="invalid access to map value, value_size=160 off=160"
    ),
    "B2": replace(CALM, outcome=Outcome.WRONG_ANSWER, said="field 21 is 'stale'"),
    "G": replace(CALM, outcome=Outcome.REFUSED, said="FIELD_NOT_SUPPLIED"),
}
ARMS = {
    "K": "kernel module",
    "P": "in the agent's process",
    "W": "in the sandboxed evaluator",
    "B1": "BPF, unchecked index",
    "B2": "BPF, padded array",
    "G": "Bulkhead as shipped",
}
FAULTS = {
    "arity-gap": "a criterion on field 21 of 20",
    "bad-content-at-boot": "it is there at boot",
}
WHY = "because it does"
CATALOGUE = Catalogue(
    ARMS,
    FAULTS,
    {Cell(arm, fault): Expectation(BY_ARM[arm].outcome, WHY) for arm in ARMS for fault in FAULTS},
)


def recorded(
    arm: str, fault: str = "arity-gap", inputs: str = "these", measured: Measured | None = None
) -> Recorded:
    """A cell as it was measured, and expected."""
    cell = Cell(arm, fault)
    expected = CATALOGUE.expectations[cell]
    return Recorded(Result(cell, expected, HOST, STARTED, measured or BY_ARM[arm]), inputs)


def failed(arm: str, fault: str = "arity-gap") -> Recorded:
    """A cell that could not be carried out."""
    one = recorded(arm, fault)
    return replace(one, result=replace(one.result, measured=None, failure="NO_SPACE: disk full"))
