"""The Content Validator: accepts or refuses a Channel File against what a sensor really supplies.

The same code runs in the author's tool, in the cloud (against the Supply of each sensor) and in
the sensor's trial. All problems are reported at once. In July 2024 the validator believed the
author's Definition; this one believes the Supply. Its checks, each marked with its number below:

Template Type (where one fails, of the fields only 11 and 12 can be judged)
     1. the sensor supplies a Template Type of that number
     2. its schema version is exactly the content's
     3. its arity is the content's
     4. its fingerprint is the content's
Channel File
     5. its version is newer than the active one and fits 63 bits
     6. it has instances; they, all criteria and all values together are within the limits (where
        they are not, nothing else is looked at: it could take too long)
Instance
     7. its id is well formed and unique
     8. title and description are there; prose is neither blank nor over its limit, nor is what says
        whose work it is
     9. ATT&CK techniques are well formed
    10. it has clauses and each clause criteria, within the limits
Criterion
    11. its field is one of the supplied inputs, 1 to arity
    12. the rung in use fills that field in, and tells the values of an enum that are named, or what
        is told in their place is named as well
    13. the operator is one for the field's kind
    14. it has as many values as its operator takes, within the limits
    15. case_sensitive is set only where case is looked at
Value, of a criterion or of a sample
    16. it is of the field's kind
    17. a criterion's text is not blank, within the limit, and can occur in the record
    18. a number fits 64 bits, an enum's is defined
    19. an address or prefix is well formed
    20. an expression or glob is within the subset (content.regex_subset, content.matching.glob)
Samples
    21. there is one that must match and one that must not; names are unique and not blank
    22. inputs are fields 1 to arity, of their kind (16, 18, 19) and within the limits

Values are compared as they are: nothing is trimmed, folded or coerced here.
"""

import re
from collections.abc import Mapping

from content import validator_prose
from content.escape import safe
from content.limits import LIMITS
from content.matching import glob
from content.model import (
    FORMS,
    OPERATORS,
    ORDER_OPERATORS,
    AddressPrefix,
    ChannelFile,
    Criterion,
    Operator,
    Sample,
    TemplateInstance,
    Value,
    form_of,
)
from content.problems import Problem, Reporter
from content.reasons import Reason
from content.record import ADDRESS_BYTES, IPV4_BYTES, number_range
from content.regex_subset import ExpressionError, parse
from content.supply import SuppliedType, Supply
from content.template_type import Field, Kind, Rung, TemplateType

MAX_VERSION = (1 << 63) - 1
"""Versions are compared and stored as signed 64-bit numbers by databases and logs."""

ID_PATTERN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
TECHNIQUE_PATTERN = re.compile(r"T[0-9]{4}(\.[0-9]{3})?")


def validate(
    channel_file: ChannelFile,
    supply: Supply,
    types: Mapping[int, TemplateType],
    *,
    active_version: int = 0,
) -> list[Problem]:
    """All problems (at most `LIMITS.problems`), none where the sensor may evaluate this file.

    types: Definitions that say what kind each field is; what is supplied is up to `supply`.
    active_version: version of the Channel File that this one would replace, 0 for none.
    """
    reporter = Reporter()
    supplied, template_type = _template_type(reporter, channel_file, supply, types)
    if not _channel_file(reporter, channel_file, active_version):
        return reporter.problems
    fields = _Fields(reporter, supplied, template_type, supply.rung) if supplied else None
    for index, instance in enumerate(channel_file.instances):
        place = f"instances[{index}]"
        _instance(reporter, instance, place)
        _samples(reporter, instance.samples, f"{place}.samples")
        if fields:
            _matching(fields, instance, place)
        if reporter.is_full:
            break
    return reporter.problems


def _template_type(
    report: Reporter,
    channel_file: ChannelFile,
    supply: Supply,
    types: Mapping[int, TemplateType],
) -> tuple[SuppliedType | None, TemplateType | None]:
    """What the sensor supplies, and the Definition if it is the one that all three sides mean."""
    content = channel_file.template_type
    # 1. The sensor supplies a Template Type of that number.
    supplied = supply.types.get(content.number)
    if supplied is None:
        _not_supplied(report, content.number, supply, types)
        return None, None
    before = len(report.problems)
    ours, theirs = supplied, content
    # 2. Its schema version is exactly the content's.
    if theirs.version != ours.version:
        reason = Reason.SCHEMA_VERSION_MISMATCH
        report(reason, "template_type.schema_version", theirs.version, str(ours.version))
    # 3. Its arity is the content's.
    if theirs.arity != ours.arity:
        supplied_inputs = f"{ours.arity}, the inputs that are supplied"
        report(Reason.ARITY_MISMATCH, "template_type.arity", theirs.arity, supplied_inputs)
    # 4. Its fingerprint is the content's.
    if theirs.fingerprint != ours.fingerprint:
        reason = Reason.FINGERPRINT_MISMATCH
        found, expected = theirs.fingerprint.hex(), ours.fingerprint.hex()
        report(reason, "template_type.fingerprint", found, expected)
    if len(report.problems) > before:
        return supplied, None
    definition = types.get(content.number)
    if definition is None or definition.fingerprint != supplied.fingerprint:
        found = f"Template Type {content.number} with another Definition than the one known here"
        report(Reason.UNKNOWN_TEMPLATE_TYPE, "template_type.number", found, "a known Definition")
        return supplied, None
    return supplied, definition


