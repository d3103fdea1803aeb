"""The content of 19 July 2024 is in force at boot, as if it had passed every check before."""

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
        "K": Expectation(
            Outcome.HOST_LOST, "The kernel reads past the array and panics, and again at each boot."
        ),
        "P": Expectation(
            Outcome.AGENT_GONE, "The agent dies of it, and again each time that it is started."
        ),
        "W": Expectation(
            Outcome.CONTAINED, "One process dies; its successor goes back to last known good."
        ),
        "B1": Expectation(
            Outcome.REFUSED, "The verifier refuses the program, whatever the content."
        ),
        "B2": Expectation(
            Outcome.WRONG_ANSWER, "Slot 21 is there, and has what an earlier event left in it."
        ),
        "G": Expectation(
            Outcome.REFUSED, "The store has it as accepted; the evaluator refuses to load it."
        ),
    },
)
