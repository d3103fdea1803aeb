"""`make lab` from the outside: what it says, what it ends with, and where it goes on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lab.__main__ import HOSTS, QUICK_HOSTS, main
from lab.ablation import document as ablation
from lab.campaign import ablation as replaying
from lab.campaign.laboratory import Laboratory
from lab.campaign.runners import RUNNERS, imported
from lab.cells.model import Cell, Outcome
from lab.results.store import RESULT, Store
from lab.vm.alone import alone
from tests.unit.lab.laboratory_double import CONSOLE, PlayedRunner, laboratory
from tests.unit.lab.recorded_cells import ARMS, BY_ARM, CATALOGUE, FAULTS
from tests.unit.lab.replayed import outcomes

K, P = Cell("K", "arity-gap"), Cell("P", "arity-gap")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where results are kept, with an ablation of these sources in it."""
    (tmp_path / ablation.FILE).write_text(ablation.text_of(outcomes(), ablation.inputs(HOSTS)))
    return tmp_path


def run(folder: Path, runner: PlayedRunner, *words: str) -> int:
    """The command."""
    return main(laboratory(folder, runner), words)


def test_all_cells_as_expected(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run that shows what it has to would fail."""
    assert run(folder, PlayedRunner()) == 0
    said = capsys.readouterr().out
    assert f"lab: {len(ARMS) * len(FAULTS)} cells" in said
    assert "12 to be carried out: about 12 s" in said
    assert "K/arity-gap: host lost, as expected, 31 s" in said
    assert len(Store(folder).read_all()[0]) == len(ARMS) * len(FAULTS)
    assert (folder / "report.html").exists()
    assert json.loads((folder / "environment.json").read_text())["schema"] == 1


def test_a_difference_ends_with_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """CI would pass although a placement did what nobody expected."""
    measured = {K: replace(BY_ARM["K"], outcome=Outcome.CONTAINED)}
    runner = PlayedRunner(measured=measured, failing={P: "NO_BOOT: silence"})
    assert run(folder, runner, "--cells", "?/arity-gap") == 1
    assert "K/arity-gap: contained, EXPECTED host lost" in capsys.readouterr().out


def test_a_cell_that_could_not_be_carried_out_ends_with_3(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cell without a figure would count as one that is as expected."""
    runner = PlayedRunner(failing={P: "NO_BOOT: the console prints \x1b[2J"})
    assert run(folder, runner, "--cells", "[KP]/arity-gap") == 3
    said = capsys.readouterr().out
    assert r"P/arity-gap: NOT CARRIED OUT: NO_BOOT: the console prints \x1b[2J" in said
    assert runner.ran == ["K/arity-gap", "P/arity-gap"]
    store = Store(folder)
    assert [one.result.measured is None for one in store.read_all()[0]] == [False, True]


def test_where_there_can_be_no_host_it_ends_with_3(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without root or QEMU there would be a traceback."""
    assert run(folder, PlayedRunner(impossible="NO_ROOT: run it as root")) == 3
    assert "lab: error: NO_ROOT: run it as root" in capsys.readouterr().out


def test_a_runner_that_is_not_there_ends_with_3(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a runner's parts are missing there would be a traceback."""
    missing = Laboratory(folder, CATALOGUE, {"direct": imported("lab.runners.none", "None")})
    assert main(missing, []) == 3
    assert "RUNNER_MISSING: lab.runners.none: No module named" in capsys.readouterr().out


def test_the_direct_runner_is_there() -> None:
    """`make lab` would have nothing that carries cells out."""
    assert RUNNERS["direct"]().name == "direct"


def test_done_cells_are_not_run_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An interrupted run would begin anew."""
    assert run(folder, PlayedRunner(), "--cells", "K/arity-gap") == 0
    again = PlayedRunner()
    assert run(folder, again, "--cells", "[KP]/arity-gap") == 0
    assert again.ran == ["P/arity-gap"]
    assert "2 cells, 1 of them done already" in capsys.readouterr().out


def test_fresh_runs_them_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A measurement could not be repeated."""
    replayed: list[bool] = []

    def ensure(*_: object, fresh: bool) -> bool:
        replayed.append(fresh)
        return True

    monkeypatch.setattr(replaying, "ensure", ensure)
    runner = PlayedRunner()
    run(folder, runner, "--cells", "K/arity-gap")
    run(folder, runner, "--cells", "K/arity-gap", "--fresh")
    assert runner.ran == ["K/arity-gap", "K/arity-gap"]
    assert replayed == [False, True]


def test_a_result_of_an_older_version_is_run_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After an update the laboratory would stop, or mix figures of two meanings."""
    run(folder, PlayedRunner(), "--cells", "K/arity-gap")
    for file in folder.rglob(RESULT):
        file.write_text('{"schema": 0}')
    runner = PlayedRunner()
    assert run(folder, runner, "--cells", "K/arity-gap") == 0
    assert runner.ran == ["K/arity-gap"]
    assert "K/arity-gap is run again: RESULTS_VERSION" in capsys.readouterr().out


def test_a_second_run_at_the_same_time_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two runs would write over each other's results."""
    with alone(folder, "laboratory"):
        assert run(folder, PlayedRunner()) == 3
    assert "BUSY: another laboratory of this checkout is running" in capsys.readouterr().out


def test_an_interruption_keeps_what_was_measured(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C would cost the hours before it, or leave half a cell."""

    def interrupt(cell: Cell) -> None:
        if cell == P:
            raise KeyboardInterrupt

    assert run(folder, PlayedRunner(began=interrupt), "--cells", "[KP]/arity-gap") == 130
    assert "interrupted; the next run goes on from here" in capsys.readouterr().out
    assert [str(one.result.cell) for one in Store(folder).read_all()[0]] == ["K/arity-gap"]
    assert len(list(folder.rglob(CONSOLE))) == 1
    assert "P/arity-gap" not in (folder / "report.html").read_text(encoding="utf-8")


def test_two_cells_at_a_time_have_all_their_results(folder: Path) -> None:
    """A result would be missing, or stand in another cell's place."""
    waits = {K: 0.2}
    assert run(folder, PlayedRunner(waits=waits, at_once=2), "--cells", "[KPW]/arity-gap") == 0
    found = {str(one.result.cell): one.result.measured for one in Store(folder).read_all()[0]}
    assert found == {f"{arm}/arity-gap": BY_ARM[arm] for arm in "KPW"}


def test_an_interruption_stops_the_cell_beside(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C would wait for another cell's host, and begin the next."""

    def interrupt(cell: Cell) -> None:
        if cell == P:
            raise KeyboardInterrupt

    waits = {Cell(arm, "arity-gap"): 20.0 for arm in "KWG"}
    runner = PlayedRunner(began=interrupt, waits=waits, at_once=2)
    assert run(folder, runner, "--cells", "[KPWG]/arity-gap") == 130
    assert not Store(folder).read_all()[0]
    assert "interrupted; the next run goes on from here" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [("--cells", "nothing"), ("--runner", "x"), ("--quick", "--cells", "K/*"), ("--fres",)],
)
def test_what_can_not_be_meant_ends_with_2(
    folder: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """A slip would start hours of measuring something else."""
    with pytest.raises(SystemExit) as ended:
        run(folder, PlayedRunner(), *words)
    assert ended.value.code == 2
    assert "make lab: error:" in capsys.readouterr().err


def test_quick_runs_its_cells_and_a_smaller_fleet(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CI would take hours, or leave out what it is there for."""
    fleets: list[int] = []

    def ensure(_folder: Path, hosts: int, *_: object, **__: object) -> bool:
        fleets.append(hosts)
        return True

    monkeypatch.setattr(replaying, "ensure", ensure)
    runner = PlayedRunner()
    assert run(folder, runner, "--quick") == 0
    assert len(runner.ran) == 8
    assert fleets == [QUICK_HOSTS]


def test_an_ablation_that_can_not_be_ends_with_3(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a compiler the report would lack a part, and nobody be told."""
    monkeypatch.setattr(replaying, "ensure", lambda *_, **__: False)
    assert run(folder, PlayedRunner(), "--cells", "K/arity-gap") == 3
