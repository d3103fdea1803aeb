"""The interpreter loops for ever. The value is marked (faults.h)."""

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
        "K": Expectation(
            Outcome.HOST_LOST,
            "A processor never comes back; nobody panics, and nobody can do anything.",
        ),
        "P": Expectation(
            Outcome.AGENT_GONE, "The process does not end, so nobody starts it again."
        ),
        "W": Expectation(
            Outcome.CONTAINED, "Its heartbeat stops; it is killed, and the file is left out."
        ),
        "B1": Expectation(
            Outcome.REFUSED, "The verifier refuses the program, whatever the content."
        ),
        "B2": Expectation(
            Outcome.UNAFFECTED,
            "A BPF program has no such code: the text is compared, and that is all.",
        ),
        "G": Expectation(
            Outcome.UNAFFECTED, "The content is valid; its interpreter has no such code."
        ),
    },
)
