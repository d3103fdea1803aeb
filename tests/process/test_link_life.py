"""How the real link starts, ends, survives and what it writes on the local disk."""

import json
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.link.role import EXIT_FAILED, EXIT_MISCONFIGURED
from bulkhead.v1 import channel_file_pb2, report_pb2
from tests.process.link_cloud import ScriptedCloud, running_cloud
from tests.process.link_network import network
from tests.process.link_supervisor import ScriptedSupervisor, link_folders, link_user, running_link

SECONDS_TO_END = 1.0


@pytest.fixture
def cloud() -> Iterator[ScriptedCloud]:
    """A cloud that is there."""
    with running_cloud() as running:
        yield running


@pytest.fixture
def lonely() -> Iterator[ScriptedSupervisor]:
    """A supervisor with a link that has no cloud."""
    with running_link() as running:
        yield running


def detection(number: int, **inputs: bytes) -> report_pb2.Detection:
    """A detection of a program that was executed, with some texts of that type."""
    fields = {"image": 1, "command_line": 2, "name": 3}
    return report_pb2.Detection(
        id=f"d{number}",
        time_unix_ns=1_753_000_000_000_000_007,
        template_type=1,
        sequence=number,
        instance_id="proc-1",
        rung=report_pb2.RUNG_BPF_BTF,
        severity=channel_file_pb2.SEVERITY_HIGH,
        disposition=channel_file_pb2.DISPOSITION_DETECT,
        inputs=[
            channel_file_pb2.FieldInput(
                field=fields[name], value=channel_file_pb2.Value(text=value)
            )
            for name, value in inputs.items()
        ],
    )


def test_without_a_cloud_the_local_log_is_written(lonely: ScriptedSupervisor) -> None:
    """A sensor without a cloud detects for nobody, or fills an outbox that nobody empties."""
    lonely.detect(detection(1, image=b"/bin/sh", command_line=b"sh -c id"))
    lonely.until_stored()
    (line,) = lonely.log_lines()
    assert json.loads(line) == {
        "time": "2025-07-20T08:26:40.000000007Z",
        "id": "d1",
        "template_type": "process",
        "sequence": 1,
        "instance": "proc-1",
        "channel_file_version": 0,
        "title": "",
        "disposition": "detect",
        "severity": "high",
        "attack_techniques": [],
        "rung": "bpf_btf",
        "own_activity": False,
        "prevention": "",
        "inputs": {"image": "/bin/sh", "command_line": "sh -c id"},
        "truncated": [],
    }
    lonely.until(lambda: "outbox" in lonely.facts)
    counts = ("connected", "outbox", "dropped", "own_activity", "deliveries_refused")
    repository = {"metadata_root": 0, "metadata_good": 0, "last_refusal": ""}
    certificate = {"certificate_ends": 0, "renewal_refused": ""}
    assert lonely.facts == {**dict.fromkeys(counts, 0), **repository, **certificate}


def test_hostile_names_stay_on_one_ascii_line(lonely: ScriptedSupervisor) -> None:
    """A process forges log lines, or drives the terminal of whoever reads them."""
    hostile = b'a\nb\r{"id": "forged"}\x1b[2J\x00\xff\xe2\x80\xae\xe2\x80\xa8\\end'
    lonely.detect(detection(1, image=hostile, command_line=hostile, name=b"\n" * 16))
    lonely.until_stored()
    (line,) = lonely.log_lines()
    assert line.isascii()
    assert line.decode().isprintable()
    shown = json.loads(line)["inputs"]["image"]
    assert shown == (r'a\x0ab\x0d{"id": "forged"}\x1b[2J\x00\xff\u202e\u2028\\end')


def test_the_log_is_for_its_owner_and_group(lonely: ScriptedSupervisor) -> None:
    """Command lines with secrets in them are readable by everybody."""
    lonely.detect(detection(1))
    lonely.until_stored()
    facts = (lonely.state / "detections.jsonl").stat()
    assert stat.S_IMODE(facts.st_mode) == 0o640


