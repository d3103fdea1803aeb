"""What peers print is counted rightly, and the audit system is put back as it was found."""

import shutil
import subprocess
from pathlib import Path

import pytest

from bench import peer_auditd, peer_bpftrace
from bench.event_content import CANARY, file_content, process_content
from bench.harness import NotMeasurableError
from bench.peer_auditd import EXECVE, auditd
from content.channel_file import load, pack

STATUS = (
    "enabled {enabled}\nfailure 1\npid {pid}\nbacklog_limit 64\nlost 3\nbacklog_wait_time 15000\n"
)


def test_lines_and_counts_of_bpftrace_are_added_up_by_kind(tmp_path: Path) -> None:
    """A peer would be said to have lost what it has printed."""
    output, errors = tmp_path / "output", tmp_path / "errors"
    output.write_text("Attaching 3 probes...\nopen 1 2 3\nopen 4 5 6\nexec 7 8\n@connect: 12\n")
    errors.write_text("Lost 4 events\nLost 5 events\n")
    told = peer_bpftrace._told(output, errors)
    assert told == ({"open": 2, "exec": 1, "connect": 12}, 9)


def test_records_of_auditd_count_once_and_by_our_key_only(tmp_path: Path) -> None:
    """Other rules' records, or the several lines of one event, would count as seen."""
    log = tmp_path / "audit.log"
    log.write_text(
        'type=SYSCALL msg=audit(1.0:1): syscall=59 key="bulkhead-bench-exec"\n'
        'type=EXECVE msg=audit(1.0:1): argc=1 key="bulkhead-bench-exec"\n'
        'type=SYSCALL msg=audit(1.0:2): syscall=257 key="bulkhead-bench-open"\n'
        'type=SYSCALL msg=audit(1.0:3): syscall=257 key="somebody-else"\n'
    )
    assert peer_auditd._counted(log) == {"open": 1, "exec": 1}


class FakeAudit:
    """An audit system that remembers every order; its daemon can't be started."""

    def __init__(self, *, enabled: str = "0", pid: str = "0") -> None:
        self.status = STATUS.format(enabled=enabled, pid=pid)
        self.orders: list[tuple[str, ...]] = []

    def control(self, *arguments: str) -> str:
        """As `auditctl` answers."""
        if arguments == ("-s",):
            return self.status
        if arguments == ("-l",):
            return "-a never,task\n"
        self.orders.append(arguments)
        return ""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeAudit:
    """In place of auditctl; auditd itself ends at once."""
    audit = FakeAudit()
    monkeypatch.setattr(peer_auditd, "_control", audit.control)
    monkeypatch.setattr(shutil, "which", lambda _name: "/bin/false")
    real = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda _command: real(["/bin/false"]))
    return audit


def test_the_audit_system_is_put_back_when_auditd_does_not_start(fake: FakeAudit) -> None:
    """A measurement that failed would leave the host with rules and settings of ours."""
    with pytest.raises(NotMeasurableError, match="did not start"), auditd([EXECVE]):
        pass
    changed = [("-d", "never,task"), ("-b", "8192"), ("--backlog_wait_time", "60000")]
    assert fake.orders[:4] == [*changed, ("-a", *EXECVE)]
    assert fake.orders[4:] == [
        ("-d", *EXECVE),
        ("-b", "64"),
        ("--backlog_wait_time", "15000"),
        ("-e", "0"),
        ("-a", "never,task"),
    ]


@pytest.mark.parametrize(
    ("enabled", "pid", "words"), [("1", "77", "at work"), ("2", "0", "locked")]
)
def test_an_audit_system_in_use_is_left_alone(
    fake: FakeAudit, enabled: str, pid: str, words: str
) -> None:
    """A host's own auditing would be disturbed for a benchmark."""
    fake.status = STATUS.format(enabled=enabled, pid=pid)
    with pytest.raises(NotMeasurableError, match=words), auditd([EXECVE]):
        pass
    assert fake.orders == []


@pytest.mark.parametrize("count", [1, 40])
def test_content_for_loads_is_loaded_as_strictly_as_any(count: int) -> None:
    """A benchmark's content would be refused by the sensor, after minutes."""
    for file in (file_content(count), process_content(count)):
        assert len(load(pack(file)).instances) == count
    first = file_content(count).instances[0]
    assert first.clauses[0].criteria[0].values == (CANARY,)
