"""The subset of regular expressions: what each part means, what is refused and where."""

import re
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.limits import LIMITS
from content.regex_subset import (
    ALL_BYTES,
    Alternation,
    ByteSet,
    End,
    ExpressionError,
    Node,
    Repeat,
    Sequence,
    Start,
    matches_empty,
    parse,
    positions,
)
from tests.unit.content.tree_matcher import found_in


def byte(*members: int | str) -> ByteSet:
    """One byte out of these."""
    return ByteSet(frozenset(ord(one) if isinstance(one, str) else one for one in members))


A, B = byte("a"), byte("b")
DIGIT = ByteSet(frozenset(b"0123456789"))


@pytest.mark.parametrize(
    ("expression", "tree"),
    [
        ("a", A),
        ("ab", Sequence((A, B))),
        ("a|b|ab", Alternation((A, B, Sequence((A, B))))),
        ("(a)(?:b)", Sequence((A, B))),
        ("(a|b)a", Sequence((Alternation((A, B)), A))),
        ("^a$", Sequence((Start(), A, End()))),
        ("^a|b$", Alternation((Sequence((Start(), A)), Sequence((B, End()))))),
        (".", ByteSet(ALL_BYTES)),
        ("ab*", Sequence((A, Repeat(B, 0, None)))),
        ("a+", Repeat(A, 1, None)),
        ("ab?", Sequence((A, Repeat(B, 0, 1)))),
        ("a{3}", Repeat(A, 3, 3)),
        ("a{3,}", Repeat(A, 3, None)),
        ("a{3,5}", Repeat(A, 3, 5)),
        ("(ab){2}", Repeat(Sequence((A, B)), 2, 2)),
        ("((a+){2})", Repeat(Repeat(A, 1, None), 2, 2)),
        (r"\.", byte(".")),
        (r"\/\\", Sequence((byte("/"), byte("\\")))),
        (r"\t\n\r\f\v", Sequence((byte(9), byte(10), byte(13), byte(12), byte(11)))),
        (r"\x00\xFf", Sequence((byte(0), byte(255)))),
        (r"\d", DIGIT),
        (r"\D", ByteSet(ALL_BYTES - DIGIT.members)),
        (r"\s", byte(9, 10, 11, 12, 13, 32)),
        ("[ab]", byte("a", "b")),
        ("[a-c]", byte("a", "b", "c")),
        ("[a-a]", A),
        ("[a-c-]", byte("a", "b", "c", "-")),
        ("[a-cx]", byte("a", "b", "c", "x")),
        ("ba{0,}", Sequence((B, Repeat(A, 0, None)))),
        ("ba{0,2}", Sequence((B, Repeat(A, 0, 2)))),
        ("[-a]", byte("a", "-")),
        ("[a-]", byte("a", "-")),
        (r"[\]\-\d]", ByteSet(DIGIT.members | frozenset(b"]-"))),
        (r"[\x00-\x02]", byte(0, 1, 2)),
        ("[a^]", byte("a", "^")),
        ("[.*+?$|(){}]", byte(*".*+?$|(){}")),
        ("[^a]", ByteSet(ALL_BYTES - {ord("a")})),
        ("é+", Repeat(Sequence((byte(0xC3), byte(0xA9))), 1, None)),
        ("-,:=!<>#&~%@ ", Sequence(tuple(byte(one) for one in "-,:=!<>#&~%@ "))),
    ],
)
def test_what_expressions_mean(expression: str, tree: Node) -> None:
    """Every engine would be fed something else than the author wrote."""
    assert parse(expression.encode()) == tree


@pytest.mark.parametrize(
    ("expression", "tree"),
    [
        ("a", byte("a", "A")),
        ("[a-b]", byte(*"abAB")),
        ("[^a]", ByteSet(ALL_BYTES - frozenset(b"aA"))),
        (r"\x41", byte("a", "A")),
        (r"[\x41]", byte("a", "A")),
        ("[^A-Za-z]", ByteSet(ALL_BYTES - frozenset(range(65, 91)) - frozenset(range(97, 123)))),
        (r"\d", DIGIT),
        ("é", Sequence((byte(0xC3), byte(0xA9)))),
        ("[@[-`{]".replace("[-", r"\[-"), byte(*b"@[\\]^_`{")),
    ],
)
def test_case_is_folded_before_negation(expression: str, tree: Node) -> None:
    """`[^a]` without regard to case would match the A that it means to exclude."""
    assert parse(expression.encode(), case_sensitive=False) == tree