def test_the_log_begins_anew_and_keeps_one_predecessor(lonely: ScriptedSupervisor) -> None:
    """The log fills the disk, or a rotation loses lines."""
    big = b"x" * 100_000
    total = 450  # 43 MiB: once over the limit of 32
    for number in range(total):
        lonely.detect(detection(number, command_line=big))
        lonely.turn()
    lonely.until_stored(15.0)
    assert lonely.logged() == [f"d{number}" for number in range(total)]
    sizes = [file.stat().st_size for file in lonely.state.glob("detections.jsonl*")]
    assert len(sizes) == 2
    assert max(sizes) <= 32 * 1024 * 1024


@pytest.mark.parametrize("end", [ScriptedSupervisor.stop, ScriptedSupervisor.hang_up])
def test_it_ends_within_a_second_with_everything_stored(
    cloud: ScriptedCloud, end: Callable[[ScriptedSupervisor], int]
) -> None:
    """A shutdown hangs on the link, or loses what it had been sent."""
    with running_link(cloud.address) as supervisor:
        supervisor.until(lambda: supervisor.facts.get("connected") == 1)
        cloud.reading = False
        for number in range(300):
            supervisor.detect(detection(number))
        supervisor.feed()
        started = time.monotonic()
        assert end(supervisor) == 0
        assert time.monotonic() - started < SECONDS_TO_END
        sent = supervisor.sent  # what the queue had room for
        assert sent > 1
        assert supervisor.logged() == [f"d{number}" for number in range(sent)]
        cloud.reading = True


def test_signals_of_a_terminal_do_not_end_it(lonely: ScriptedSupervisor) -> None:
    """Ctrl-C takes the link away while the supervisor still has something to say."""
    lonely.until(lambda: bool(lonely.facts))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        lonely.running.send_signal(number)
    lonely.detect(detection(1))
    lonely.until_stored()
    assert lonely.stop() == 0


def test_a_network_that_is_cut_silently_is_noticed_in_seconds(cloud: ScriptedCloud) -> None:
    """A sensor believes itself connected while nothing it sends arrives any more."""
    with network(cloud.port) as line, running_link(line.address) as supervisor:
        supervisor.until(lambda: supervisor.facts.get("connected") == 1)
        line.frozen = True
        supervisor.detect(detection(1))
        supervisor.until(lambda: supervisor.facts["connected"] == 0, 8.0)
        assert supervisor.stored == 1
        line.frozen = False
        supervisor.until(lambda: cloud.detections() == ["d1"], 8.0)


def test_a_cloud_without_a_welcome_is_left(cloud: ScriptedCloud) -> None:
    """A cloud that accepts connections and then hangs holds the sensor for ever."""
    cloud.welcome = False
    with running_link(cloud.address) as supervisor:
        supervisor.until(lambda: len(cloud.hellos) == 1)
        cloud.welcome = True
        supervisor.until(lambda: supervisor.facts.get("connected") == 1, 30.0)
        assert len(cloud.hellos) == 2


def test_a_busy_cloud_is_left_alone_for_as_long_as_it_asks(cloud: ScriptedCloud) -> None:
    """Refused agents hammer a cloud that has just come back, and take it down again."""
    cloud.busy_ms = 1500
    with running_link(cloud.address) as supervisor:
        supervisor.until(lambda: len(cloud.refused_at) == 3, 20.0)
        cloud.busy_ms = 0
        supervisor.until(lambda: supervisor.facts.get("connected") == 1, 12.0)
    first, second, third = cloud.refused_at
    assert min(second - first, third - second) >= 1.4


def test_one_link_per_folder(lonely: ScriptedSupervisor) -> None:
    """Two links write one outbox, and deliver everything twice."""
    lonely.until(lambda: bool(lonely.facts))
    second = ScriptedSupervisor(lonely.state, lonely.tls)
    second.start()
    assert second.hang_up_after_end() == EXIT_MISCONFIGURED
    assert "STATE_FOLDER_IN_USE" in second.last_errors


