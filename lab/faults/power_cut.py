"""The power fails in the middle of an update.

The host starts again, as with any power cut; the question is what it then has for content.
"""

from lab.cells.model import Expectation, Outcome
from lab.cells.parts import Delivery, Fault
from lab.unchecked.marked import harmless

FAULT = Fault(
    name="power-cut",
    title="no power amid an update",
    words="The power is cut while content is updated without end.",
    delivery=Delivery.POWER_CUT,
    payload=harmless,
    expected={
        "K": Expectation(Outcome.HOST_RESTARTED, "The power comes back, and the host with it."),
        "P": Expectation(Outcome.HOST_RESTARTED, "The power comes back, and the host with it."),
        "W": Expectation(Outcome.HOST_RESTARTED, "The power comes back, and the host with it."),
        "B1": Expectation(Outcome.HOST_RESTARTED, "The power comes back, and the host with it."),
        "B2": Expectation(Outcome.HOST_RESTARTED, "The power comes back, and the host with it."),
        "G": Expectation(Outcome.HOST_RESTARTED, "The power comes back, and the host with it."),
    },
)
