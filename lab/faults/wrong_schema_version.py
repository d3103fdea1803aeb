"""Content that was written for another version of the Template Type.

Its author means another field by number 2; here it is the path, and every ordinary pipe matches.
"""

from dataclasses import replace

from content.channel_file import load, pack
from content.model import Operator
from content.template_type import SchemaVersion
from lab.cells.expected import VERIFIED
from lab.cells.model import Expectation, Outcome
from lab.cells.parts import Delivery, Fault, Types
from lab.unchecked.marked import payload


def _payload(types: Types, version: int) -> bytes:
    file = load(payload(types, version, [(Operator.CONTAINS, b"/run/bulkhead")]))
    other = SchemaVersion(file.template_type.version.major + 1, 0)
    return pack(replace(file, template_type=replace(file.template_type, version=other)))


FAULT = Fault(
    name="wrong-schema-version",
    title="written for another schema",
    words="Content for another version of the Template Type, in which field 2 is something else.",
    delivery=Delivery.PUSHED,
    payload=_payload,
    expected={
        **VERIFIED,
        "K": Expectation(Outcome.WRONG_ANSWER, "It is evaluated as if field 2 were the path."),
        "P": Expectation(Outcome.WRONG_ANSWER, "It is evaluated as if field 2 were the path."),
        "W": Expectation(Outcome.WRONG_ANSWER, "It is evaluated as if field 2 were the path."),
        "B2": Expectation(Outcome.WRONG_ANSWER, "It is evaluated as if field 2 were the path."),
        "G": Expectation(
            Outcome.REFUSED, "The schema version has to be exactly the one of the sensor."
        ),
    },
)