def _no_key(supervisor: ScriptedSupervisor) -> None:
    (supervisor.tls / "agent.key").unlink()


def _key_is_no_pem(supervisor: ScriptedSupervisor) -> None:
    (supervisor.tls / "agent.key").write_bytes(b"rubbish")


def _bad_address(supervisor: ScriptedSupervisor) -> None:
    supervisor.cloud = "nowhere:99999"


def _no_folder(supervisor: ScriptedSupervisor) -> None:
    supervisor.state = supervisor.state / "absent"


def _another_agent(supervisor: ScriptedSupervisor) -> None:
    supervisor.agent = "somebody-else"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_no_key, "TLS_FILE"),
        (_key_is_no_pem, "TLS_FILE"),
        (_bad_address, "CLOUD_ADDRESS"),
        (_no_folder, "STATE_FOLDER"),
        (_another_agent, "AGENT_ID"),
    ],
)
def test_a_wrong_setting_is_said_without_a_traceback(
    spoil: Callable[[ScriptedSupervisor], None], reason: str
) -> None:
    """A user's mistake ends in a traceback, or in a link that silently does nothing."""
    with link_folders() as (state, tls):
        supervisor = ScriptedSupervisor(state, tls, "127.0.0.1:1")
        spoil(supervisor)
        supervisor.start()
        assert supervisor.hang_up_after_end() == EXIT_MISCONFIGURED
        assert f"link: {reason}: " in supervisor.last_errors
        assert "Traceback" not in supervisor.last_errors


def test_a_supervisor_that_breaks_the_protocol_ends_it(lonely: ScriptedSupervisor) -> None:
    """A link that misunderstands its supervisor goes on as if nothing were wrong."""
    lonely.until(lambda: bool(lonely.facts))
    lonely.sock.send(b"\0\0\0\2{}")
    assert lonely.hang_up_after_end() == EXIT_FAILED
    assert "ProtocolViolationError" in lonely.last_errors
    assert "Traceback" not in lonely.last_errors


def test_it_gives_up_its_rights(cloud: ScriptedCloud) -> None:
    """A link that was taken over by its cloud can do more than talk to it."""
    with running_link(cloud.address) as supervisor:
        supervisor.until(lambda: supervisor.facts.get("connected") == 1)
        status = Path(f"/proc/{supervisor.running.pid}/status").read_text(encoding="ascii")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["NoNewPrivs"] == "1"
        assert fields["Seccomp"] == "2"
        assert int(fields["CapEff"], 16) == 0
        user = link_user()
        if user is not None:
            assert fields["Uid"].split() == [str(user[0])] * 4


def test_memory_stays_modest(cloud: ScriptedCloud) -> None:
    """The link's memory grows with what it has sent."""
    with running_link(cloud.address) as supervisor:
        supervisor.until(lambda: supervisor.facts.get("connected") == 1)
        for number in range(3000):
            supervisor.detect(detection(number, command_line=b"x" * 1000))
            supervisor.turn()
        supervisor.until(lambda: len(cloud.detections()) == 3000, 15.0)
        assert _proportional_kib(supervisor.running.pid) < 150 * 1024


def _proportional_kib(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    (line,) = (line for line in rollup.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1])


def test_help_needs_no_supervisor() -> None:
    """Whoever looks at the executable by hand gets a traceback."""
    shown = subprocess.run(
        [sys.executable, "-m", "agent.link", "--help"], capture_output=True, check=True, timeout=20
    )
    assert b"--channel-fd" in shown.stdout


def test_a_supervisor_that_is_gone_already_is_no_error() -> None:
    """A link that starts while its supervisor dies leaves an error behind."""
    with link_folders() as (state, _):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.close()
        ended = subprocess.run(
            [
                sys.executable,
                "-I",
                "-m",
                "agent.link",
                "--channel-fd",
                str(theirs.fileno()),
                "--folder",
                str(state),
                "--agent-id",
                "a",
            ],
            pass_fds=(theirs.fileno(),),
            check=False,
            timeout=20,
        )
        theirs.close()
        assert ended.returncode == 0
