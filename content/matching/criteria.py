"""What one criterion means, exactly and one value at a time.

A criterion holds when any of its values compares; negated, when none does. A field that was not
supplied for an event (absent) satisfies no criterion as it stands and every negated one: `exists`
negated means absent. Text compares byte by byte, ASCII letters in either case unless the criterion
is case-sensitive; numbers and enums compare as numbers; an address is compared as IPv6, IPv4 being
mapped. A text longer than its record's capacity is compared as far as it was recorded.

`require_sound` refuses a criterion whose field, operator or values don't fit, whoever let it pass.
"""

import operator
from collections.abc import Callable, Sequence

from content.matching.pattern import Pattern, patterns_of
from content.matching.re2_matcher import single
from content.model import OPERATORS, AddressPrefix, Criterion, Operator, Value
from content.problems import ContentError, Problem
from content.reasons import Reason
from content.record import ADDRESS_BYTES, IPV4_BYTES, number_range
from content.template_type import Field, Kind, TemplateType

Judge = Callable[[bytes | int], bool]
"""Whether a supplied value satisfies a criterion, its negation left aside."""

TextJudge = Callable[[bytes], bool]
"""The same for a text."""

ADDRESS_BITS = 8 * ADDRESS_BYTES

COMPARE: dict[Operator, Callable[[int, int], bool]] = {
    Operator.EQUALS: operator.eq,
    Operator.LESS: operator.lt,
    Operator.LESS_OR_EQUAL: operator.le,
    Operator.GREATER: operator.gt,
    Operator.GREATER_OR_EQUAL: operator.ge,
}


def require_sound(criterion: Criterion, template_type: TemplateType, place: str) -> Field:
    """The criterion's field; ContentError where the interpreter could not evaluate it safely."""
    number = criterion.field
    if not 1 <= number <= template_type.arity:
        expected = f"1 to {template_type.arity}, the inputs that are supplied"
        raise _refused(Reason.FIELD_OUT_OF_RANGE, f"{place}.field", f"field {number}", expected)
    field = template_type.field(number)
    if criterion.operator is Operator.EXISTS:
        if criterion.values:
            found = f"{len(criterion.values)} values"
            raise _refused(Reason.WRONG_VALUE_KIND, place, found, "no value for exists")
        return field
    if criterion.operator not in OPERATORS[field.kind]:
        found = f"{criterion.operator.name} on {field.name} ({field.kind})"
        allowed = ", ".join(sorted(one.name for one in OPERATORS[field.kind]))
        raise _refused(Reason.UNSUPPORTED_OPERATOR, f"{place}.operator", found, allowed)
    if not criterion.values:
        raise _refused(Reason.BLANK_VALUE, f"{place}.values", "no value", "at least one")
    for index, value in enumerate(criterion.values):
        _require_value(value, field, f"{place}.values[{index}]")
        if criterion.operator is Operator.EQUALS and not _is_single(value):
            expected = "one address; cidr compares prefixes"
            raise _refused(Reason.WRONG_VALUE_KIND, place, str(value), expected)
    return field


def _require_value(value: Value, field: Field, place: str) -> None:
    if field.kind is Kind.TEXT:
        fits: bool = isinstance(value, bytes)
    elif field.kind is Kind.ADDRESS:
        fits = isinstance(value, AddressPrefix) and _is_prefix(value)
    else:
        fits = isinstance(value, int) and not isinstance(value, bool)
    if not fits:
        raise _refused(
            Reason.WRONG_VALUE_KIND, place, f"{value!r:.80}", f"a value for kind {field.kind}"
        )
    if isinstance(value, int):
        least, most = number_range(field.kind)
        if not least <= value <= most:
            raise _refused(Reason.VALUE_OUT_OF_RANGE, place, str(value), f"{least} to {most}")


def _is_prefix(prefix: AddressPrefix) -> bool:
    size = len(prefix.address)
    return size in (IPV4_BYTES, ADDRESS_BYTES) and 0 <= prefix.length <= 8 * size


