"""The arithmetic and the form that every published figure goes through."""

from dataclasses import asdict
from typing import Any

import pytest

from bench.figures import is_sealed, page, sealed, sections_of
from bench.harness import Figure, Peer, from_samples, in_words, meets, number, percentile, programs


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 50), (99, 99), (99.9, 100), (100, 100), (0, 1)]
)
def test_a_percentile_is_a_sample_that_was_measured(percent: float, expected: float) -> None:
    """A p99 would be a value between two measurements that nobody saw."""
    assert percentile(list(range(100, 0, -1)), percent) == expected


def test_a_figure_from_samples_is_their_median_unless_said_otherwise() -> None:
    """One slow run would decide the figure."""
    assert from_samples("latency", [1, 2, 90], unit="ms").value == 2
    assert from_samples("latency", [1, 2, 90], unit="ms", percent=99).value == 90


@pytest.mark.parametrize(
    ("bar", "value", "holds"),
    [("<= 3", 3, True), ("<= 3", 3.01, False), (">= 10", 9, False), ("= 0", 0, True)],
)
def test_a_bar_is_met_or_missed(bar: str, value: float, *, holds: bool) -> None:
    """A missed aim would be shown as met."""
    assert meets(bar, value) is holds


def test_a_bar_in_another_form_is_refused_when_the_figure_is_made() -> None:
    """A bar that can't be compared would look like one that is met."""
    with pytest.raises(ValueError, match="expected one of"):
        Figure("events lost", 0, "events", bar="none")


def test_a_missed_bar_and_the_peer_are_said() -> None:
    """A reader of CI's log would take a miss for a success."""
    figure = {"name": "set-up", "value": 4.0, "unit": "s", "bar": "<= 3"}
    peer = {"name": "pip", "value": 25.6}
    assert in_words({**figure, "peer": peer}) == "set-up: 4 s (pip: 25.6 s), bar <= 3 MISSED"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.084196, "0.0842"), (1_234_567.8, "1,234,568"), (0.00000123, "0.0000012")],
)
def test_numbers_are_written_for_people(value: float, text: str) -> None:
    """Figures would carry digits that were not measured, or powers of ten."""
    assert number(value) == text


def test_a_page_that_was_edited_by_hand_is_told_from_one_that_was_written() -> None:
    """Somebody could type a figure."""
    page = sealed("# Measured figures\n\n| latency | 12 ms |\n")
    assert is_sealed(page)
    assert not is_sealed(page.replace("12 ms", "2 ms"))
    assert not is_sealed("# Measured figures\n")


def test_the_benchmarks_are_found_and_the_harness_is_none() -> None:
    """`make bench` would leave one out, or run the harness."""
    assert "setup_time" in programs()
    assert not {"harness", "figures", "__main__"} & set(programs())


def test_a_peer_has_the_figures_unit() -> None:
    """Two values in different units would stand side by side."""
    figure = from_samples("set-up", [8.0], unit="s", peer=Peer("pip", 25.0))
    assert in_words(asdict(figure)) == "set-up: 8 s (pip: 25 s)"


def test_several_peers_are_all_said() -> None:
    """The one that looks best could be shown alone."""
    figure = Figure("set-up", 8.0, "s", peer=(Peer("pip", 25.0), Peer("poetry", 7.0)))
    assert in_words(asdict(figure)) == "set-up: 8 s (pip: 25 s; poetry: 7 s)"


def result_of(name: str) -> dict[str, Any]:
    """A benchmark's result with one figure, as it stands in its file."""
    where = {
        "virtual": False,
        "measured": "2026-01-01",
        "commit": "abc",
        "distribution": "Debian",
        "kernel": "6.1",
        "cores": 2,
        "processor": "any",
        "memory_bytes": 2**30,
        "python": "3.11",
    }
    figure = asdict(Figure("loop", 2.0, "times"))
    return {
        "name": name,
        "question": f"What of {name}?",
        "command": f".venv/bin/python -m bench.{name}",
        "environment": where,
        "figures": [figure],
    }


def test_what_was_changed_or_left_out_stands_below_the_figures() -> None:
    """A reader would take a peer that is missing for one that nobody thought of."""
    result = result_of("start")
    text = page([{**result, "notes": ["auditd is left out: not installed"]}], {})
    assert "- auditd is left out: not installed\n" in text
    assert "| loop | 2 times |" in page([result], {})


def test_what_was_not_measured_again_stays() -> None:
    """Figures would vanish from the page whenever one benchmark is run by itself."""
    older = sealed(page([result_of("link"), result_of("start")], {}))
    kept = sections_of(older)
    assert list(kept) == [".venv/bin/python -m bench.link", ".venv/bin/python -m bench.start"]
    assert sealed(page([], kept)) == older
    newer = page([{**result_of("start"), "notes": ["again"]}], kept)
    assert newer.count("What of start?") == newer.count("What of link?") == 1
    assert "- again\n" in newer


def test_a_part_that_was_measured_alone_has_a_section_of_its_own() -> None:
    """It would take the place of the whole, and of every other figure of it."""
    part = {**result_of("start"), "command": ".venv/bin/python -m bench.start 'a part'"}
    older = sealed(page([result_of("link"), result_of("start"), part], {}))
    assert older.count("What of start?") == 2
    assert sealed(page([result_of("start")], sections_of(older))) == older
