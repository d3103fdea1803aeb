"""The Channel Files of July 2024: the same Template Type with a field more than is supplied.

The author's Definition of ipc has 21 fields, the sensor supplies 20 inputs. For four months every
instance had a wildcard in field 21, so nobody read it; on 19 July one had a criterion there.
`disguised_channel_file` is the variant that hides the gap: it claims what the sensor supplies.
"""

from collections.abc import Mapping
from dataclasses import replace

from content.channel_file import Envelope, load_envelope, pack, pack_envelope
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
    Value,
)
from content.template_type import Field, Kind, Rung, TemplateType

IPC = "ipc"
EXTRA_FIELD = 21
EXTRA_FIELD_CAPACITY = 256
INSTANCE_ID = "ipc-named-pipe-of-a-command-and-control-framework"
PIPE_PATH = b"/run/beacon-"
PIPE_CONTEXT = b"beacon"


def definition_with_21_fields(types: Mapping[int, TemplateType]) -> TemplateType:
    """The sensor's ipc with a 21st field, under the same number and schema version."""
    ipc = _ipc(types)
    extra = Field(
        number=EXTRA_FIELD,
        name="named_pipe_context",
        kind=Kind.TEXT,
        description="What is known about the pipe; defined by the author, supplied by nobody.",
        rungs=frozenset({Rung.BPF_BTF}),
        capacity=EXTRA_FIELD_CAPACITY,
    )
    return replace(ipc, fields=(*ipc.fields, extra))


def channel_file(types: Mapping[int, TemplateType], version: int, *, wildcard: bool) -> bytes:
    """The payload as its author packed it: 21 fields, and their fingerprint.

    wildcard: as in the four months before, when no criterion was on field 21.
    """
    believed = definition_with_21_fields(types)
    return _packed(believed, version, wildcard=wildcard)


def disguised_channel_file(types: Mapping[int, TemplateType], version: int) -> bytes:
    """A payload that claims the sensor's own arity and fingerprint, with a criterion on field 21.

    Comparing references alone would let it pass.
    """
    supplied = _ipc(types)
    return _packed(supplied, version, wildcard=False)


def unsigned(payload: bytes) -> bytes:
    """The payload in an envelope without a signature, as an author's tool writes it."""
    return pack_envelope(Envelope(payload))


def payload_of(envelope: bytes) -> bytes:
    """The payload of such an envelope; ContentError if it is none."""
    return load_envelope(envelope).payload


def _ipc(types: Mapping[int, TemplateType]) -> TemplateType:
    return next(template_type for template_type in types.values() if template_type.name == IPC)


def _packed(claimed: TemplateType, version: int, *, wildcard: bool) -> bytes:
    reference = TemplateTypeReference(
        number=claimed.number,
        version=claimed.version,
        fingerprint=claimed.fingerprint,
        arity=claimed.arity,
    )
    return pack(ChannelFile(reference, version, (_instance(claimed, wildcard=wildcard),)))


def _instance(claimed: TemplateType, *, wildcard: bool) -> TemplateInstance:
    criteria = _wildcard_criteria(claimed) if wildcard else (_criterion_on_the_extra_field(),)
    return TemplateInstance(
        id=INSTANCE_ID,
        disposition=Disposition.DETECT,
        severity=Severity.HIGH,
        title="Named pipe of a command and control framework",
        description="A pipe or socket as a known command and control framework makes them.",
        attack_techniques=("T1559",),
        false_positives=("Tests of such frameworks.",),
        clauses=(Clause(criteria),),
        samples=_samples(claimed),
    )


def _wildcard_criteria(claimed: TemplateType) -> tuple[Criterion, ...]:
    path = _number(claimed, "path")
    return (Criterion(path, Operator.STARTS_WITH, (PIPE_PATH,)),)


def _criterion_on_the_extra_field() -> Criterion:
    return Criterion(EXTRA_FIELD, Operator.STARTS_WITH, (PIPE_CONTEXT,))


def _samples(claimed: TemplateType) -> tuple[Sample, ...]:
    operation, path = _number(claimed, "operation"), _number(claimed, "path")
    pipe: dict[int, Value] = {operation: 3, path: PIPE_PATH + b"4f2a"}
    other: dict[int, Value] = {operation: 3, path: b"/run/initctl"}
    if claimed.arity >= EXTRA_FIELD:
        pipe[EXTRA_FIELD] = PIPE_CONTEXT + b" check-in"
        other[EXTRA_FIELD] = b"init"
    return (
        Sample("the framework's pipe", must_match=True, inputs=pipe),
        Sample("the pipe of init", must_match=False, inputs=other),
    )


def _number(template_type: TemplateType, name: str) -> int:
    return next(field.number for field in template_type.fields if field.name == name)
