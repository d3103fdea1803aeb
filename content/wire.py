"""Between protobuf messages and the values of `content.model` and `content.supply`.

Channel Files come from the wire through `content.wire_reader`, which refuses; what goes to the wire
and what sensor and cloud tell one another is converted here.
"""

from collections.abc import Sequence

from bulkhead.v1 import channel_file_pb2, report_pb2, template_type_pb2
from content.definitions import RUNG_NUMBERS, Field, Kind, SchemaVersion
from content.model import (
    AddressPrefix,
    ChannelFile,
    Criterion,
    Sample,
    Signed,
    TemplateInstance,
    TemplateTypeReference,
    Value,
)
from content.problems import ContentError, Problem
from content.reasons import Reason
from content.supply import SuppliedType, Supply

MAX_SUPPLIED_TYPES = 1024
"""More Template Types than any sensor has."""


def channel_file_to_proto(channel_file: ChannelFile) -> channel_file_pb2.ChannelFile:
    """The message of a Channel File; says the same for the same values, always."""
    return channel_file_pb2.ChannelFile(
        template_type=reference_to_proto(channel_file.template_type),
        version=channel_file.version,
        instances=map(_instance_to_proto, channel_file.instances),
    )


def value_to_proto(field: Field, value: bytes | int) -> channel_file_pb2.Value:
    """The message of one decoded input (`content.record.decode`) of a field."""
    if field.kind is Kind.ADDRESS and isinstance(value, bytes):
        return _value_to_proto(AddressPrefix(value, 8 * len(value)))
    if field.kind is Kind.SIGNED and isinstance(value, int):
        return _value_to_proto(Signed(value))
    return _value_to_proto(value)


def value_from_proto(message: channel_file_pb2.Value) -> Value | None:
    """The value of a message, None where no kind is set."""
    kind = message.WhichOneof("kind")
    if kind == "text":
        return message.text
    if kind == "unsigned":
        return message.unsigned
    if kind == "signed":
        return Signed(message.signed)
    if kind == "prefix":
        return AddressPrefix(message.prefix.address, message.prefix.length)
    return None


def reference_to_proto(
    reference: TemplateTypeReference | SuppliedType,
) -> template_type_pb2.TemplateTypeReference:
    """The message that names a Template Type."""
    return template_type_pb2.TemplateTypeReference(
        number=reference.number,
        schema_version=template_type_pb2.SchemaVersion(
            major=reference.version.major, minor=reference.version.minor
        ),
        fingerprint=reference.fingerprint,
        arity=reference.arity,
    )


def supply_to_proto(supply: Supply) -> list[template_type_pb2.SuppliedTemplateType]:
    """The messages of a sensor's hello."""
    return [
        template_type_pb2.SuppliedTemplateType(
            template_type=reference_to_proto(supplied),
            name=supplied.name,
            supplied_fields=sorted(supplied.supplied_fields),
        )
        for supplied in supply.types.values()
    ]


def supply_from_proto(
    rung: int, messages: Sequence[template_type_pb2.SuppliedTemplateType]
) -> Supply:
    """What a sensor said that it supplies; ContentError where that makes no sense."""
    rungs = {number: name for name, number in RUNG_NUMBERS.items()}
    if rung not in rungs:
        reason = Reason.UNKNOWN_ENUM if rung else Reason.UNSET_ENUM
        raise ContentError([Problem(reason, "rung", str(rung), "a rung of the ladder")])
    if len(messages) > MAX_SUPPLIED_TYPES:
        raise ContentError([_too_many("supplied", len(messages), MAX_SUPPLIED_TYPES)])
    types: dict[int, SuppliedType] = {}
    for index, message in enumerate(messages):
        supplied = _supplied_from_proto(message, f"supplied[{index}]")
        if supplied.number in types:
            found = f"Template Type {supplied.number} again"
            raise ContentError(
                [Problem(Reason.DUPLICATE_ID, f"supplied[{index}]", found, "each type once")]
            )
        types[supplied.number] = supplied
    return Supply(rungs[rung], types)


def problem_to_proto(problem: Problem) -> report_pb2.Problem:
    """The message of a problem, as acknowledgements carry it."""
    return report_pb2.Problem(
        reason_code=problem.reason,
        place=problem.place,
        found=problem.found,
        expected=problem.expected,
    )


def _supplied_from_proto(
    message: template_type_pb2.SuppliedTemplateType, place: str
) -> SuppliedType:
    reference = message.template_type
    fields = frozenset(message.supplied_fields)
    if any(not 1 <= field <= reference.arity for field in fields):
        expected = f"fields 1 to {reference.arity}"
        found = f"supplied fields up to {max(fields)}"
        raise ContentError([Problem(Reason.FIELD_OUT_OF_RANGE, place, found, expected)])
    return SuppliedType(
        number=reference.number,
        name=message.name,
        version=version_from_proto(reference),
        fingerprint=reference.fingerprint,
        arity=reference.arity,
        supplied_fields=fields,
    )


def version_from_proto(reference: template_type_pb2.TemplateTypeReference) -> SchemaVersion:
    """The schema version that a reference names."""
    return SchemaVersion(reference.schema_version.major, reference.schema_version.minor)


def _instance_to_proto(instance: TemplateInstance) -> channel_file_pb2.TemplateInstance:
    return channel_file_pb2.TemplateInstance(
        id=instance.id,
        disposition=channel_file_pb2.Disposition.ValueType(instance.disposition),
        severity=channel_file_pb2.Severity.ValueType(instance.severity),
        title=instance.title,
        description=instance.description,
        attack_techniques=instance.attack_techniques,
        false_positives=instance.false_positives,
        clauses=[
            channel_file_pb2.Clause(criteria=map(_criterion_to_proto, clause.criteria))
            for clause in instance.clauses
        ],
        samples=map(_sample_to_proto, instance.samples),
        author=instance.author,
        license=instance.license,
        source=instance.source,
        references=instance.references,
    )


def _criterion_to_proto(criterion: Criterion) -> channel_file_pb2.Criterion:
    return channel_file_pb2.Criterion(
        field=criterion.field,
        operator=channel_file_pb2.Operator.ValueType(criterion.operator),
        values=map(_value_to_proto, criterion.values),
        negated=criterion.negated,
        case_sensitive=criterion.case_sensitive,
    )


def _sample_to_proto(sample: Sample) -> channel_file_pb2.Sample:
    return channel_file_pb2.Sample(
        name=sample.name,
        must_match=sample.must_match,
        inputs=[
            channel_file_pb2.FieldInput(field=number, value=_value_to_proto(value))
            for number, value in sample.inputs.items()
        ],
    )


def _value_to_proto(value: Value) -> channel_file_pb2.Value:
    if isinstance(value, bytes):
        return channel_file_pb2.Value(text=value)
    if isinstance(value, AddressPrefix):
        prefix = channel_file_pb2.AddressPrefix(address=value.address, length=value.length)
        return channel_file_pb2.Value(prefix=prefix)
    if isinstance(value, Signed):
        return channel_file_pb2.Value(signed=value)
    return channel_file_pb2.Value(unsigned=value)


def _too_many(place: str, count: int, limit: int) -> Problem:
    return Problem(Reason.LIMIT_EXCEEDED, place, str(count), f"at most {limit}")
