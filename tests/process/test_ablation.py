"""Each finding's answer alone, and all combinations, on the replay of February to July 2024."""

import io
import signal
from pathlib import Path

import pytest
from rich.console import Console

from lab.ablation import checks, document, history, replay, sensor
from lab.ablation.replay import Outcome
from lab.ablation.safeguards import Safeguard, every_combination
from lab.campaign import ablation
from lab.campaign.screen import Screen

# Every host is a fork, and processor time may be scarce: the first test waits for them all.
pytestmark = pytest.mark.timeout(240)

HOSTS = 100
MARCH, JULY = history.RELEASES[0], history.RELEASES[-1]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """All 64, on a small fleet, replayed as the laboratory does: by a process that is small.

    A fork of this one would copy what all other tests have left here, threads of gRPC among it.
    """
    folder = tmp_path_factory.mktemp("ablation")
    assert ablation.ensure(folder, HOSTS, Screen(Console(file=io.StringIO())), fresh=True)
    _, found = document.read((folder / document.FILE).read_text(), document.FILE)
    return found


def test_every_combination_is_tried_once(outcomes: list[Outcome]) -> None:
    """A figure would have gaps that nobody sees."""
    assert len(outcomes) == 64
    assert {one.safeguards for one in outcomes} == set(every_combination())


def test_without_safeguards_every_host_crashes_in_july(outcomes: list[Outcome]) -> None:
    """The replay would not be that of the incident."""
    nothing = next(one for one in outcomes if not one.safeguards)
    assert (nothing.crashed, nothing.reached, nothing.stopped_by) == (HOSTS, HOSTS, None)


@pytest.mark.parametrize(
    ("safeguard", "month"),
    [
        (Safeguard.BUILD_CHECK, 2),
        (Safeguard.FIELD_TESTS, 2),
        (Safeguard.BOUNDS_CHECK, 3),
        (Safeguard.VALIDATOR, 3),
        (Safeguard.TRIAL, 7),
    ],
)
def test_one_check_alone_stops_it(
    outcomes: list[Outcome], safeguard: Safeguard, month: int
) -> None:
    """An answer to a finding would answer nothing."""
    one = replay.alone(outcomes)[safeguard]
    assert (one.crashed, one.stopped_by) == (0, safeguard)
    assert one.stopped_on is not None
    assert one.stopped_on.month == month


def test_stages_alone_crash_the_first_stage(outcomes: list[Outcome]) -> None:
    """Stages don't prevent: they bound."""
    one = replay.alone(outcomes)[Safeguard.STAGES]
    assert one.crashed == one.reached == round(HOSTS * replay.STAGES[0])
    assert one.stopped_by is Safeguard.STAGES


def test_redundancy_is_not_mutual(outcomes: list[Outcome]) -> None:
    """Who has stages alone would be told that nothing else is needed."""
    pairs = replay.redundant(outcomes)
    assert (Safeguard.VALIDATOR, Safeguard.STAGES) in pairs
    assert (Safeguard.STAGES, Safeguard.VALIDATOR) not in pairs


@pytest.fixture
def arity_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    """The author's Definition is the sensor's."""
    monkeypatch.setattr(checks, "authors_type", history.sensors_type)


@pytest.mark.usefixtures("arity_agrees")
@pytest.mark.parametrize("checked", [False, True], ids=["unchecked", "checked"])
def test_checks_of_the_sensor_pass_where_nothing_is_wrong(*, checked: bool) -> None:
    """What refuses everything would have stopped the incident as well, and be worth nothing."""
    assert checks.build_check() == ""
    assert checks.field_tests(checked=checked) == ""


def test_months_of_wildcards_pass_a_trial_and_run_on_every_host() -> None:
    """It was success that waived the gate."""
    file = MARCH.channel_file()
    assert checks.trial(file, checked=False) == ""
    assert sensor.behaviour(file, 0, checked=False) == sensor.Behaviour()


def test_july_crashes_a_host_by_reading_too_far() -> None:
    """The simulated host would crash of something else."""
    assert sensor.behaviour(JULY.channel_file(), 0, checked=False).crash == signal.SIGSEGV
    assert checks.trial(JULY.channel_file(), checked=False) == checks.CRASHED
    assert checks.field_tests(checked=False) == checks.CRASHED


def test_the_laboratory_replays_once(tmp_path: Path, outcomes: list[Outcome]) -> None:
    """`make lab` would replay what it has, or take an older version for a replay."""
    said = io.StringIO()
    screen = Screen(Console(file=said))
    file = tmp_path / document.FILE
    file.write_text('{"schema": 0}')
    assert ablation.ensure(tmp_path, 1, screen, fresh=False)
    inputs, found = document.read(file.read_text(), document.FILE)
    assert inputs == document.inputs(1)
    stopped = {one.safeguards: one.stopped_by for one in outcomes}
    assert {one.safeguards: one.stopped_by for one in found} == stopped
    assert "replayed again: RESULTS_VERSION: ablation.json" in said.getvalue()
    written = file.stat().st_ino
    assert ablation.ensure(tmp_path, 1, screen, fresh=False)
    assert file.stat().st_ino == written
