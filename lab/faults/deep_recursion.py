"""The interpreter recurses for ever. The value is marked (faults.h)."""

from lab.cells.expected import MARKED, SEGMENTATION_FAULT
from lab.cells.model import Expectation, Outcome
from lab.cells.parts import Delivery, Fault
from lab.unchecked.marked import marked

FAULT = Fault(
    name="deep-recursion",
    title="a recursion without end",
    words="The interpreter calls itself until its stack is used up.",
    delivery=Delivery.PUSHED,
    payload=marked("deep-recursion"),
    expected={
        **MARKED,
        **SEGMENTATION_FAULT,
        "K": Expectation(
            Outcome.HOST_LOST,
            "The kernel's stack is small and guarded: a panic, and again at each boot.",
        ),
    },
)
