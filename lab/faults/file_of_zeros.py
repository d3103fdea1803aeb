"""The stored Channel File is full of zeros, as a crash amid a write may leave it."""

from lab.cells.expected import DAMAGED
from lab.cells.parts import Delivery, Fault
from lab.unchecked.marked import harmless

FAULT = Fault(
    name="file-of-zeros",
    title="nothing but zeros",
    words="The stored Channel File is a file of zeros when the host starts.",
    delivery=Delivery.PRESENT,
    payload=harmless,
    damage=lambda stored: bytes(len(stored)),
    expected=DAMAGED,
)