def _is_single(value: Value) -> bool:
    return not isinstance(value, AddressPrefix) or value.is_single


def _refused(reason: Reason, place: str, found: str, expected: str) -> ContentError:
    return ContentError([Problem(reason, place, found, expected)])


def judge_of(criterion: Criterion, field: Field) -> Judge:
    """How a supplied value is judged; MatcherError where an expression can't be compiled."""
    if criterion.operator is Operator.EXISTS:
        return _always
    if field.kind is Kind.TEXT:
        judge = text_judge(patterns_of(criterion))
        return lambda value: isinstance(value, bytes) and judge(value)
    if field.kind is Kind.ADDRESS:
        return _address_judge(criterion)
    return _number_judge(criterion)


def holds(criterion: Criterion, judge: Judge, value: bytes | int | None) -> bool:
    """Whether the criterion holds for a value, None being absent."""
    return (value is not None and judge(value)) is not criterion.negated


def _always(_value: bytes | int) -> bool:
    return True


def _number_judge(criterion: Criterion) -> Judge:
    compare = COMPARE[criterion.operator]
    wanted = [value for value in criterion.values if isinstance(value, int)]
    return lambda value: isinstance(value, int) and any(compare(value, one) for one in wanted)


def _address_judge(criterion: Criterion) -> Judge:
    prefixes = [prefix_bits(value) for value in criterion.values]

    def judge(value: bytes | int) -> bool:
        bits = int.from_bytes(value, "big") if isinstance(value, bytes) else value
        return any(bits >> shift == wanted for wanted, shift in prefixes)

    return judge


def prefix_bits(value: Value) -> tuple[int, int]:
    """An address prefix as its leading bits and the number of bits behind them, IPv4 mapped."""
    if not isinstance(value, AddressPrefix):
        raise TypeError(f"{type(value).__name__} is not an address")
    prefix = value.mapped()
    shift = ADDRESS_BITS - prefix.length
    return int.from_bytes(prefix.address, "big") >> shift, shift


def text_judge(patterns: Sequence[Pattern]) -> TextJudge:
    """Whether any of the patterns is in a text; MatcherError where one can't be compiled."""
    literals = [pattern for pattern in patterns if isinstance(pattern.body, bytes)]
    exact = [pattern for pattern in literals if pattern.case_sensitive]
    folded = [pattern for pattern in literals if not pattern.case_sensitive]
    judges = [single(pattern) for pattern in patterns if not isinstance(pattern.body, bytes)]
    if exact:
        judges.append(_literal_judge(exact))
    if folded:
        judges.append(_folded_judge(folded))
    return judges[0] if len(judges) == 1 else lambda text: any(judge(text) for judge in judges)


def _folded_judge(patterns: Sequence[Pattern]) -> TextJudge:
    lower = [
        Pattern(pattern.body.lower(), pattern.at_start, pattern.at_end)
        for pattern in patterns
        if isinstance(pattern.body, bytes)
    ]
    judge = _literal_judge(lower)
    return lambda text: judge(text.lower())


def _literal_judge(patterns: Sequence[Pattern]) -> TextJudge:
    """Any of the literals, byte by byte, sorted by how they are anchored."""
    anchored: dict[tuple[bool, bool], list[bytes]] = {}
    for pattern in patterns:
        if isinstance(pattern.body, bytes):
            anchored.setdefault((pattern.at_start, pattern.at_end), []).append(pattern.body)
    whole = frozenset(anchored.get((True, True), ()))
    heads = tuple(anchored.get((True, False), ()))
    tails = tuple(anchored.get((False, True), ()))
    parts = anchored.get((False, False), [])

    def judge(text: bytes) -> bool:
        return (
            text in whole
            or text.startswith(heads)
            or text.endswith(tails)
            or any(part in text for part in parts)
        )

    return judge
