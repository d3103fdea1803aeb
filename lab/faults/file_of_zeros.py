"""The stored Channel File is full of zeros, as a crash amid a write may leave it."""

from lab.cells.model import Expectation, Outcome
from lab.cells.parts import Delivery, Fault
from lab.unchecked.marked import harmless

FAULT = Fault(
    name="file-of-zeros",
    title="nothing but zeros",
    words="The stored Channel File is a file of zeros when the host starts.",
    delivery=Delivery.PRESENT,
    payload=harmless,
    damage=lambda stored: bytes(len(stored)),
    expected={
        "K": Expectation(Outcome.REFUSED, "The reader checks its own bounds and refuses the file."),
        "P": Expectation(Outcome.REFUSED, "The reader checks its own bounds and refuses the file."),
        "W": Expectation(Outcome.REFUSED, "The payload's hash is not the one that was stored."),
        "B1": Expectation(
            Outcome.REFUSED, "The verifier refuses the program, whatever the content."
        ),
        "B2": Expectation(
            Outcome.REFUSED, "The reader checks its own bounds and refuses the file."
        ),
        "G": Expectation(Outcome.REFUSED, "The payload's hash is not the one that was stored."),
    },
)
