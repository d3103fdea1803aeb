"""Strict YAML: plain documents only, nothing guessed, every problem with line and column."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML, nodes
from ruamel.yaml.error import YAMLError

from content.limits import LIMITS
from content.problems import ContentError
from content.reasons import Reason
from content.yaml_form import Form, is_ambiguous
from content.yaml_reader import MappingNode, Node, Scalar, SequenceNode, read, read_file


def refusal(data: str | bytes) -> tuple[Reason, int, int]:
    """Reason, line and column with which this document is refused."""
    with pytest.raises(ContentError) as refused:
        read(data if isinstance(data, bytes) else data.encode(), "some.yaml")
    (problem,) = refused.value.problems
    assert problem.file == "some.yaml"
    return problem.reason, problem.line, problem.column


def test_tree() -> None:
    """Scalars would be changed, or stand in another place than the file says."""
    tree = read(b"a: [x, 'y']\n\"b\": {c:  012}\n", "")
    assert isinstance(tree, MappingNode)
    (a, xs), (b, mapping) = tree.entries
    assert (a, b) == (Scalar("a", True, 1, 1), Scalar("b", False, 2, 1))
    assert isinstance(xs, SequenceNode)
    assert xs.items == (Scalar("x", True, 1, 5), Scalar("y", False, 1, 8))
    assert isinstance(mapping, MappingNode)
    assert mapping.entries == ((Scalar("c", True, 2, 7), Scalar("012", True, 2, 11)),)


@pytest.mark.parametrize(
    ("data", "refused"),
    [
        ("", (Reason.EMPTY_FILE, 1, 1)),
        ("# nothing\n", (Reason.EMPTY_FILE, 1, 1)),
        ("a: [1\n", (Reason.NOT_YAML, 2, 1)),
        ("a: b: c\n", (Reason.NOT_YAML, 1, 5)),
        ("a: 1\n\tb: 2\n", (Reason.NOT_YAML, 2, 1)),
        ("a: 'x\n", (Reason.NOT_YAML, 2, 1)),
        ("a: \x01\n", (Reason.NOT_YAML, 1, 4)),
        ("a: 1\nb: \x7f\n", (Reason.NOT_YAML, 2, 4)),
        (b"a: 1\nb: \xff\n", (Reason.NOT_YAML, 2, 4)),
        (b"a: \xed\xa0\x80\n", (Reason.NOT_YAML, 1, 4)),
        ('a: "\\ud800"\n', (Reason.NOT_YAML, 1, 7)),
        ("é: 1\nb: é\x7f\n", (Reason.NOT_YAML, 2, 5)),
        ("\ufeffé: \x7f\n", (Reason.NOT_YAML, 1, 5)),
        ("é: \ufeff\n", (Reason.NOT_YAML, 1, 4)),
        ("é: \ufffe\n", (Reason.NOT_YAML, 1, 4)),
        ("é: [é, b\n", (Reason.NOT_YAML, 2, 1)),
        ("a: 1\n---\nb: 1\n", (Reason.NOT_YAML, 2, 1)),
        ("? [a]\n: 1\n", (Reason.NOT_YAML, 1, 3)),
        ("%YAML 9.9\n---\na: 1\n", (Reason.YAML_NOT_PLAIN, 1, 1)),
        ("%YAML 1.0\n---\na: 1\n", (Reason.YAML_NOT_PLAIN, 1, 1)),
        ("\ufeff%YAML 1\n---\na: 1\n", (Reason.YAML_NOT_PLAIN, 1, 1)),
        ("# x\n%TAG ! tag:x,2026:\n---\na: 1\n", (Reason.YAML_NOT_PLAIN, 2, 1)),
        ("a: 1\n...\n%YAML 1.3\n---\nb: 1\n", (Reason.YAML_NOT_PLAIN, 3, 1)),
        ("#\r%YAML 1.0\r---\ra: 1\r", (Reason.YAML_NOT_PLAIN, 1, 1)),
        ("#\u2028%YAML 1.0\n---\na: 1\n", (Reason.YAML_NOT_PLAIN, 1, 1)),
        ("a: 1\nb: 2\na: 3\n", (Reason.DUPLICATE_KEY, 3, 1)),
        ("a: 1\n'a': 3\n", (Reason.DUPLICATE_KEY, 2, 1)),
        ("a: &x 1\nb: *x\n", (Reason.YAML_NOT_PLAIN, 1, 4)),
        ("*x\n", (Reason.YAML_NOT_PLAIN, 1, 1)),
        ("a: !!str 1\n", (Reason.YAML_NOT_PLAIN, 1, 4)),
        ("a: !python/object:os.system x\n", (Reason.YAML_NOT_PLAIN, 1, 4)),
        ("!!map {a: 1}\n", (Reason.YAML_NOT_PLAIN, 1, 1)),
        ("a: &x [1]\n", (Reason.YAML_NOT_PLAIN, 1, 4)),
        ("[" * 14 + "]" * 14, (Reason.LIMIT_EXCEEDED, 1, 14)),
        ("- " * 14 + "a", (Reason.LIMIT_EXCEEDED, 1, 27)),
    ],
)
def test_what_is_not_plain_yaml(data: str | bytes, refused: tuple[Reason, int, int]) -> None:
    """YAML could mean or weigh more than it seems, or lose a value."""
    assert refusal(data) == refused


def test_sizes(tmp_path: Path) -> None:
    """A hostile file could keep the tool busy, or fill its memory."""
    nodes = b"[" + b"a," * LIMITS.yaml_nodes + b"]"
    assert refusal(nodes)[0] is Reason.LIMIT_EXCEEDED
    assert refusal(b"a" * (LIMITS.yaml_bytes + 1))[0] is Reason.FILE_TOO_LARGE
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * (LIMITS.yaml_bytes + 1))
    with pytest.raises(ContentError, match="FILE_TOO_LARGE"):
        read_file(path)
    assert isinstance(read(b"a" * LIMITS.yaml_bytes, ""), Scalar)
    depth = LIMITS.yaml_depth
    assert isinstance(read(b"[" * depth + b"a" + b"]" * depth, ""), SequenceNode)


@given(st.one_of(st.binary(max_size=60), st.text("a1: -[]{}'\"&*!|>#\n\t?,%@`\\~", max_size=40)))
def test_any_document(data: bytes | str) -> None:
    """A broken file would be a traceback."""
    document = data if isinstance(data, bytes) else data.encode()
    try:
        read(document, "")
    except ContentError as error:
        assert error.problems[0].reason in Reason  # noqa: PT017 - most examples are refused


def ours(node: Node) -> object:
    """A tree as plain values."""
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, SequenceNode):
        return [ours(one) for one in node.items]
    return {key.text: ours(value) for key, value in node.entries}


def theirs(node: object) -> object:
    """The same of another parser's tree."""
    if isinstance(node, nodes.ScalarNode):
        return node.value
    if isinstance(node, nodes.SequenceNode):
        return [theirs(one) for one in node.value]
    assert isinstance(node, nodes.MappingNode)
    return {theirs(key): theirs(value) for key, value in node.value}