def _not_supplied(
    report: Reporter, number: int, supply: Supply, types: Mapping[int, TemplateType]
) -> None:
    place = "template_type.number"
    names = ", ".join(f"{one.number} {one.name}" for one in supply.types.values()) or "nothing"
    if number in types:
        found = f"{number} ({types[number].name})"
        expected = f"what is supplied on the rung {supply.rung}: {safe(names)}"
        report(Reason.TEMPLATE_TYPE_NOT_SUPPLIED, place, found, expected)
    else:
        report(Reason.UNKNOWN_TEMPLATE_TYPE, place, number, f"one of {safe(names)}")


def _channel_file(report: Reporter, channel_file: ChannelFile, active_version: int) -> bool:
    """Checks 5 to 7; whether the content is small enough to be looked at more closely."""
    # 5. Its version is newer than the active one and fits 63 bits.
    version, instances = channel_file.version, channel_file.instances
    if version <= active_version:
        report(Reason.VERSION_NOT_NEWER, "version", version, f"more than {active_version}")
    if version > MAX_VERSION:
        report(Reason.VALUE_OUT_OF_RANGE, "version", version, f"at most {MAX_VERSION}")
    # 6. It has instances; they, all criteria and all values together are within the limits.
    if not instances:
        report(Reason.NO_CRITERIA, "instances", "no instance", "at least one")
    clauses = [clause for instance in instances for clause in instance.clauses]
    criteria = [criterion for clause in clauses for criterion in clause.criteria]
    counts = (
        ("instances", len(instances), LIMITS.instances),
        ("all criteria", len(criteria), LIMITS.criteria_total),
        ("all values", sum(len(one.values) for one in criteria), LIMITS.values_total),
    )
    for place, count, limit in counts:
        report.count(place, count, limit)
    if any(count > limit for _, count, limit in counts):
        return False
    # 7. Ids are unique.
    seen: dict[str, int] = {}
    for index, instance in enumerate(instances):
        first = seen.setdefault(instance.id, index)
        if first != index:
            found = f"{instance.id}, as instances[{first}]"
            report(Reason.DUPLICATE_ID, f"instances[{index}].id", found, "each id once")
    return True


def _instance(report: Reporter, instance: TemplateInstance, place: str) -> None:
    # 7. Its id is well formed.
    if len(instance.id) > LIMITS.id_characters or not ID_PATTERN.fullmatch(instance.id):
        expected = f"a-z and 0-9 with single dashes, at most {LIMITS.id_characters} characters"
        report(Reason.INVALID_ID, f"{place}.id", instance.id, expected)
    # 8. Title and description are there; prose is neither blank nor over its limit.
    validator_prose.line(report, instance.title, f"{place}.title")
    validator_prose.prose(report, instance.description, f"{place}.description")
    notes = instance.false_positives
    report.count(f"{place}.false_positives", len(notes), LIMITS.false_positives_per_instance)
    for index, note in enumerate(notes[: LIMITS.false_positives_per_instance]):
        validator_prose.prose(report, note, f"{place}.false_positives[{index}]")
    validator_prose.origin(report, instance, place)
    # 9. ATT&CK techniques are well formed.
    techniques, limit = instance.attack_techniques, LIMITS.attack_techniques_per_instance
    report.count(f"{place}.attack_techniques", len(techniques), limit)
    for index, technique in enumerate(techniques[:limit]):
        if not TECHNIQUE_PATTERN.fullmatch(technique):
            at, expected = f"{place}.attack_techniques[{index}]", "such as T1059 or T1059.004"
            report(Reason.INVALID_ATTACK_TECHNIQUE, at, technique, expected)
    # 10. It has clauses and each clause criteria, within the limits.
    if not instance.clauses:
        report(Reason.NO_CRITERIA, f"{place}.clauses", "no clause", "at least one")
    report.count(f"{place}.clauses", len(instance.clauses), LIMITS.clauses_per_instance)
    for index, clause in enumerate(instance.clauses[: LIMITS.clauses_per_instance]):
        at = f"{place}.clauses[{index}]"
        if not clause.criteria:
            report(Reason.NO_CRITERIA, at, "no criterion", "at least one")
        report.count(at, len(clause.criteria), LIMITS.criteria_per_clause)


