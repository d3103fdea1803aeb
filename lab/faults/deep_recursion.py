"""The interpreter recurses for ever. The value is marked (faults.h)."""

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
        "K": Expectation(
            Outcome.HOST_LOST,
            "The kernel's stack is small and guarded: a panic, and again at each boot.",
        ),
        "P": Expectation(Outcome.AGENT_GONE, "SIGSEGV, and again each time that it is started."),
        "W": Expectation(Outcome.CONTAINED, "SIGSEGV in one process; the file is left out."),
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
