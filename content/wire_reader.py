"""Messages of a Channel File into values of `content.model`, instance by instance.

Nothing is coerced, defaulted or skipped: an unset or unknown enum, a value without a kind, an input
given twice and a count over its limit are problems, all reported at once. Counts are checked before
anything is built from the items. Ranges and meaning are the validator's.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any, TypeVar

from bulkhead.v1 import channel_file_pb2
from content.limits import LIMITS
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
    read_only,
)
from content.problems import Problem, Reporter
from content.reasons import Reason
from content.wire import value_from_proto, version_from_proto

_TEXT_LISTS = {
    "attack_techniques": LIMITS.attack_techniques_per_instance,
    "false_positives": LIMITS.false_positives_per_instance,
    "references": LIMITS.references_per_instance,
}

_Enum = TypeVar("_Enum", bound=IntEnum)


class ChannelFileReader:
    """Reads messages into values; None, or a shorter tuple, always comes with a problem."""

    def __init__(self) -> None:
        self.report = Reporter()
        self._criteria = 0
        self._values = 0

    @property
    def problems(self) -> list[Problem]:
        """Everything that was refused so far."""
        return self.report.problems

    def channel_file(self, head: channel_file_pb2.ChannelFile) -> ChannelFile | None:
        """The Channel File of a message whose instances come one by one."""
        reference = head.template_type
        for present, place in (
            (head.HasField("template_type"), "template_type"),
            (reference.HasField("schema_version"), "template_type.schema_version"),
        ):
            if not present:
                self.report(Reason.NOT_A_CHANNEL_FILE, place, "nothing", "a Template Type")
                return None
        named = TemplateTypeReference(
            number=reference.number,
            version=version_from_proto(reference),
            fingerprint=reference.fingerprint,
            arity=reference.arity,
        )
        return ChannelFile(named, head.version, ())

    def instance(
        self, message: channel_file_pb2.TemplateInstance, place: str
    ) -> TemplateInstance | None:
        """The next instance of the Channel File."""
        disposition = self._enum(Disposition, message.disposition, f"{place}.disposition")
        severity = self._enum(Severity, message.severity, f"{place}.severity")
        lists = {
            name: self._texts(getattr(message, name), f"{place}.{name}", limit)
            for name, limit in _TEXT_LISTS.items()
        }
        clauses = tuple(
            self._clause(one, f"{place}.clauses[{index}]")
            for index, one in self._counted(
                message.clauses, f"{place}.clauses", LIMITS.clauses_per_instance
            )
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
            clauses=clauses,
            samples=samples,
            author=message.author,
            license=message.license,
            source=message.source,
            **lists,
        )

    def _clause(self, message: channel_file_pb2.Clause, place: str) -> Clause:
        self._criteria += len(message.criteria)
        if self._criteria > LIMITS.criteria_total:
            self.report.count(f"{place}.criteria", self._criteria, LIMITS.criteria_total)
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
            self.report.count(f"{place}.values", self._values, LIMITS.values_total)
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
                self.report(
                    Reason.DUPLICATE_INPUT, f"{place}.inputs[{index}]", found, "each field once"
                )
            if value is not None:
                inputs[one.field] = value
        return Sample(message.name, message.must_match, read_only(inputs))

    def _value(self, message: channel_file_pb2.Value, place: str) -> Value | None:
        value = value_from_proto(message)
        if value is None:
            self.report(Reason.BLANK_VALUE, place, "no value", "text, a number or a prefix")
        return value

    def _enum(self, kind: type[_Enum], number: int, place: str) -> _Enum | None:
        try:
            return kind(number)
        except ValueError:
            reason = Reason.UNKNOWN_ENUM if number else Reason.UNSET_ENUM
            names = ", ".join(member.name.lower() for member in kind)
            self.report(reason, place, str(number), f"one of {names}")
            return None

    def _texts(self, texts: Sequence[str], place: str, limit: int) -> tuple[str, ...]:
        return tuple(text for _, text in self._counted(texts, place, limit))

    def _counted(self, items: Sequence[Any], place: str, limit: int) -> Iterable[tuple[int, Any]]:
        """The items with their index, or none at all where there are too many."""
        if len(items) > limit:
            self.report.count(place, len(items), limit)
            return ()
        return enumerate(items)
