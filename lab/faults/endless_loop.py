"""The interpreter loops for ever. The value is marked (faults.h)."""

from lab.cells.expected import HANG, MARKED
from lab.cells.model import Expectation, Outcome
from lab.cells.parts import Delivery, Fault
from lab.unchecked.marked import marked

FAULT = Fault(
    name="endless-loop",
    title="a loop without end",
    words="The interpreter never comes back from an event.",
    delivery=Delivery.PUSHED,
    payload=marked("endless-loop"),
    hangs=True,
    expected={
        **MARKED,
        **HANG,
        "K": Expectation(
            Outcome.HOST_LOST,
            "A processor never comes back; nobody panics, and nobody can do anything.",
        ),
    },
)
