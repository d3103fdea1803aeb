"""The simulation of rollouts, in small."""

from pathlib import Path

import pytest

from bench.rollout import simulate
from bench.rollout_faults import Fault, Kind
from bench.rollout_fleet import ASSUMPTIONS, EXPLAINED, Fleet
from bench.rollout_picture import Point, picture
from cloud.rollout.engine import Rollout
from cloud.rollout.plan import IMMEDIATE, STAGED
from cloud.rollout.table import STAGES, State

PAGE = Path(__file__).parents[3] / "docs" / "rollout.md"


def over(rollout: Rollout) -> bool:
    """It is complete."""
    return rollout.state is State.COMPLETE


@pytest.mark.parametrize("kind", [Kind.CRASH, Kind.PLATFORM, Kind.SLOW, Kind.FLOOD, Kind.REFUSED])
def test_faulty_content_ends_with_the_canaries(kind: Kind) -> None:
    """The simulation would not notice what the gates are for."""
    run = simulate(Fleet(1_000, 3, Fault(kind)), STAGED, 60.0, over)
    assert run.rollout.state is State.HALTED
    assert run.furthest in STAGES[:2]
    assert run.reached <= 20


def test_good_content_comes_to_everybody_online() -> None:
    """A simulation in which nothing ever passes would prove nothing."""
    run = simulate(Fleet(1_000, 3), STAGED, 60.0, over)
    assert run.rollout.state is State.COMPLETE
    assert run.half < run.ended


def test_without_stages_bad_content_reaches_everybody_online() -> None:
    """The plan of 2024 would look harmless."""
    run = simulate(Fleet(1_000, 3, Fault(Kind.JULY_2024)), IMMEDIATE, 60.0, lambda _: False)
    assert run.reached > 850
    assert run.ended == 78 * 60.0


def test_every_assumption_stands_in_the_guide() -> None:
    """A reader would not know what the figures stand on."""
    text = PAGE.read_text(encoding="utf-8")
    for name, words in EXPLAINED.items():
        assert f"| {words} | {getattr(ASSUMPTIONS, name):g} |" in text
    assert set(EXPLAINED) == set(ASSUMPTIONS.__slots__)


def test_the_picture_shows_every_plan() -> None:
    """A plan that does badly could be left out."""
    drawn = picture([Point("a & b", 10, 1.0, 2.0), Point("c", 8_000_000, 0.0, 0.1)], 8_500_000)
    assert "a &amp; b: 10" in drawn
    assert "c: 8,000,000" in drawn
