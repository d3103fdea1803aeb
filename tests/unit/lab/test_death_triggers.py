"""An evaluator of the laboratory dies of what it was asked to, and of nothing else."""

from lab.deaths import trigger
from lab.deaths.kinds import KINDS

SUPERVISOR = 4711


def test_every_kind_is_understood() -> None:
    """Otherwise a kind of death would never happen, and its figures would be another's."""
    for kind in KINDS:
        name = f"/srv/scratch/{trigger.name(kind, SUPERVISOR)}".encode()
        assert trigger.kind_in([3, name], SUPERVISOR) == kind


def test_another_sensors_death_is_not_ours() -> None:
    """Otherwise sensors that run side by side would die of each other's events."""
    name = trigger.name("SIGSEGV", SUPERVISOR).encode()
    assert trigger.kind_in([name], SUPERVISOR + 1) == ""


def test_ordinary_inputs_ask_for_nothing() -> None:
    """Otherwise a death would be counted that nobody asked for."""
    assert trigger.kind_in([b"/run/initctl", 7, trigger.WORD], SUPERVISOR) == ""
