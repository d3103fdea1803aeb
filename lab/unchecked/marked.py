"""Channel Files for ipc whose one instance is harmless content, and marked: see faults.h.

Every check of the product passes them, and the product's interpreter compares a text that no path
has. The interpreter in C commits the fault that the text names.
"""

from collections.abc import Callable, Mapping, Sequence

from content.channel_file import pack
from content.model import (
    ChannelFile,
    Clause,
    Criterion,
    Disposition,
    Operator,
    Sample,
    Severity,
    TemplateInstance,
    TemplateTypeReference,
)
from content.template_type import TemplateType

IPC = "ipc"
MARK = b"bulkhead-laboratory:"
FIFO_CREATE = 3
HARMLESS_PATH = b"/run/beacon-"


def marked(fault: str) -> Callable[[Mapping[int, TemplateType], int], bytes]:
    """What makes a payload with this fault: from Template Types and a version."""
    text = MARK + fault.encode()
    return lambda types, version: payload(types, version, [(Operator.CONTAINS, text)])


def harmless(types: Mapping[int, TemplateType], version: int) -> bytes:
    """A Channel File without any mark, which every sensor evaluates and nothing here matches."""
    return payload(types, version, [(Operator.STARTS_WITH, HARMLESS_PATH)])


def payload(
    types: Mapping[int, TemplateType], version: int, wanted: Sequence[tuple[Operator, bytes]]
) -> bytes:
    """A Channel File with an instance for each of these criteria on the path of a pipe."""
    kind = next(one for one in types.values() if one.name == IPC)
    reference = TemplateTypeReference(kind.number, kind.version, kind.fingerprint, kind.arity)
    numbers = {field.name: field.number for field in kind.fields}
    instances = [
        _instance(number, numbers, operator, text)
        for number, (operator, text) in enumerate(wanted, 1)
    ]
    return pack(ChannelFile(reference, version, tuple(instances)))


def _instance(
    number: int, numbers: Mapping[str, int], operator: Operator, text: bytes
) -> TemplateInstance:
    path, operation = numbers["path"], numbers["operation"]
    matching = text if operator is not Operator.REGEX else b"a"
    return TemplateInstance(
        id=f"lab-marked-{number}",
        disposition=Disposition.DETECT,
        severity=Severity.LOW,
        title="Of the laboratory",
        description="A pipe of the laboratory was made; it says nothing about an attack.",
        attack_techniques=("T1559",),
        false_positives=("Tests of this sensor.",),
        clauses=(Clause((Criterion(path, operator, (text,)),)),),
        samples=(
            Sample(
                "its own pipe", must_match=True, inputs={operation: FIFO_CREATE, path: matching}
            ),
            Sample(
                "another", must_match=False, inputs={operation: FIFO_CREATE, path: b"/run/initctl"}
            ),
        ),
    )
