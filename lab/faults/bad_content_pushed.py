"""Bad content is pushed that claims to be what the sensor supplies; comparing is no help."""

from lab.cells.expected import READ_PAST_THE_END
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
        **READ_PAST_THE_END,
        "G": Expectation(
            Outcome.REFUSED,
            "Each field number is checked against what is supplied, whatever is claimed.",
        ),
    },
)
