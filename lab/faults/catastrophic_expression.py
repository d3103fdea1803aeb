"""A catastrophic expression, as (a+)+$ is for whoever matches by backtracking.

The C code has such a matcher behind a marked value (faults.h); the product evaluates the
expression itself.
"""

from content.model import Operator
from lab.cells.expected import HANG, VERIFIED
from lab.cells.model import Expectation, Outcome
from lab.cells.parts import Delivery, Fault, Types
from lab.unchecked.marked import MARK, payload


def _payload(types: Types, version: int) -> bytes:
    wanted = [(Operator.CONTAINS, MARK + b"catastrophic-expression"), (Operator.REGEX, b"(a+)+$")]
    return payload(types, version, wanted)


FAULT = Fault(
    name="catastrophic-expression",
    title="(a+)+$ on a text that nearly matches",
    words="An expression whose matching takes exponential time where it is done by backtracking.",
    delivery=Delivery.PUSHED,
    payload=_payload,
    pipe="a" * 56 + "!",
    hangs=True,
    expected={
        **HANG,
        **VERIFIED,
        "K": Expectation(
            Outcome.HOST_LOST,
            "A processor is busy for years; nobody panics, and nobody can do anything.",
        ),
        "B2": Expectation(Outcome.UNAFFECTED, "A BPF program has no expressions."),
        "G": Expectation(Outcome.UNAFFECTED, "The same expression is matched in linear time."),
    },
)
