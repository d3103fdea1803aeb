"""The interpreter writes to address 0, which content as such can't cause (faults.h)."""

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
        "K": Expectation(
            Outcome.HOST_LOST, "A page fault in the kernel is a panic, and again at each boot."
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