@given(st.text("ab: -[]{}'\"|>#\n,?é\\", max_size=24))
def test_another_parser_reads_the_same(text: str) -> None:
    """An author's value would be cut, joined or split in another way than other tools show it."""
    document = f"key: {text}"
    try:
        tree = ours(read(document.encode(), ""))
        other = YAML(typ="safe", pure=True).compose(document)
    except (ContentError, YAMLError):
        return
    assert tree == theirs(other)


# ------------------------------------------------------------------------------------------- types


def asked(text: str, kind: str) -> object:
    """What a form makes of a scalar that is to be text, integer or boolean, if not a problem."""
    form = Form("some.yaml")
    node = read(f"a: {text}\n".encode(), "")
    assert isinstance(node, MappingNode)
    value: object = getattr(form, kind)(node.entries[0][1], "a")
    refused = [(problem.reason, problem.line, problem.column) for problem in form.problems]
    assert refused == ([] if value is not None else [(Reason.WRONG_TYPE, 1, 4 if text else 1)])
    return value


TRAPS = [
    *("", "~", "null", "Null", "NULL", "y", "N", "yes", "No", "on", "OFF", "true", "False"),
    *("0", "12", "-1", "+1", "012", "0o17", "0x1F", "0b11", "1_000", "1.10", "1.", ".5", "1e3"),
    *("-1.5E-3", ".inf", "-.INF", ".nan", "12:30", "1:20:30.5", "2024-07-19", "=", "<<"),
    "2024-07-19 04:09:00",
]


