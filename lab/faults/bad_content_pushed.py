"""Bad content is pushed that claims to be what the sensor supplies; comparing is no help."""

from lab.cells.model import Expectation, Outcome
from lab.cells.parts import Delivery, Fault
from lab.july19 import disguised_channel_file

FAULT = Fault(
    name="bad-content-pushed",
    title="a file that hides its gap is pushed",
    words="A file with a criterion on field 21 that claims the arity of the sensor.",
    delivery=Delivery.PUSHED,
    payload=disguised_channel_file,
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
            Outcome.REFUSED,
            "Each field number is checked against what is supplied, whatever is claimed.",
        ),
    },
)
