"""The interpreter writes to address 0, which content as such can't cause (faults.h)."""

from lab.cells.expected import MARKED, SEGMENTATION_FAULT
from lab.cells.model import Expectation, Outcome
from lab.cells.parts import Delivery, Fault
from lab.unchecked.marked import marked

FAULT = Fault(
    name="null-pointer",
    title="a write to address 0",
    words="The interpreter writes to address 0 when it comes to a marked value.",
    delivery=Delivery.PUSHED,
    payload=marked("null-pointer"),
    expected={
        **MARKED,
        **SEGMENTATION_FAULT,
        "K": Expectation(
            Outcome.HOST_LOST, "A page fault in the kernel is a panic, and again at each boot."
        ),
    },
)
