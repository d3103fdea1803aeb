"""Prices: what is dear to measure is dear by estimate, and for the reason that is given."""

from itertools import pairwise

import pytest

from content.advice import warnings_of
from content.definitions import load_definitions
from content.limits import LIMITS
from content.matching.odds import (
    ORDINARY_TEXT_BYTES,
    is_risky,
    lacks_literal,
    odds_of,
)
from content.matching.pattern import Pattern, patterns_of
from content.model import ChannelFile, Clause, Criterion, Operator
from content.pricing import InstancePrice, price
from content.reasons import Reason
from content.regex_subset import parse
from tests.unit.content.examples import COMMAND_LINE, IMAGE, PID, channel_file, with_instance
from tests.unit.content.test_instances import shipped

PROCESS = next(one for one in load_definitions().values() if one.name == "process")
CONTAINS, REGEX = Operator.CONTAINS, Operator.REGEX
RARE = Criterion(COMMAND_LINE, CONTAINS, (b"/zq/tool",))
COMMON = Criterion(IMAGE, CONTAINS, (b"/bin/",))


def content(*criteria: Criterion) -> ChannelFile:
    """A Channel File of one instance of one clause."""
    return with_instance(clauses=(Clause(criteria),))


def priced(*criteria: Criterion) -> InstancePrice:
    """Its price."""
    return price(content(*criteria).instances[0], PROCESS, "")


def text(operator: Operator, *values: bytes, negated: bool = False) -> Criterion:
    """A criterion on the command line."""
    return Criterion(COMMAND_LINE, operator, values, negated)


FROM_CHEAP_TO_DEAR = [
    (RARE,),
    (Criterion(PID, Operator.EQUALS, (4711,)),),
    (Criterion(PID, Operator.GREATER, (1,)),),
    (COMMON,),
    (text(CONTAINS, b"a"),),
    (text(REGEX, rb"\w"),),
    (text(REGEX, rb".{50}"),),
]


@pytest.mark.parametrize(("cheaper", "dearer"), list(pairwise(FROM_CHEAP_TO_DEAR)))
def test_prices_rise_as_costs_do(
    cheaper: tuple[Criterion, ...], dearer: tuple[Criterion, ...]
) -> None:
    """An author would mend what costs nothing, and leave what does."""
    assert priced(*cheaper).units < priced(*dearer).units


def test_a_rare_literal_makes_everything_beside_it_cheap() -> None:
    """What the warnings advise would not help."""
    for criteria in FROM_CHEAP_TO_DEAR[3:5]:
        assert priced(*criteria, RARE).units < 1


def test_without_an_anchor_every_event_is_a_candidate() -> None:
    """Content that only excludes would be priced as if it were found by something."""
    (clause,) = priced(text(CONTAINS, b"/zq/tool", negated=True)).clauses
    assert (clause.has_anchor, clause.candidates) == (False, 1.0)
    (clause,) = priced(RARE).clauses
    assert clause.has_anchor
    assert clause.candidates < 1e-6


def test_filters_are_priced_for_the_rows_that_reach_them() -> None:
    """The order of filters would not count: cheap ones spare the dear ones."""
    starred = Criterion(IMAGE, Operator.GLOB, (b"*",))
    alone = priced(starred).clauses[0].criteria[0].judge
    never = Criterion(PID, Operator.EXISTS, (), negated=True)
    assert priced(starred, never).clauses[0].criteria[0].judge == 0
    assert priced(starred).clauses[0].criteria[0].judge == alone > 1_000


def test_clauses_and_instances_add_up() -> None:
    """Many clauses would cost as much as one."""
    one = priced(COMMON)
    file = with_instance(clauses=(Clause((COMMON,)),) * 3)
    assert price(file.instances[0], PROCESS, "").units == pytest.approx(3 * one.units)


