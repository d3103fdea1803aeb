"""Warnings of the Content Validator: what is valid and ought to be changed all the same.

    1. what is estimated to cost more than a stated share of the work budget (`content.pricing`),
       per event or to be made ready: an instance, or a whole Channel File
    2. what somebody can make exceed its work budget by the texts of events
    3. what is compared without regard to case, but has letters for which that does not hold

Each names the place, the criterion, what was estimated, and what would be better. The sensor does
not ask: there the trial measures, on that host and its events, and the budget holds whatever was
estimated.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from content.display import criterion_text
from content.escape import safe
from content.limits import LIMITS
from content.matching.odds import LITERAL_BYTES
from content.model import ChannelFile, Criterion, Operator, TemplateInstance
from content.pricing import ClausePrice, CriterionPrice, InstancePrice, price
from content.problems import Problem
from content.reasons import Reason
from content.template_type import TemplateType

SHOWN_CHARACTERS = 120
RARE = f"a literal of at least {LITERAL_BYTES + 1} bytes that is rare in events"
UNITS_PER_MICROSECOND = 1_000
UNITS_PER_MILLISECOND = 1_000_000


def warnings_of(channel_file: ChannelFile, template_type: TemplateType) -> list[Problem]:
    """All warnings (at most `LIMITS.problems`) of a valid Channel File."""
    found: list[Problem] = []
    prices: list[InstancePrice] = []
    for number, instance in enumerate(channel_file.instances):
        place = f"instances[{number}]"
        prices.append(price(instance, template_type, place))
        found += _of_instance(instance, prices[-1], template_type, place)
    of_file = list(_of_file(prices))
    return [*found[: LIMITS.problems - len(of_file)], *of_file]


def _of_instance(
    instance: TemplateInstance, found: InstancePrice, template_type: TemplateType, place: str
) -> Iterator[Problem]:
    placed = [
        _Placed(f"{place}.clauses[{number}].criteria[{index}]", criterion, part, clause)
        for number, clause in enumerate(found.clauses)
        for index, (criterion, part) in enumerate(
            zip(instance.clauses[number].criteria, clause.criteria, strict=True)
        )
    ]
    # 1. The criterion that costs most is named, of the clause that does.
    if found.units > LIMITS.instance_price_units:
        one = max(placed, key=lambda each: (each.clause.units, each.price.units))
        yield Problem(
            Reason.COSTLY_TO_EVALUATE,
            one.place,
            f"about {_microseconds(found.units)} an event: {one.text(template_type)}",
            f"at most {_microseconds(LIMITS.instance_price_units)}: {one.cheaper()}",
        )
    if found.compile > LIMITS.instance_compile_units:
        one = max(placed, key=lambda each: each.price.compile)
        yield Problem(
            Reason.COSTLY_TO_COMPILE,
            one.place,
            f"about {_milliseconds(found.compile)} to be made ready: {one.text(template_type)}",
            f"at most {_milliseconds(LIMITS.instance_compile_units)}: {one.easier()}",
        )
    for one in placed:
        yield from _of_criterion(one, template_type)


def _of_file(prices: Sequence[InstancePrice]) -> Iterator[Problem]:
    # 1. Many that are each within their share.
    units, once = sum(one.units for one in prices), sum(one.compile for one in prices)
    if units > LIMITS.file_price_units:
        yield Problem(
            Reason.COSTLY_TO_EVALUATE,
            "instances",
            f"about {_microseconds(units)} an event for all instances together",
            f"at most {_microseconds(LIMITS.file_price_units)}: give each a criterion with {RARE}",
        )
    if once > LIMITS.file_compile_units:
        yield Problem(
            Reason.COSTLY_TO_COMPILE,
            "instances",
            f"about {_milliseconds(once)} to make all instances ready",
            f"at most {_milliseconds(LIMITS.file_compile_units)}: "
            "fewer expressions without a literal, fewer values",
        )


def _of_criterion(one: "_Placed", template_type: TemplateType) -> Iterator[Problem]:
    # 2. With such a text in every record of a batch, this one criterion would take it all.
    if one.price.worst > LIMITS.work_units_per_record:
        yield Problem(
            Reason.MAY_EXCEED_WORK_BUDGET,
            one.place,
            f"up to {_microseconds(one.price.worst)} on a text that is made for it: "
            f"{one.text(template_type)}",
            f"at most {_microseconds(LIMITS.work_units_per_record)}: "
            f"{'shorter counted repeats' if one.has_expression else 'fewer values'}",
        )
    # 3. Letters of ASCII agree in either case, others only with themselves.
    if one.criterion.case_sensitive:
        return
    texts = [_text(value) if isinstance(value, bytes) else "" for value in one.criterion.values]
    together = "".join(texts)
    for index, (value, text) in enumerate(zip(one.criterion.values, texts, strict=True)):
        letter = _letter_of_one_case(text, together)
        if letter and isinstance(value, bytes):
            yield Problem(
                Reason.CASE_OF_OTHER_LETTERS,
                f"{one.place}.values[{index}]",
                _cut(safe(value)),
                f"both spellings as values ({letter} is not {letter.swapcase()}), "
                "or case_sensitive: true",
            )


@dataclass(frozen=True, slots=True)
class _Placed:
    """A criterion with its price and that of its clause."""

    place: str
    criterion: Criterion
    price: CriterionPrice
    clause: ClausePrice

    @property
    def has_expression(self) -> bool:
        return self.criterion.operator in (Operator.REGEX, Operator.GLOB)

    def text(self, template_type: TemplateType) -> str:
        return _cut(criterion_text(self.criterion, template_type))

    def cheaper(self) -> str:
        """What would make it cost less per event."""
        if self.price.search > self.price.judge:
            if self.has_expression:
                return f"let the expression have {RARE}"
            return "longer values, which are found less often"
        positive = "" if self.clause.has_anchor else "that is not negated, "
        return f"add a criterion {positive}with {RARE}"

    def easier(self) -> str:
        """What would make it sooner ready."""
        if self.has_expression:
            return f"let every alternative have a literal of at least {LITERAL_BYTES + 1} bytes"
        return "fewer values"


def _text(value: bytes) -> str:
    return value.decode("utf-8", "ignore")


def _letter_of_one_case(text: str, together: str) -> str:
    """The first letter outside ASCII of which the values don't have the other case; or nothing."""
    for one in text:
        other = one.swapcase()
        # What becomes several letters (ß) has no other spelling that an author would list.
        if not one.isascii() and other != one and len(other) == 1 and other not in together:
            return one
    return ""


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _microseconds(units: float) -> str:
    return f"{units / UNITS_PER_MICROSECOND:,.4g} µs"


def _milliseconds(units: float) -> str:
    return f"{units / UNITS_PER_MILLISECOND:,.4g} ms"
