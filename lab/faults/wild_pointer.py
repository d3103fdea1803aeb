"""The interpreter follows a pointer to nowhere. The value is marked (faults.h)."""

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
        "K": Expectation(
            Outcome.HOST_LOST,
            "A general protection fault in the kernel is a panic, and again at each boot.",
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