@pytest.mark.parametrize(
    ("expression", "lacks"),
    [
        (rb"curl", False),
        (rb"(?:curl|wget) -", False),
        (rb"/(?:nc|ncat)$", False),
        (rb"x+y?zzz", False),
        (rb"[cC]url", False),
        (rb"(?:abc)?[0-9]{3}", True),
        (rb"(?:curl|\d+)", True),
        (rb"ab[0-9]cd", True),
        (rb"a[bcd]e", True),
        (rb"a{4}[0-9]", False),
    ],
)
def test_expressions_without_a_literal_are_known(expression: bytes, *, lacks: bool) -> None:
    """The dearest expressions would look like any other."""
    (pattern,) = patterns_of(text(REGEX, expression))
    if isinstance(pattern.body, bytes):
        assert not lacks
    assert lacks_literal(pattern) is lacks


@pytest.mark.parametrize(
    ("expression", "risky"),
    [
        (rb"a[ab]{200}c", True),
        (rb".*a.{255}z", True),
        (rb"(?:[ab]{255}a){7}x", True),
        (rb"(?:x|a[a-c]{20})y", True),
        (rb"[^\n]{200,}", False),
        (rb"\s-[^-\s]{0,20}i", False),
        (rb"^a[b]{200}", False),
        (rb"^[ab]{200}c", False),
        (rb"a[ab]{15}c", False),
        (rb"a[ab]*c", False),
        (rb"(a+)+$", False),
    ],
)
def test_expressions_that_re2_may_follow_slowly_are_known(
    expression: bytes, *, risky: bool
) -> None:
    """Whoever causes events could have an instance skipped, and its author would not know."""
    assert is_risky(parse(expression)) is risky


def test_odds_of_ordinary_texts() -> None:
    """Common words would count as rare, or the other way round."""
    assert odds_of(Pattern(b"/bin/")).share > 0.5
    assert 0.1 < odds_of(Pattern(b"/bin/", at_start=True)).share < 0.5
    assert odds_of(Pattern(b"a")).hits > 3
    assert odds_of(Pattern(b"/zq/tool")).share < 1e-6
    assert odds_of(Pattern(b"")).share == 1
    (anything,) = patterns_of(text(REGEX, rb".{50}"))
    assert odds_of(anything).hits == pytest.approx(ORDINARY_TEXT_BYTES, rel=0.1)
    (loose,) = patterns_of(text(REGEX, rb"[0-9]{2,}"))
    (exact,) = patterns_of(text(REGEX, rb"[0-9]{2}"))
    assert odds_of(loose) == odds_of(exact)


# ---------------------------------------------------------------------------------------- warnings


@pytest.mark.parametrize(
    ("criteria", "place", "found", "advice"),
    [
        ((text(CONTAINS, b"sh"),), 0, "µs an event: command_line contains", "that is rare"),
        ((text(REGEX, rb"\w"),), 0, r"regex", "let the expression have a literal of at least 4"),
        ((text(CONTAINS, b"a", b"e", b"s"),), 0, 'contains "a" or "e"', "longer values"),
        (
            (text(Operator.GLOB, b"*", negated=True),),
            0,
            'command_line not glob "*"',
            "add a criterion that is not negated, with a literal",
        ),
        (
            (Criterion(PID, Operator.GREATER, (1,)), text(Operator.GLOB, b"*")),
            1,
            'command_line glob "*"',
            "add a criterion that is not negated",
        ),
    ],
)
def test_a_costly_instance_is_named_with_what_would_help(
    criteria: tuple[Criterion, ...], place: int, found: str, advice: str
) -> None:
    """An author would know that it is dear, and not why."""
    warning = warnings_of(content(*criteria), PROCESS)[0]
    assert warning.reason is Reason.COSTLY_TO_EVALUATE
    assert warning.place == f"instances[0].clauses[0].criteria[{place}]"
    assert found in warning.found
    assert advice in warning.expected
    assert "at most 1 µs" in warning.expected


def test_the_dearest_clause_is_named() -> None:
    """An author would be sent to a clause that costs nothing."""
    dear = Clause((RARE, RARE)), Clause((text(REGEX, rb"\w"),))
    (warning, *_) = warnings_of(with_instance(clauses=dear), PROCESS)
    assert warning.place == "instances[0].clauses[1].criteria[0]"


