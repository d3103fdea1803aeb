"""Which cells a run is of, and which of them it leaves as they are."""

from dataclasses import replace
from pathlib import Path

import pytest

from lab.campaign.catalogue import load
from lab.campaign.inputs import digest
from lab.campaign.plan import QUICK, PlanError, choose, plan
from lab.cells.model import Cell
from tests.unit.lab.recorded_cells import ARMS, CATALOGUE, FAULTS, HOST, failed, recorded

K, P, W = (Cell(arm, "arity-gap") for arm in "KPW")


def ten_seconds(_: Cell) -> float:
    """What each cell is thought to take."""
    return 10.0


def test_all_cells_are_wanted_without_a_pattern() -> None:
    """A full run would silently leave cells out."""
    assert len(choose(CATALOGUE, ())) == len(ARMS) * len(FAULTS)


def test_the_real_catalogue_has_an_expectation_for_each_cell_in_a_readers_order() -> None:
    """A cell would end with a traceback, or the report begin with what matters least."""
    found = load()
    assert list(found.arms) == ["K", "P", "W", "B1", "B2", "G"]
    assert next(iter(found.faults)) == "arity-gap"
    assert set(choose(found, ())) == set(found.expectations)
    assert len(choose(found, QUICK)) == len(QUICK)


def test_patterns_choose_cells_once_and_in_order() -> None:
    """A cell that two patterns fit would run twice, or an arm be another one's."""
    chosen = choose(CATALOGUE, ("B1/*", "B?/arity-gap"))
    assert list(map(str, chosen)) == ["B1/arity-gap", "B2/arity-gap", "B1/bad-content-at-boot"]


def test_a_pattern_that_fits_nothing_is_an_error() -> None:
    """A slip in --cells would end as a success in which nothing was measured."""
    with pytest.raises(PlanError, match=r"CELLS_UNKNOWN.*'k/\*'.*K, P, W.*arity-gap"):
        choose(CATALOGUE, ("K/*", "k/*"))


def test_a_cell_measured_from_the_same_inputs_is_done() -> None:
    """An interrupted run would begin anew, or tell old measurements as new ones."""
    found = {K: recorded("K", inputs="new"), P: recorded("P", inputs="old")}
    made = plan((K, P, W), found, "new", ten_seconds)
    assert made.left == (P, W)
    assert made.done == {K: found[K]}
    assert made.seconds == 20.0


def test_a_cell_that_could_not_be_carried_out_is_tried_again() -> None:
    """A full disk would be told for ever after it was emptied."""
    assert plan((K,), {K: failed("K")}, "these", ten_seconds).left == (K,)


def test_inputs_change_with_sources_and_hosts(tmp_path: Path) -> None:
    """A changed sensor or kernel would not be measured again."""
    for folder in ("agent", "lab/report", "requirements"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "requirements" / "runtime.lock").write_text("a==1")
    sensor = tmp_path / "agent" / "supervisor.py"
    sensor.write_text("one")
    first = digest(tmp_path, HOST)
    assert digest(tmp_path, replace(HOST, kernel="6.12")) != first
    sensor.write_text("two")
    assert digest(tmp_path, HOST) != first


def test_inputs_do_not_change_with_the_report(tmp_path: Path) -> None:
    """A better sentence in the report would cost hours of measuring."""
    for folder in ("lab/report", "requirements"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "requirements" / "runtime.lock").write_text("a==1")
    first = digest(tmp_path, HOST)
    (tmp_path / "lab" / "report" / "words.py").write_text("better")
    assert digest(tmp_path, HOST) == first
