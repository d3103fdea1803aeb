"""The causes of loss: one table, and the page that people read."""

from pathlib import Path

import pytest

from content.loss_causes import LossCause, counts_as_lost, missing

PAGE = Path(__file__).parents[3] / "docs" / "losses.md"


def test_the_page_holds_the_same_table() -> None:
    """Somebody would look a cause up and find nothing, or another meaning."""
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
    assert rows == [f"| `{cause}` | {cause.missing} | {cause.meaning} |" for cause in LossCause]


def test_a_cause_is_written_as_it_is_named() -> None:
    """A cause would not be found again under what the sensor has sent."""
    assert [str(cause) for cause in LossCause] == list(LossCause.__members__)


@pytest.mark.parametrize(
    ("cause", "lost"),
    [
        ("RING_FULL", True),
        ("OUTBOX_FULL", True),
        ("FIELD_TRUNCATED", False),
        ("EVALUATOR_DOWN", False),
        ("PROBE_SKIPPED", False),
        ("BEFORE_SENSOR", False),
        ("OF_A_NEWER_SENSOR", True),
    ],
)
def test_what_counts_as_lost(cause: str, lost: bool) -> None:  # noqa: FBT001 — a table's column
    """An event with a field less would be reported as lost, or a lost one passed over."""
    assert counts_as_lost(cause) is lost


def test_an_unknown_cause_can_be_shown() -> None:
    """One newer sensor would break the view for the whole fleet."""
    assert missing("OF_A_NEWER_SENSOR") == "unknown"
