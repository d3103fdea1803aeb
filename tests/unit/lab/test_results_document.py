"""Results survive being written and read, and no file of another kind is taken for one."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.ablation import document as ablation
from lab.cells.model import Cell
from lab.results import document
from lab.results.document import Recorded
from lab.results.errors import ResultsError, ResultsReason
from lab.results.store import RESULT, Store
from tests.unit.lab.recorded_cells import ARMS, HOST, failed, recorded
from tests.unit.lab.replayed import outcomes

FILE = "cells/direct-bookworm/K/arity-gap/result.json"


def changed(**values: Any) -> str:
    """A result's document with other values; "measured.panics" is one within."""
    found = json.loads(document.text_of(recorded("K")))
    for key, value in values.items():
        place = found
        *way, last = key.split("__")
        for step in way:
            place = place[step]
        place[last] = value
    return json.dumps(found)


@pytest.mark.parametrize("one", [*(recorded(arm) for arm in ARMS), failed("K")], ids=str)
def test_a_result_comes_back_as_it_was(one: Recorded) -> None:
    """What is reported would not be what was measured."""
    assert document.read(document.text_of(one), FILE) == one


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_version_is_refused(version: object) -> None:
    """Figures would be read with another meaning than they were written with."""
    with pytest.raises(ResultsError, match=rf"RESULTS_VERSION: {FILE}: .*expected 1") as caught:
        document.read(changed(schema=version), FILE)
    assert caught.value.reason is ResultsReason.VERSION


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "\x00"])
def test_what_is_no_document_is_refused(text: str) -> None:
    """A file cut short would end the run with a traceback."""
    with pytest.raises(ResultsError, match=f"RESULTS_UNREADABLE: {FILE}"):
        document.read(text, FILE)


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"measured__panics": -1}, "measured.panics is -1"),
        ({"measured__panics": True}, "measured.panics is True"),
        ({"measured__seconds": float("nan")}, "measured.seconds is nan"),
        ({"measured__restored_seconds": "3"}, "measured.restored_seconds is '3'"),
        ({"measured__died": [1]}, r"measured.died is \[1\]"),
        ({"measured__outcome": "fine"}, "measured.outcome is 'fine', expected one of refused"),
        ({"cell": "K"}, "cell is 'K', expected an object"),
        ({"measured": None}, "failure is '', expected a reason"),
        ({"failure": "also"}, "failure is 'also', expected a reason"),
        ({"files": {"a": 1}}, "files.a is 1, expected text"),
        ({"inputs": None}, "inputs is None, expected text"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(values: dict[str, Any], place: str) -> None:
    """An edited file would be reported as measured, or be refused without saying where."""
    with pytest.raises(ResultsError, match=f"RESULTS_FIELD: {FILE}: {place}"):
        document.read(changed(**values), FILE)


def test_a_missing_value_is_refused() -> None:
    """A figure that is not there would be a traceback."""
    found = json.loads(document.text_of(recorded("K")))
    del found["measured"]["said"]
    with pytest.raises(ResultsError, match=r"measured.said is 'nothing', expected a value"):
        document.read(json.dumps(found), FILE)


def kept(store: Store, one: Recorded, console: bytes = b"boot\n") -> Recorded:
    """The result in its place."""
    with store.scratch() as folder:
        (folder / "console.log").write_bytes(console)
        return store.keep(one, folder)


def test_a_kept_result_names_its_files(tmp_path: Path) -> None:
    """The report's links would lead nowhere."""
    store = Store(tmp_path)
    found = kept(store, recorded("K"))
    assert store.read(HOST, Cell("K", "arity-gap")) == found
    below = found.result.files["console.log"]
    assert (tmp_path / below).read_bytes() == b"boot\n"


def test_a_newer_result_takes_the_place_of_the_older(tmp_path: Path) -> None:
    """Logs of two runs would be mixed in one folder."""
    store = Store(tmp_path)
    kept(store, failed("K"), b"old")
    newer = kept(store, recorded("K"), b"new")
    assert store.read_all() == ([newer], [])
    assert [path.read_bytes() for path in tmp_path.rglob("console.log")] == [b"new"]


def interrupted(store: Store) -> None:
    """A cell that gets as far as its console."""
    with store.scratch() as folder:
        (folder / "console.log").write_bytes(b"half")
        raise KeyboardInterrupt


def test_an_unfinished_cell_leaves_the_former_result(tmp_path: Path) -> None:
    """An interruption would leave half a result, or cost the one that there was."""
    store = Store(tmp_path)
    former = kept(store, recorded("K"))
    with pytest.raises(KeyboardInterrupt):
        interrupted(store)
    assert store.read_all() == ([former], [])
    assert not list((tmp_path / "cells").glob(".*"))


def test_what_a_killed_run_left_is_no_result_and_is_cleared(tmp_path: Path) -> None:
    """A killed run would fill the disk, or its half a cell be reported."""
    left = tmp_path / "cells" / ".unfinished-x" / "K" / "arity-gap"
    left.mkdir(parents=True)
    (left / RESULT).write_text(document.text_of(recorded("K")))
    store = Store(tmp_path)
    assert store.read_all() == ([], [])
    store.clear_unfinished()
    assert not list((tmp_path / "cells").iterdir())


def test_results_of_several_hosts_stand_side_by_side(tmp_path: Path) -> None:
    """A run on one kernel would wipe out what was measured on another."""
    store = Store(tmp_path)
    one = recorded("K")
    other = replace(one, result=replace(one.result, environment=replace(HOST, release="trixie")))
    assert store.read_all()[0] != [kept(store, one), kept(store, other)]
    assert len(store.read_all()[0]) == 2


def test_a_broken_file_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    """One file from an older version would hide all results."""
    store = Store(tmp_path)
    good = kept(store, recorded("P"))
    bad = tmp_path / kept(store, recorded("K")).result.files["console.log"]
    bad.with_name(RESULT).write_text('{"schema": 0}')
    found, errors = store.read_all()
    assert found == [good]
    assert [str(one).partition(": schema")[0] for one in errors] == [f"RESULTS_VERSION: {FILE}"]


def test_the_ablation_comes_back_as_it_was() -> None:
    """The figure would show another replay than was carried out."""
    assert ablation.read(ablation.text_of(outcomes(), "these"), "f") == ("these", outcomes())


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("schema", 0, "RESULTS_VERSION: f"),
        ("outcomes", [], "outcomes is"),
        ("hosts", -1, "hosts is -1"),
    ],
)
def test_another_ablation_is_refused(key: str, value: object, place: str) -> None:
    """Combinations that are missing would be drawn as if they had stopped nothing."""
    found = json.loads(ablation.text_of(outcomes(), "these"))
    with pytest.raises(ResultsError, match=place):
        ablation.read(json.dumps({**found, key: value}), "f")
