"""systemd is told the truth, as often as it wants to hear it, and never by mistake."""

import socket
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from agent.supervisor.limits import LIMITS
from agent.supervisor.service_manager import ServiceManager, condition, from_environment


class Ear:
    """A service manager's socket."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(self.path)

    def heard(self) -> list[str]:
        """Every line since it was last asked."""
        lines: list[str] = []
        while True:
            try:
                lines += self.socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return lines


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    """A service manager that listens."""
    listener = Ear(tmp_path)
    yield listener
    listener.socket.close()


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """The time now."""
        return self.now


def test_ready_is_said_once_and_not_before_protection(ear: Ear) -> None:
    """Services would be started on a host that nobody watches yet."""
    manager = ServiceManager(ear.path, None, Clock())
    manager.look(protecting=False, reduced=["NO_COLLECTION"])
    assert ear.heard() == []
    manager.look(protecting=True, reduced=[])
    assert ear.heard() == ["READY=1", "STATUS=protecting"]
    manager.look(protecting=True, reduced=[])
    assert ear.heard() == []


def test_a_host_that_cannot_be_protected_boots_all_the_same(ear: Ear) -> None:
    """A sensor that can't work would keep the host from starting."""
    clock = Clock()
    manager = ServiceManager(ear.path, None, clock)
    clock.now += LIMITS.ready_seconds
    manager.look(protecting=False, reduced=["NO_EVALUATOR"])
    assert ear.heard() == [
        "READY=1",
        "STATUS=NOT PROTECTING, reduced functionality: NO_EVALUATOR",
    ]


def test_a_change_of_condition_is_told(ear: Ear) -> None:
    """`systemctl status` would show full protection on a host that has less."""
    manager = ServiceManager(ear.path, None, Clock())
    manager.look(protecting=True, reduced=[])
    ear.heard()
    manager.look(protecting=True, reduced=["RUNG_PSUTIL"])
    assert ear.heard() == ["STATUS=protecting, reduced functionality: RUNG_PSUTIL"]


def test_signs_of_life_come_twice_in_the_interval(ear: Ear) -> None:
    """The service manager would kill a sensor that works."""
    clock = Clock()
    manager = ServiceManager(ear.path, 10.0, clock)
    heard = []
    for _ in range(100):
        manager.look(protecting=True, reduced=[])
        clock.now += 0.5
        heard += [clock.now for line in ear.heard() if line == "WATCHDOG=1"]
    assert len(heard) == 10
    assert all(later - earlier == 5.0 for earlier, later in pairwise(heard))


def test_stopping_is_told(ear: Ear) -> None:
    """The service manager would take a stop for a hang."""
    ServiceManager(ear.path, None).stopping()
    assert ear.heard()[0] == "STOPPING=1"


def test_nobody_who_listens_is_no_error(tmp_path: Path) -> None:
    """A service manager that is gone would end the sensor."""
    manager = ServiceManager(str(tmp_path / "gone"), 1.0)
    manager.look(protecting=True, reduced=[])
    manager.stopping()


@pytest.mark.parametrize(
    ("environment", "address", "seconds"),
    [
        ({}, "", None),
        ({"NOTIFY_SOCKET": "/run/notify"}, "/run/notify", None),
        ({"NOTIFY_SOCKET": "@hidden", "WATCHDOG_USEC": "5000000"}, "@hidden", 5.0),
        ({"NOTIFY_SOCKET": "relative"}, "", None),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "8"}, "/n", None),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}, "/n", 3.0),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "0"}, "/n", None),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "soon"}, "/n", None),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "²"}, "/n", None),
    ],
)
def test_environment_is_read_as_systemd_means_it(
    environment: dict[str, str], address: str, seconds: float | None
) -> None:
    """An odd environment would end the sensor at start, or keep it silent."""
    manager = from_environment(environment, 7)
    assert (manager.address, manager.watchdog_seconds) == (address, seconds)


def test_condition_names_every_reason() -> None:
    """Part of what is missing would not be seen."""
    assert condition(protecting=True, reduced=["A", "B"]).endswith("functionality: A, B")
