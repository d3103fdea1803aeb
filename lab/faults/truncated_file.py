"""The stored Channel File ends in the middle, as a full disk may leave it."""

from lab.cells.model import Expectation, Outcome
from lab.cells.parts import Delivery, Fault
from lab.unchecked.marked import harmless

FAULT = Fault(
    name="truncated-file",
    title="its second half is missing",
    words="The second half of the stored Channel File is missing when the host starts.",
    delivery=Delivery.PRESENT,
    payload=harmless,
    damage=lambda stored: stored[: len(stored) // 2],
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
