"""The fault of 19 July 2024: content for 21 fields, a sensor that supplies 20 inputs.

It is pushed to a host that is protected, and on whose disk it is from then on.
"""

from lab.cells.model import Expectation, Outcome
from lab.cells.parts import Delivery, Fault
from lab.july19 import channel_file

FAULT = Fault(
    name="arity-gap",
    title="a criterion on field 21 of 20",
    words="The Channel File of 19 July 2024 comes to a host that is protected.",
    delivery=Delivery.PUSHED,
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
            Outcome.REFUSED, "Arity and fingerprint are compared before anything is evaluated."
        ),
    },
)
