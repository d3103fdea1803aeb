"""What a sensor says of the use and cost of its content."""

from types import SimpleNamespace
from typing import Any

import pytest

from agent.supervisor.evaluations import Evaluations
from agent.supervisor.evaluator_process import LoadedFile

ONE, TWO = LoadedFile("aa", 1), LoadedFile("bb", 4)


def worker(**heartbeat: object) -> Any:
    """An evaluator that has said this of itself."""
    return SimpleNamespace(facts={"heartbeat": heartbeat})


def test_events_count_for_the_file_of_their_type_and_version() -> None:
    """A new version would be taken for tried because the old one was."""
    counted = Evaluations()
    counted.add([ONE, TWO], 4, 10)
    counted.add([ONE, LoadedFile("cc", 4)], 4, 5)
    facts = counted.facts(["aa", "cc"], None)
    assert facts["evaluations"] == [["aa", 0], ["cc", 5]]
    assert counted.facts(["bb"], None)["evaluations"] == [["bb", 0]]


def test_cost_is_per_event() -> None:
    """A busy host would look slow, and a slow one idle."""
    told = worker(evaluated=10, evaluation_ns=5_000, memory_bytes=7)
    facts = Evaluations().facts([], told)
    assert (facts["evaluation_ns"], facts["evaluator_memory_bytes"]) == (500, 7)


@pytest.mark.parametrize("nonsense", [-1, 2**60, 1.5, True, "many", None])
def test_an_evaluator_can_not_break_the_heartbeat(nonsense: object) -> None:
    """An attacker in the evaluator would silence the sensor with one figure."""
    told = worker(evaluated=nonsense, evaluation_ns=nonsense, memory_bytes=nonsense)
    facts = Evaluations().facts([], told)
    assert (facts["evaluation_ns"], facts["evaluator_memory_bytes"]) == (0, 0)
