"""The interpreter takes memory without end. The value is marked (faults.h)."""

from lab.cells.expected import MARKED
from lab.cells.model import Expectation, Outcome
from lab.cells.parts import Delivery, Fault
from lab.unchecked.marked import marked

FAULT = Fault(
    name="memory-hog",
    title="all memory there is",
    words="The interpreter takes all memory that it can get, and writes to it.",
    delivery=Delivery.PUSHED,
    payload=marked("memory-hog"),
    expected={
        **MARKED,
        "K": Expectation(
            Outcome.HOST_LOST,
            "The kernel's memory is everybody's: others are killed for it, until it panics.",
        ),
        "P": Expectation(
            Outcome.AGENT_GONE, "It is killed for it, and again each time that it is started."
        ),
        "W": Expectation(Outcome.CONTAINED, "Its own limit ends it; the file is left out."),
    },
)