def _samples(report: Reporter, samples: tuple[Sample, ...], place: str) -> None:
    # 21. There is one that must match and one that must not; names are unique and not blank.
    report.count(place, len(samples), LIMITS.samples_per_instance)
    for must_match, words in ((True, "must match"), (False, "must not match")):
        if not any(sample.must_match is must_match for sample in samples):
            expected = f"at least one that {words}"
            report(Reason.SAMPLE_MISSING, place, f"no sample that {words}", expected)
    names: set[str] = set()
    for index, sample in enumerate(samples[: LIMITS.samples_per_instance]):
        at = f"{place}[{index}].name"
        validator_prose.line(report, sample.name, at)
        if sample.name in names:
            report(Reason.DUPLICATE_ID, at, sample.name, "each name once in its instance")
        names.add(sample.name)


def _matching(fields: "_Fields", instance: TemplateInstance, place: str) -> None:
    for number, clause in enumerate(instance.clauses[: LIMITS.clauses_per_instance]):
        for index, criterion in enumerate(clause.criteria[: LIMITS.criteria_per_clause]):
            fields.criterion(criterion, f"{place}.clauses[{number}].criteria[{index}]")
    for index, sample in enumerate(instance.samples[: LIMITS.samples_per_instance]):
        fields.sample(sample, f"{place}.samples[{index}]")