def test_what_takes_long_to_be_made_ready_is_named() -> None:
    """Content would be loaded for seconds with every start of an evaluator."""
    beside_a_rare_literal = content(RARE, text(REGEX, b"[0-9]{3}[A-F]{4}[0-9]"))
    assert warnings_of(beside_a_rare_literal, PROCESS) == []  # It is not searched for.
    (warning,) = warnings_of(content(text(REGEX, b"[0-9]{3}[A-F]{4}[0-9]")), PROCESS)
    assert warning.reason is Reason.COSTLY_TO_COMPILE
    assert "ms to be made ready: command_line regex" in warning.found
    assert "literal of at least 4 bytes" in warning.expected


def test_many_that_are_each_cheap_are_dear_together() -> None:
    """A Channel File could cost any amount, instance by instance."""
    some = content(Criterion(IMAGE, Operator.EXISTS, ())).instances[0]
    count = int(LIMITS.file_price_units // price(some, PROCESS, "").units) + 1
    few, many = channel_file(*[some] * (count - 1)), channel_file(*[some] * count)
    assert warnings_of(few, PROCESS) == []
    (warning,) = warnings_of(many, PROCESS)
    assert (warning.reason, warning.place) == (Reason.COSTLY_TO_EVALUATE, "instances")


def test_values_that_many_texts_can_make_slow_are_named() -> None:
    """An instance could be had skipped by texts that are made for it."""
    values = [b"/zq/%03d" % number for number in range(200)]
    (warning,) = warnings_of(content(text(CONTAINS, *values)), PROCESS)
    assert warning.reason is Reason.MAY_EXCEED_WORK_BUDGET
    assert warning.expected == "at most 40 µs: fewer values"
    found = warnings_of(content(text(REGEX, b"/zq/tool.a[ab]{200}")), PROCESS)
    expected = {one.expected for one in found if one.reason is Reason.MAY_EXCEED_WORK_BUDGET}
    assert not expected  # A slash ends what is under way.
    found = warnings_of(content(text(REGEX, b"abab[ab]{200}")), PROCESS)
    expected = {one.expected for one in found if one.reason is Reason.MAY_EXCEED_WORK_BUDGET}
    assert expected == {"at most 40 µs: shorter counted repeats"}


@pytest.mark.parametrize(
    ("value", "sensitive", "warned"),
    [
        ("/Größe", False, True),
        ("/Größe", True, False),
        ("\N{KELVIN SIGN}", False, True),
        ("Σ", False, True),
        ("/ASCII only", False, False),
        ("日本", False, False),
        ("\N{EM DASH}x", False, False),
    ],
)
def test_letters_that_do_not_agree_in_case_are_told(
    value: str, *, sensitive: bool, warned: bool
) -> None:
    """An author would take É for é, and miss what was written so."""
    criterion = Criterion(
        COMMAND_LINE, CONTAINS, (b"/zq/other", b"/zq/" + value.encode()), case_sensitive=sensitive
    )
    found = warnings_of(content(criterion), PROCESS)
    assert [one.reason for one in found] == [Reason.CASE_OF_OTHER_LETTERS] * warned
    if warned:
        assert found[0].place == "instances[0].clauses[0].criteria[0].values[1]"
        assert "both spellings as values" in found[0].expected


@pytest.mark.parametrize("values", [("/zq/café", "/zq/cafÉ"), ("/zq/(?:ö|Ö)l",)])
def test_both_spellings_are_what_was_asked_for(values: tuple[str, ...]) -> None:
    """An author who did what the warning says would be warned for ever."""
    operator = REGEX if len(values) == 1 else CONTAINS
    assert warnings_of(content(text(operator, *(one.encode() for one in values))), PROCESS) == []


def test_bytes_that_are_not_utf_8_are_no_letters() -> None:
    """Check would fall over a path in another encoding."""
    assert warnings_of(content(text(CONTAINS, b"/zq/\xc9\xff")), PROCESS) == []


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_content_costs_little(name: str) -> None:
    """What every sensor runs would be what the validator warns of."""
    template_type = next(one for one in load_definitions().values() if one.name == name)
    found = warnings_of(shipped()[name], template_type)
    assert {one.reason for one in found} <= {Reason.COSTLY_TO_COMPILE}
