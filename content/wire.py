"""Between protobuf messages and the values of `content.model` and `content.supply`.

From the wire nothing is coerced, defaulted or skipped: an unset or unknown enum, a value without a
kind, an input given twice and a count over its limit are problems, all reported at once. Counts
are checked before anything is built from the items. Ranges and meaning are the validator's.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any, TypeVar

from bulkhead.v1 import channel_file_pb2, report_pb2, template_type_pb2
from content.definitions import RUNG_NUMBERS, Field, Kind, SchemaVersion
from content.limits import LIMITS
from content.model import (
    AddressPrefix,
    ChannelFile,
    Clause,
    Criterion,
    Disposition,
    Operator,
    Sample,
    Severity,
    Signed,
    TemplateInstance,
    TemplateTypeReference,
    Value,
    read_only,
)
from content.problems import ContentError, Problem, Reporter
from content.reasons import Reason
from content.supply import SuppliedType, Supply

MAX_SUPPLIED_TYPES = 1024
"""More Template Types than any sensor has."""

_Enum = TypeVar("_Enum", bound=IntEnum)


def channel_file_from_proto(message: channel_file_pb2.ChannelFile) -> ChannelFile:
    """The values of a message; ContentError with every problem."""
    reader = _Reader()
    channel_file = reader.channel_file(message)
    if channel_file is None or reader.problems:
        raise ContentError(reader.problems)
    return channel_file


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
        version=_version(reference),
        fingerprint=reference.fingerprint,
        arity=reference.arity,
        supplied_fields=fields,
    )


def _version(reference: template_type_pb2.TemplateTypeReference) -> SchemaVersion:
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


class _Reader:
    """Reads messages into values; None, or a shorter tuple, always comes with a problem."""

    def __init__(self) -> None:
        self._report = Reporter()
        self._criteria = 0
        self._values = 0

    @property
    def problems(self) -> list[Problem]:
        """Everything that was refused so far."""
        return self._report.problems

    def channel_file(self, message: channel_file_pb2.ChannelFile) -> ChannelFile | None:
        reference = message.template_type
        for present, place in (
            (message.HasField("template_type"), "template_type"),
            (reference.HasField("schema_version"), "template_type.schema_version"),
        ):
            if not present:
                self._report(Reason.NOT_A_CHANNEL_FILE, place, "nothing", "a Template Type")
                return None
        instances = [
            self._instance(one, f"instances[{index}]")
            for index, one in self._counted(message.instances, "instances", LIMITS.instances)
        ]
        return ChannelFile(
            TemplateTypeReference(
                reference.number, _version(reference), reference.fingerprint, reference.arity
            ),
            message.version,
            tuple(instance for instance in instances if instance is not None),
        )

    def _instance(
        self, message: channel_file_pb2.TemplateInstance, place: str
    ) -> TemplateInstance | None:
        disposition = self._enum(Disposition, message.disposition, f"{place}.disposition")
        severity = self._enum(Severity, message.severity, f"{place}.severity")
        place_of = f"{place}.clauses"
        clauses = tuple(
            self._clause(one, f"{place_of}[{index}]")
            for index, one in self._counted(message.clauses, place_of, LIMITS.clauses_per_instance)
        )
        samples = tuple(
            self._sample(one, f"{place}.samples[{index}]")
            for index, one in self._counted(
                message.samples, f"{place}.samples", LIMITS.samples_per_instance
            )
        )
        if disposition is None or severity is None:
            return None
        return TemplateInstance(
            id=message.id,
            disposition=disposition,
            severity=severity,
            title=message.title,
            description=message.description,
            attack_techniques=tuple(message.attack_techniques),
            false_positives=tuple(message.false_positives),
            clauses=clauses,
            samples=samples,
            author=message.author,
            license=message.license,
            source=message.source,
            references=tuple(message.references),
        )

    def _clause(self, message: channel_file_pb2.Clause, place: str) -> Clause:
        self._criteria += len(message.criteria)
        if self._criteria > LIMITS.criteria_total:
            self._report.count(f"{place}.criteria", self._criteria, LIMITS.criteria_total)
            return Clause(())
        criteria = [
            self._criterion(one, f"{place}.criteria[{index}]")
            for index, one in self._counted(
                message.criteria, f"{place}.criteria", LIMITS.criteria_per_clause
            )
        ]
        return Clause(tuple(criterion for criterion in criteria if criterion is not None))

    def _criterion(self, message: channel_file_pb2.Criterion, place: str) -> Criterion | None:
        operator = self._enum(Operator, message.operator, f"{place}.operator")
        self._values += len(message.values)
        if self._values > LIMITS.values_total:
            self._report.count(f"{place}.values", self._values, LIMITS.values_total)
            return None
        counted = self._counted(message.values, f"{place}.values", LIMITS.values_per_criterion)
        values = [self._value(one, f"{place}.values[{index}]") for index, one in counted]
        if operator is None:
            return None
        return Criterion(
            field=message.field,
            operator=operator,
            values=tuple(value for value in values if value is not None),
            negated=message.negated,
            case_sensitive=message.case_sensitive,
        )

    def _sample(self, message: channel_file_pb2.Sample, place: str) -> Sample:
        inputs: dict[int, Value] = {}
        limit = LIMITS.inputs_per_sample
        for index, one in self._counted(message.inputs, f"{place}.inputs", limit):
            value = self._value(one.value, f"{place}.inputs[{index}].value")
            if one.field in inputs:
                found = f"field {one.field} again"
                self._report(
                    Reason.DUPLICATE_INPUT, f"{place}.inputs[{index}]", found, "each field once"
                )
            if value is not None:
                inputs[one.field] = value
        return Sample(message.name, message.must_match, read_only(inputs))

    def _value(self, message: channel_file_pb2.Value, place: str) -> Value | None:
        value = value_from_proto(message)
        if value is None:
            self._report(Reason.BLANK_VALUE, place, "no value", "text, a number or a prefix")
        return value

    def _enum(self, kind: type[_Enum], number: int, place: str) -> _Enum | None:
        try:
            return kind(number)
        except ValueError:
            reason = Reason.UNKNOWN_ENUM if number else Reason.UNSET_ENUM
            names = ", ".join(member.name.lower() for member in kind)
            self._report(reason, place, str(number), f"one of {names}")
            return None

    def _counted(self, items: Sequence[Any], place: str, limit: int) -> Iterable[tuple[int, Any]]:
        """The items with their index, or none at all where there are too many."""
        if len(items) > limit:
            self._report.count(place, len(items), limit)
            return ()
        return enumerate(items)
