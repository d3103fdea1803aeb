"""The stored Channel File ends in the middle, as a full disk may leave it."""

from lab.cells.expected import DAMAGED
from lab.cells.parts import Delivery, Fault
from lab.unchecked.marked import harmless

FAULT = Fault(
    name="truncated-file",
    title="its second half is missing",
    words="The second half of the stored Channel File is missing when the host starts.",
    delivery=Delivery.PRESENT,
    payload=harmless,
    damage=lambda stored: stored[: len(stored) // 2],
    expected=DAMAGED,
)
