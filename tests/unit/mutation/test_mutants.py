"""The mutants of a source file: which there are, what they are called, and that they are code."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mutation import mutants, operators
from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.targets import TARGETS

SOURCE = '''\
"""A module."""

LIMIT = 3


def check(report, value, *, single=True):
    """Text is left alone: "3"."""
    found = "none" if value is None else f"{value + 1}" or "3"
    if value is None or value > LIMIT:
        report(Reason.BLANK_VALUE, found)
        raise ValueError("3")
    return value
'''


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout with one source file."""
    monkeypatch.setattr(mutants, "CHECKOUT", tmp_path)
    mutants._source.cache_clear()
    file = tmp_path / "checked.py"
    file.write_text(SOURCE, encoding="utf-8")
    yield file
    mutants._source.cache_clear()


def _changes(text: str) -> set[str]:
    node = ast.parse(text, mode="eval").body
    return {ast.unparse(new) for new in operators.expressions(node)}


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("a < b <= c", {"a <= b <= c", "a < b < c"}),
        ("a == b", {"a != b"}),
        ("a not in b", {"a in b"}),
        ("a and b", {"a or b", "a", "b"}),
        ("not a", {"a"}),
        ("a << b", {"a >> b"}),
        ("7", {"8", "6"}),
        ("True", {"False"}),
        ("'7'", set()),
        ("a if b else c", {"a if not b else c"}),
        ("any", {"all"}),
        ("a.startswith", {"a.endswith"}),
        ("Reason.UNKNOWN_ENUM", {"Reason.BLANK_VALUE"}),
    ],
)
def test_expressions_are_changed(text: str, changes: set[str]) -> None:
    """A kind of mistake would never be tried, or text for people would be."""
    assert _changes(text) == changes


def test_a_module_has_these_mutants(source: Path) -> None:
    """Mutants would be missing, or come from annotations, texts and docstrings."""
    found = [(one.scope, one.line, one.before, one.after) for one in mutants_of(source.name)]
    assert found == [
        ("", 3, "3", "4"),
        ("", 3, "3", "2"),
        ("", 6, "True", "False"),
        ("check", 9, "value is None or value > LIMIT", "not (value is None or value > LIMIT)"),
        ("check", 9, "value is None or value > LIMIT", "value is None and value > LIMIT"),
        ("check", 9, "value is None or value > LIMIT", "value > LIMIT"),
        ("check", 9, "value is None or value > LIMIT", "value is None"),
        ("check", 9, "value is None", "value is not None"),
        ("check", 9, "value > LIMIT", "value >= LIMIT"),
        ("check", 10, "report(Reason.BLANK_VALUE, found)", "pass"),
        ("check", 10, "Reason.BLANK_VALUE", "Reason.DUPLICATE_ID"),
        ("check", 11, "raise ValueError('3')", "pass"),
        ("check", 12, "return value", "return None"),
    ]


def test_ids_stay_when_lines_move(source: Path) -> None:
    """Every edit above a survivor would make its entry in the list stale."""
    before = mutants_of(source.name)
    source.write_text("import re\n\n# moved\n" + SOURCE, encoding="utf-8")
    mutants._source.cache_clear()
    after = mutants_of(source.name)
    assert [one.id for one in before] == [one.id for one in after]
    assert [one.line + 3 for one in before] == [one.line for one in after]


def test_equal_statements_have_ids_of_their_own(source: Path) -> None:
    """One reason would excuse two mutants."""
    source.write_text("def both(a):\n    a.go()\n    a.go()\n", encoding="utf-8")
    found = mutants_of(source.name)
    assert len({one.id for one in found}) == len(found) == 2


def _run(mutant: Mutant, value: object) -> list[str]:
    said: list[str] = []
    names = {"Reason": type("Reason", (), {"BLANK_VALUE": "blank", "DUPLICATE_ID": "twice"})}
    exec(mutant.code(), names)  # noqa: S102 - what a mutant is for
    try:
        names["check"](lambda reason, _: said.append(reason), value)
    except ValueError:
        said.append("raised")
    return said


def test_the_code_of_a_mutant_is_changed_in_one_place(source: Path) -> None:
    """The tests would be run against another change than the one that is reported."""
    found = [_run(one, 4) for one in mutants_of(source.name)]
    assert found[9:12] == [["raised"], ["twice", "raised"], ["blank"]]


@pytest.mark.parametrize("path", TARGETS)
def test_every_target_has_mutants_with_ids_of_their_own(path: str) -> None:
    """A file that was renamed would silently be checked no more."""
    found = mutants_of(path)
    assert found
    assert len({one.id for one in found}) == len(found)
