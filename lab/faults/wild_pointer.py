"""The interpreter follows a pointer to nowhere. The value is marked (faults.h)."""

from lab.cells.expected import MARKED, SEGMENTATION_FAULT
from lab.cells.model import Expectation, Outcome
from lab.cells.parts import Delivery, Fault
from lab.unchecked.marked import marked

FAULT = Fault(
    name="wild-pointer",
    title="a write to an address that can not be",
    words="The interpreter writes to an address that no mapping has.",
    delivery=Delivery.PUSHED,
    payload=marked("wild-pointer"),
    expected={
        **MARKED,
        **SEGMENTATION_FAULT,
        "K": Expectation(
            Outcome.HOST_LOST,
            "A general protection fault in the kernel is a panic, and again at each boot.",
        ),
    },
)