@pytest.mark.parametrize(
    ("expression", "position"),
    [
        (b"", 1),
        (b"a|", 3),
        (b"|a", 1),
        (b"a||b", 3),
        (b"()", 2),
        (b"(a", 1),
        (b"a)", 2),
        (b"x(a(b)", 2),
        (b"*a", 1),
        (b"+", 1),
        (b"a**", 3),
        (b"a+?", 3),
        (b"a*+", 3),
        (b"a{2}{3}", 5),
        (b"{2}", 1),
        (b"a{", 2),
        (b"a{}", 2),
        (b"a{,3}", 2),
        (b"a{2", 2),
        (b"a{2,1}", 2),
        (b"a{0}", 2),
        (b"a{0,0}", 2),
        (b"a{256}", 2),
        (b"a{1,256}", 2),
        (b"a{99999999999}", 2),
        (b"a{00255}", 2),
        (b"a}", 2),
        (b"a]", 2),
        (b"[a", 1),
        (b"[]", 1),
        (b"[^]", 1),
        (b"[^\\x00-\\xff]", 1),
        (b"[b-a]", 2),
        (b"[a-\\d]", 2),
        (b"[!-\\d]", 2),  # the digits are all behind the exclamation mark
        (b"a{0,}b{2,1", 7),
        (b"\\g00", 1),
        (b"[\\d-z]", 2),
        (b"[[:alpha:]]", 2),
        ("[é]".encode(), 2),
        (b"(?=a)", 3),
        (b"(?!a)", 3),
        (b"(?<=a)", 3),
        (b"(?<n>a)", 3),
        (b"(?P<n>a)", 3),
        (b"(?i)a", 3),
        (b"(?>a)", 3),
        (b"(?#a)", 3),
        (b"(a)\\1", 4),
        (b"\\b", 1),
        (b"\\B", 1),
        (b"\\A", 1),
        (b"\\z", 1),
        (b"\\pL", 1),
        (b"\\Qa\\E", 1),
        (b"\\0", 1),
        (b"\\x4", 1),
        (b"\\xg0", 1),
        (b"a\\", 2),
        (b"a^", 2),
        (b"(^a)", 2),
        (b"a|(b$)", 5),
        (b"$a", 1),
        (b"a$b", 2),
        (b"^*a", 2),
        (b"a$+", 3),
        (b"a\n", 2),
        (b"\x00", 1),
        ("a\u200b".encode(), 2),
        (b"ab\xff", 3),
        (b"a*", 1),
        (b"a?", 1),
        (b"^$", 1),
        (b"a|b*", 1),
        (b"(a?){3}", 1),
        (b"^", 1),
        (b"a" * (LIMITS.expression_characters + 1), LIMITS.expression_characters + 1),
        (b"(" * 40 + b"a" + b")" * 40, LIMITS.expression_depth + 2),
        (b"((a{100}){10}){3}", 1),
    ],
)
def test_what_is_refused(expression: bytes, position: int) -> None:
    """An expression could take for ever, differ between engines, or match everything."""
    with pytest.raises(ExpressionError) as refused:
        parse(expression)
    assert refused.value.position == position
    assert refused.value.expected


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        (b"a+?", "a lazy repeat"),
        (b"a{2}?", "a lazy repeat"),
        (b"a*+", "a possessive repeat"),
        (b"a**", "a repeat of a repeat"),
        (b"a+{2}", "a repeat of a repeat"),
        (b"^*a", "a repeat of an anchor"),
        (b"a)", "a ) that closes nothing"),
        (b"(?i)a", "an extension (lookaround, flags, atomic or named group)"),
        (b"(a", "a ( that is not closed"),
        (b"a^", "^ inside the expression"),
        (b"a$b", "$ before the end"),
        (b"a{2,1}", "a repeat that is damaged or too large"),
        (b"a{", "a repeat that is damaged or too large"),
        (b"[b-a]", "a range without order or of classes"),
        (b"[^\\x00-\\xff]", "a class that holds nothing"),
        (b"a\\", "a backslash before nothing"),
        (b"\\b", "a backslash before b"),
    ],
)
def test_what_was_found_is_named(expression: bytes, found: str) -> None:
    """An author who writes for another engine would not learn which part is not ours."""
    with pytest.raises(ExpressionError) as refused:
        parse(expression)
    assert refused.value.found == found


def test_a_byte_is_one_of_256() -> None:
    """A class could hold what is no byte, or `.` lack one."""
    assert set(ALL_BYTES) == set(range(256))
    assert ByteSet(frozenset(range(256))) == parse(b".")


def test_sizes_at_their_limit() -> None:
    """The limits would be off by one."""
    assert positions(parse(b"((a{100}){10}){2}")) == LIMITS.expression_positions
    assert positions(parse(b"a{2,}(b|cd)[ab]?")) == 6
    assert positions(parse(b"a{3,5}")) == 5
    assert positions(parse(b"a+")) == 1
    assert positions(parse(b"ba*")) == 2
    assert positions(parse(b"a" * LIMITS.expression_characters)) == LIMITS.expression_characters
    assert parse(b"a{255}") == parse(b"a{0255}") == Repeat(A, 255, 255)
    depth = LIMITS.expression_depth
    assert parse(b"(" * depth + b"a" + b")" * depth) == A


@given(st.one_of(st.binary(max_size=30), st.text("ab(?:|)[^-]{1,3}*+\\d.$^é", max_size=30)))
def test_any_expression(expression: bytes | str) -> None:
    """An author's mistake would be a traceback, or its position lead nowhere."""
    data = expression if isinstance(expression, bytes) else expression.encode()
    try:
        tree = parse(data)
    except ExpressionError as error:
        assert 1 <= error.position <= len(data) + 1  # noqa: PT017 - most examples are refused
        return
    assert not matches_empty(tree)
    assert positions(tree) <= LIMITS.expression_positions


def _for_re(expression: str) -> bytes:
    r"""The same expression for `re`, whose `$` would match before a final newline as well."""
    parts = re.findall(r"\\.|\[\^?(?:\\.|[^\]])*\]|.", expression, re.DOTALL)
    return "".join(r"\Z" if part == "$" else part for part in parts).encode()


@given(
    st.text("ab(|)[^-]{1,2}*+\\d.$^\n", min_size=1, max_size=12),
    st.lists(st.sampled_from(b"abc1-\n\\"), max_size=8).map(bytes),
)
def test_the_tree_says_what_re_says(expression: str, text: bytes) -> None:
    """An author's expression would mean something else here than everywhere else."""
    try:
        tree = parse(expression.encode())
    except ExpressionError:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # `--` in a class may change, in `re`
        expected = re.search(_for_re(expression), text, re.DOTALL) is not None
    assert found_in(tree, text) is expected
