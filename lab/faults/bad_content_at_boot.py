"""The content of 19 July 2024 is in force at boot, as if it had passed every check before."""

from lab.cells.expected import READ_PAST_THE_END
from lab.cells.model import Expectation, Outcome
from lab.cells.parts import Delivery, Fault
from lab.july19 import channel_file

FAULT = Fault(
    name="bad-content-at-boot",
    title="it is in force when the host starts",
    words="The Channel File of 19 July 2024 is in force when the host starts for the first time.",
    delivery=Delivery.PRESENT,
    payload=lambda types, version: channel_file(types, version, wildcard=False),
    expected={
        **READ_PAST_THE_END,
        "G": Expectation(
            Outcome.REFUSED, "The store has it as accepted; the evaluator refuses to load it."
        ),
    },
)
