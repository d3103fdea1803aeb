"""What the connector's collector makes of notifications, on processes that are made up."""

from collections.abc import Mapping

import pytest

from content.definitions import load_definitions
from content.loss_causes import LossCause
from probes import connector_collector
from probes.connector_collector import ConnectorCollector
from probes.limits import ProbeLimits
from probes.notifications import Notification, What
from probes.processes import Process
from probes.surroundings import Surroundings

Event = Mapping[str, int | bytes]

PROCESS = 1
AROUND = Surroundings(b"/srv/work", 1000, None, b"session-2.scope")
SHELL = Process(100, b"sh", 1, 5000, b"/bin/sh", b"sh\0-i", 2, 1000, 1000)


class Host:
    """Processes, and the collector that follows them."""

    def __init__(self) -> None:
        self.there: dict[int, Process] = {100: SHELL}
        self.events: list[Event] = []
        self.counted: list[tuple[LossCause, int, int]] = []
        self.collector = ConnectorCollector(
            load_definitions(),
            lambda _name, fields: self.events.append(fields),
            lambda *loss: self.counted.append(loss),
            self.there.get,
            lambda _pid: AROUND,
            lambda: list(self.there),
        )

    def runs(self, pid: int, image: bytes, parent: int = 100) -> None:
        """From now on /proc shows this program."""
        self.there[pid] = Process(pid, b"x", parent, 7000, image, image, 1, 1000, 1000)

    def hear(self, *notifications: Notification) -> None:
        """Notifications that come together."""
        self.collector.take(notifications)


def told(what: What, *numbers: int) -> Notification:
    """A notification with these numbers."""
    first, second, third, fourth = (*numbers, 0, 0, 0, 0)[:4]
    return Notification(what, 0, 0, (first, second, third, fourth))


def fork(child: int, parent: int = 100) -> Notification:
    """A process that forks."""
    return told(What.FORK, parent, parent, child, child)


def execs(pid: int) -> Notification:
    """A process that executes."""
    return told(What.EXEC, pid, pid)


@pytest.fixture
def host() -> Host:
    """A host with a shell."""
    return Host()


def test_an_exec_is_one_event_with_its_parent(host: Host) -> None:
    """If it failed, the rung would report nothing, or no lineage."""
    host.runs(200, b"/bin/id")
    host.hear(fork(200), execs(200))
    (event,) = host.events
    assert (event["image"], event["pid"], event["thread_id"]) == (b"/bin/id", 200, 200)
    assert (event["parent_image"], event["parent_start_time"]) == (b"/bin/sh", 5000)
    assert (event["current_directory"], event["login_user_id"]) == (b"/srv/work", 1000)
    assert event["cgroup_name"] == b"session-2.scope"
    assert "session_id" not in event
    assert host.counted == []


def test_a_fork_and_a_thread_are_no_events(host: Host) -> None:
    """If it failed, what executes nothing would be reported."""
    host.hear(fork(200), told(What.FORK, 100, 100, 201, 100))
    assert host.events == []


def test_gone_before_anyone_could_look(host: Host) -> None:
    """If it failed, a short program would vanish, or take the shell's image."""
    host.hear(fork(200), execs(200), told(What.EXIT, 200, 200))
    (event,) = host.events
    assert event == {
        "pid": 200,
        "thread_id": 200,
        "observed": 1,
        "parent_pid": 100,
        "parent_image": b"/bin/sh",
        "parent_command_line": b"sh\0-i",
        "parent_user_id": 1000,
        "parent_start_time": 5000,
    }
    assert host.counted == [(LossCause.READ_FAULT, PROCESS, 1)]


def test_a_zombie_has_a_name_and_no_image(host: Host) -> None:
    """If it failed, a program that has just ended would have an empty command line."""
    host.there[200] = Process(200, b"id", 100, 7000, None, b"", 0, 0, 0)
    host.hear(fork(200), execs(200))
    (event,) = host.events
    assert (event["name"], event["start_time"]) == (b"id", 7000)
    assert not {"image", "command_line", "argument_count"} & event.keys()
    assert host.counted == [(LossCause.READ_FAULT, PROCESS, 1)]


def test_an_earlier_program_does_not_get_the_later_ones_image(host: Host) -> None:
    """If it failed, the first of two programs would be reported as the second."""
    host.runs(200, b"/bin/second")
    host.hear(fork(200), execs(200), execs(200))
    first, second = host.events
    assert "image" not in first
    assert second["image"] == b"/bin/second"


def test_the_process_after_it_is_another_one(host: Host) -> None:
    """If it failed, a recycled pid would inherit a stranger's parent."""
    host.runs(300, b"/bin/other")
    host.hear(fork(300), fork(200), told(What.EXIT, 200, 200), fork(200, 300), execs(200))
    (event,) = host.events
    assert (event["parent_pid"], event["parent_image"]) == (300, b"/bin/other")


def test_a_change_of_user_is_noted(host: Host) -> None:
    """If it failed, a parent that became root would be reported under its old user."""
    host.runs(200, b"/bin/id")
    host.hear(told(What.USER, 100, 100, 0, 0), told(What.GROUP, 100, 100, 7, 7), execs(200))
    assert host.events[0]["parent_user_id"] == 0


def test_after_a_loss_everyone_is_looked_at(host: Host) -> None:
    """If it failed, a program whose notification was lost would stay unseen for good."""
    host.runs(100, b"/bin/changed", 1)
    host.runs(200, b"/bin/new")
    host.collector.look_again()
    assert {event["image"] for event in host.events} == {b"/bin/changed", b"/bin/new"}
    host.collector.look_again()
    assert len(host.events) == 2


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it failed, a fork bomb would take the collector's memory."""
    monkeypatch.setattr(connector_collector, "LIMITS", ProbeLimits(lineage_entries=2))
    host = Host()
    host.hear(*(fork(200 + number) for number in range(5)))
    assert host.collector.processes == 2
    assert host.counted == [(LossCause.LINEAGE_FULL, 0, 1)] * 4