class _Fields:
    """Checks that look at fields: what is supplied, and of which kind it is."""

    def __init__(
        self,
        report: Reporter,
        supplied: SuppliedType,
        template_type: TemplateType | None,
        rung: Rung,
    ) -> None:
        self._report = report
        self._arity = supplied.arity
        self._supplied = supplied.supplied_fields
        self._template_type = template_type
        self._rung = rung

    def criterion(self, criterion: Criterion, place: str) -> None:
        """Checks 11 to 20."""
        field = self._field(criterion.field, f"{place}.field")
        # 12. The rung in use fills that field in.
        if 1 <= criterion.field <= self._arity and criterion.field not in self._supplied:
            name = f"{criterion.field}{f' ({field.name})' if field else ''}"
            expected = f"a field that is supplied on the rung {self._rung}"
            self._report(Reason.FIELD_NOT_SUPPLIED, f"{place}.field", name, expected)
        if field is None:
            return
        operator = criterion.operator
        # 13. The operator is one for the field's kind.
        if operator not in OPERATORS[field.kind]:
            found = f"{operator.name.lower()} on {field.name} ({field.kind})"
            allowed = ", ".join(one.name.lower() for one in sorted(OPERATORS[field.kind]))
            self._report(Reason.UNSUPPORTED_OPERATOR, f"{place}.operator", found, allowed)
            return
        self._value_count(criterion, f"{place}.values")
        self._told_values(field, criterion, f"{place}.values")
        # 15. case_sensitive is set only where case is looked at.
        if criterion.case_sensitive and (
            field.kind is not Kind.TEXT or operator is Operator.EXISTS
        ):
            found = f"case_sensitive with {operator.name.lower()} on {field.name} ({field.kind})"
            at = f"{place}.case_sensitive"
            self._report(Reason.CASE_NOT_APPLICABLE, at, found, "case_sensitive for text only")
        for index, value in enumerate(criterion.values[: LIMITS.values_per_criterion]):
            self._criterion_value(field, operator, value, f"{place}.values[{index}]")

    def sample(self, sample: Sample, place: str) -> None:
        """Check 22: inputs are fields 1 to arity, of their kind and within the limits."""
        if not sample.inputs:
            self._report(Reason.BLANK_VALUE, f"{place}.inputs", "no input", "at least one")
        for index, (number, value) in enumerate(sample.inputs.items()):
            at = f"{place}.inputs[{index}]"
            field = self._field(number, f"{at}.field")
            if field is None or not self._kind(field, value, f"{at}.value"):
                continue
            if isinstance(value, bytes):
                self._report.count(f"{at}.value", len(value), LIMITS.sample_value_bytes)
            self._number(field, value, f"{at}.value")
            self._address(value, f"{at}.value", single=True)

    def _field(self, number: int, place: str) -> Field | None:
        # 11. Its field is one of the supplied inputs, 1 to arity.
        if not 1 <= number <= self._arity:
            expected = f"1 to {self._arity}, the inputs that are supplied"
            self._report(Reason.FIELD_OUT_OF_RANGE, place, number, expected)
            return None
        return self._template_type.field(number) if self._template_type else None

    def _told_values(self, field: Field, criterion: Criterion, place: str) -> None:
        # 12. The rung in use tells the values of an enum that are named.
        named = {value: at for at, value in enumerate(criterion.values) if type(value) is int}
        for number in sorted(field.untold(self._rung, named.keys())):
            names = {value: name for name, value in field.values.items()}
            expected = f"a value that is supplied on the rung {self._rung}"
            if otherwise := field.value_supply[number].otherwise:
                expected += f", or {names[otherwise]} beside it"
            found = f"{names[number]} of {field.name}"
            self._report(Reason.FIELD_NOT_SUPPLIED, f"{place}[{named[number]}]", found, expected)

    def _value_count(self, criterion: Criterion, place: str) -> None:
        # 14. It has as many values as its operator takes, within the limits.
        operator, count = criterion.operator, len(criterion.values)
        if operator is Operator.EXISTS:
            if count:
                self._report(Reason.WRONG_VALUE_KIND, place, f"{count} values", "none for exists")
        elif not count:
            self._report(Reason.BLANK_VALUE, place, "no value", "at least one")
        limit = 1 if operator in ORDER_OPERATORS else LIMITS.values_per_criterion
        self._report.count(place, count, limit)

    def _criterion_value(self, field: Field, operator: Operator, value: Value, place: str) -> None:
        if not self._kind(field, value, place):
            return
        self._number(field, value, place)
        self._address(value, place, single=operator is Operator.EQUALS)
        if isinstance(value, bytes):
            self._text(field, operator, value, place)
        # 20. An expression or glob is within the subset.
        try:
            if operator is Operator.REGEX and isinstance(value, bytes):
                parse(value)
            elif operator is Operator.GLOB and isinstance(value, bytes):
                glob.parse(value)
        except ExpressionError as error:
            at = f"{place}, character {error.position}"
            self._report(Reason.EXPRESSION_NOT_ALLOWED, at, error.found, error.expected)

    def _kind(self, field: Field, value: Value, place: str) -> bool:
        # 16. It is of the field's kind.
        found, expected = form_of(value), FORMS[field.kind]
        if found != expected:
            self._report(
                Reason.WRONG_VALUE_KIND, place, found, f"{expected} for {field.name} ({field.kind})"
            )
        return found == expected

    def _text(self, field: Field, operator: Operator, value: bytes, place: str) -> None:
        # 17. A criterion's text is not blank, within the limit, and can occur in the record.
        if not value.strip():
            self._report(Reason.BLANK_VALUE, place, value or "empty text", "more than white space")
        self._report.count(place, len(value), LIMITS.value_bytes)
        if operator in (Operator.GLOB, Operator.REGEX):
            return
        if len(value) > field.capacity:
            expected = f"at most {field.capacity} bytes, all that a record holds of {field.name}"
            self._report(Reason.VALUE_OUT_OF_RANGE, place, f"{len(value)} bytes", expected)
        if field.arguments and b"\0" in value:
            expected = "arguments joined by spaces, without NUL"
            self._report(Reason.VALUE_OUT_OF_RANGE, place, value, expected)

    def _number(self, field: Field, value: Value, place: str) -> None:
        # 18. A number fits 64 bits, an enum's is defined.
        if not isinstance(value, int):
            return
        least, most = number_range(field.kind)
        if field.kind is Kind.ENUM and value not in field.values.values():
            defined = ", ".join(f"{number} {name}" for name, number in field.values.items())
            self._report(Reason.VALUE_OUT_OF_RANGE, place, value, f"one of {defined}")
        elif not least <= value <= most:
            self._report(Reason.VALUE_OUT_OF_RANGE, place, value, f"{least} to {most}")

    def _address(self, value: Value, place: str, *, single: bool) -> None:
        # 19. An address or prefix is well formed.
        if not isinstance(value, AddressPrefix):
            return
        bits = 8 * len(value.address)
        if len(value.address) not in (IPV4_BYTES, ADDRESS_BYTES) or not 0 <= value.length <= bits:
            expected = "4 or 16 bytes, and no more bits than they have"
            self._report(Reason.VALUE_OUT_OF_RANGE, place, value, expected)
        elif int.from_bytes(value.address, "big") & ((1 << (bits - value.length)) - 1):
            expected = f"no bit set behind the first {value.length}"
            self._report(Reason.VALUE_OUT_OF_RANGE, place, value, expected)
        elif single and not value.is_single:
            expected = f"one address: length {bits} (cidr compares prefixes)"
            self._report(Reason.VALUE_OUT_OF_RANGE, place, value, expected)
