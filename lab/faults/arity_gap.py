"""The fault of 19 July 2024: content for 21 fields, a sensor that supplies 20 inputs.

It is pushed to a host that is protected, and on whose disk it is from then on.
"""

from lab.cells.expected import READ_PAST_THE_END
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
        **READ_PAST_THE_END,
        "G": Expectation(
            Outcome.REFUSED, "Arity and fingerprint are compared before anything is evaluated."
        ),
    },
)
