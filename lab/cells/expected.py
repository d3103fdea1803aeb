"""What is expected of arms under several faults alike, for the same reason. Pure.

A fault takes a group with `**`, and says of the other arms what is its own.
"""

from collections.abc import Mapping
from types import MappingProxyType

from lab.cells.model import Expectation, Outcome

Expected = Mapping[str, Expectation]

VERIFIED: Expected = MappingProxyType(
    {"B1": Expectation(Outcome.REFUSED, "The verifier refuses the program, whatever the content.")}
)
"""Of every fault of content: the program with an unchecked index is refused before there is any."""

READ_PAST_THE_END: Expected = MappingProxyType(
    {
        **VERIFIED,
        "K": Expectation(
            Outcome.HOST_LOST, "The kernel reads past the array and panics, and again at each boot."
        ),
        "P": Expectation(
            Outcome.AGENT_GONE, "The agent dies of it, and again each time that it is started."
        ),
        "W": Expectation(
            Outcome.CONTAINED, "One process dies; its successor goes back to last known good."
        ),
        "B2": Expectation(
            Outcome.WRONG_ANSWER, "Slot 21 is there, and has what an earlier event left in it."
        ),
    }
)
"""Of a criterion on field 21 of 20 that is evaluated."""

MARKED: Expected = MappingProxyType(
    {
        **VERIFIED,
        "B2": Expectation(
            Outcome.UNAFFECTED,
            "A BPF program has no such code: the text is compared, and that is all.",
        ),
        "G": Expectation(
            Outcome.UNAFFECTED, "The content is valid; its interpreter has no such code."
        ),
    }
)
"""Of faults behind a marked value (faults.h), which only the shared C source knows."""

SEGMENTATION_FAULT: Expected = MappingProxyType(
    {
        "P": Expectation(Outcome.AGENT_GONE, "SIGSEGV, and again each time that it is started."),
        "W": Expectation(Outcome.CONTAINED, "SIGSEGV in one process; the file is left out."),
    }
)

HANG: Expected = MappingProxyType(
    {
        "P": Expectation(
            Outcome.AGENT_GONE, "The process does not end, so nobody starts it again."
        ),
        "W": Expectation(
            Outcome.CONTAINED, "Its heartbeat stops; it is killed, and the file is left out."
        ),
    }
)
"""Of an interpreter that goes on for ever."""

DAMAGED: Expected = MappingProxyType(
    {
        **VERIFIED,
        **{
            arm: Expectation(
                Outcome.REFUSED, "The reader checks its own bounds and refuses the file."
            )
            for arm in ("K", "P", "B2")
        },
        **{
            arm: Expectation(Outcome.REFUSED, "The payload's hash is not the one that was stored.")
            for arm in ("W", "G")
        },
    }
)
"""Of a file that is not what was written."""