@pytest.mark.parametrize("text", TRAPS)
def test_text_is_never_guessed(text: str) -> None:
    """`no` would become False, 012 ten, 12:30 seven hundred and fifty."""
    assert asked(text, "text") is None
    assert asked(f'"{text}"', "text") == text


@pytest.mark.parametrize(
    "text", ["a", "/bin/sh", "-c", "no way", "12a", "10.0.0.1", "::1", "T1059.004", "1.2.3", "é"]
)
def test_ordinary_text_needs_no_quotes(text: str) -> None:
    """Authors would have to quote everything."""
    assert asked(text, "text") == text


@given(st.text("0123456789abcdefxoyn_.:+-~TZ ", min_size=1, max_size=8))
@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_whatever_yaml_guesses_is_ambiguous(version: str, text: str) -> None:
    """A scalar that some YAML version reads as something else would pass as text."""
    yaml = YAML(typ="safe", pure=True)
    yaml.version = version
    try:
        node = yaml.compose(text)
    except YAMLError:
        return
    if isinstance(node, nodes.ScalarNode) and node.tag != "tag:yaml.org,2002:str":
        assert is_ambiguous(node.value)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("10", 10),
        ("-13", -13),
        ("0x1F", 31),
        ("0o17", 15),
        ("18446744073709551615", 2**64 - 1),
    ],
)
def test_integers(text: str, number: int) -> None:
    """A number would be another one."""
    assert asked(text, "integer") == number


@pytest.mark.parametrize(
    "text", ["012", "1_000", "+1", "1.0", "1e3", '"1"', "x", "", "0b1", "12:30", "9" * 25, "[1]"]
)
def test_what_is_no_integer(text: str) -> None:
    """A number that YAML 1.1 and 1.2 read differently would be one of the two."""
    assert asked(text, "integer") is None


def test_booleans() -> None:
    """`yes` would be true to some and text to others."""
    assert asked("true", "boolean") is True
    assert asked("false", "boolean") is False
    for text in ("yes", "True", '"true"', "1", "[]"):
        assert asked(text, "boolean") is None


def _node(text: str) -> Node:
    return read(text.encode(), "")


def test_mappings() -> None:
    """A misspelt key would be ignored, a missing one defaulted."""
    form = Form("some.yaml")
    assert form.mapping(_node("{a: 1, b: 2}"), "here", ("a",), ("b",)) is not None
    assert not form.problems
    assert form.mapping(_node("{a: 1, c: 2}"), "here", ("a",)) is not None
    assert form.mapping(_node("{b: 2}"), "here", ("a",), ("b",)) is None
    assert form.mapping(_node("[a]"), "here", ("a",)) is None
    assert [(one.reason, one.column) for one in form.problems] == [
        (Reason.UNKNOWN_KEY, 8),
        (Reason.MISSING_KEY, 1),
        (Reason.WRONG_TYPE, 1),
    ]


def test_lists() -> None:
    """A single value would pass as a list, or a list lose what is no text."""
    form = Form("some.yaml")
    assert form.texts(_node("[a, 'no']"), "here") == ("a", "no")
    assert form.texts(_node("[a, no]"), "here") is None
    assert form.texts(_node("a"), "here") is None
    assert [one.place for one in form.problems] == ["here[1]", "here"]


def test_problems_are_limited_and_escaped() -> None:
    """A hostile file could fill the screen, or rewrite it."""
    form = Form("some.yaml")
    for _ in range(LIMITS.problems + 1):
        form.integer(_node(r'"\e[2J"'), "here")
    assert len(form.problems) == LIMITS.problems
    assert not re.search("[\x00-\x1f]", form.problems[0].found)
