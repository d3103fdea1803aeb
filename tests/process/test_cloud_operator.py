"""The operator's commands with bad input: a reason code and an exit status, never a traceback."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cli.output import ExitCode
from cloud.folder import CloudFolder
from cloud.signing import SigningKey
from content.channel_file import Envelope, pack, pack_envelope
from tests.process.cloud_files import IPC, channel_file, write
from tests.process.cloud_process import BULKHEAD, Cloud, new_cloud
from tests.process.waiting import open_files

HUGE_BYTES = 1024 * 1024 * 1024
MOST_RESIDENT_KIB = 400 * 1024

# The command, and at its end the most memory it had; what wait4 says includes that of its parent.
MEASURED = """
import atexit, pathlib, runpy, sys
atexit.register(lambda: sys.stderr.write(pathlib.Path("/proc/self/status").read_text()))
runpy.run_module("cli.main", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud that nobody serves: an operator can work all the same."""
    with new_cloud(tmp_path_factory.mktemp("operator")) as made:
        yield made


@dataclass(frozen=True)
class _Bad:
    """What is done to a good file, and the reason that must be given."""

    name: str
    change: Callable[[bytes], bytes]
    reasons: frozenset[str]


def _flip_in_the_fingerprint(data: bytes) -> bytes:
    place = data.index(IPC.fingerprint) + 7
    return data[:place] + bytes([data[place] ^ 0x01]) + data[place + 1 :]


BAD_FILES = [
    _Bad("empty", lambda _: b"", frozenset({"EMPTY_FILE"})),
    _Bad("truncated", lambda data: data[:-20], frozenset({"NOT_A_CHANNEL_FILE"})),
    _Bad(
        "unknown field",
        lambda data: data + b"\xf8\x07\x01",
        frozenset({"UNKNOWN_PROTOBUF_FIELD"}),
    ),
    _Bad("bit-flipped", _flip_in_the_fingerprint, frozenset({"FINGERPRINT_MISMATCH"})),
    _Bad("text", lambda _: b"id: not-packed\n", frozenset({"NOT_A_CHANNEL_FILE"})),
    _Bad(
        "no version",
        lambda _: pack_envelope(Envelope(pack(channel_file(0)))),
        frozenset({"VERSION_NOT_NEWER"}),
    ),
]


@pytest.mark.parametrize("bad", BAD_FILES, ids=lambda one: one.name)
def test_a_bad_file_is_refused_with_its_reason(cloud: Cloud, tmp_path: Path, bad: _Bad) -> None:
    """An operator could not tell what is wrong, or a damaged file would be signed."""
    file = write(tmp_path / "bad.channel", channel_file(1))
    file.write_bytes(bad.change(file.read_bytes()))
    refused = cloud.push(file, status=ExitCode.REFUSED)["refused"]
    assert {problem["reason"] for problem in refused[0]["problems"]} == bad.reasons
    assert refused[0]["file"] == str(file)


def test_a_huge_file_is_refused_without_being_read(cloud: Cloud, tmp_path: Path) -> None:
    """One file could take the operator's machine down."""
    file = tmp_path / "huge.channel"
    with file.open("wb") as opened:
        opened.truncate(HUGE_BYTES)
    arguments = ["cloud", "push", str(file), "--folder", str(cloud.folder), "--json"]
    ended = subprocess.run(
        [sys.executable, "-I", "-c", MEASURED, *arguments, "--key", str(cloud.key)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert "FILE_TOO_LARGE" in ended.stdout
    assert ended.returncode == ExitCode.REFUSED
    most = next(line for line in ended.stderr.splitlines() if line.startswith("VmHWM:"))
    assert int(most.split()[1]) < MOST_RESIDENT_KIB


def test_what_is_no_file_is_refused(cloud: Cloud, tmp_path: Path) -> None:
    """A missing file or a device would end in a traceback or never."""
    os.mkfifo(tmp_path / "pipe")
    options = ("--key", cloud.key)
    assert "FILE_UNREADABLE" in cloud.run(
        "push", tmp_path / "absent", *options, status=ExitCode.REFUSED
    )
    assert "FILE_UNREADABLE" in cloud.run("push", tmp_path, *options, status=ExitCode.REFUSED)
    assert "FILE_UNREADABLE" in cloud.run("push", "/dev/null", *options, status=ExitCode.REFUSED)


def test_an_older_version_is_refused(tmp_path: Path) -> None:
    """A replayed or mistaken file would replace newer content."""
    with new_cloud(tmp_path) as cloud:
        cloud.push(write(tmp_path / "2.channel", channel_file(2)))
        (again,) = cloud.push(tmp_path / "2.channel")["pushed"]
        assert again["repeated"]
        older = write(tmp_path / "1.channel", channel_file(1))
        (refused,) = cloud.push(older, status=ExitCode.REFUSED)["refused"]
        assert refused["problems"][0]["reason"] == "VERSION_NOT_NEWER"
        other = write(tmp_path / "2b.channel", channel_file(2, word="else"))
        (refused,) = cloud.push(other, status=ExitCode.REFUSED)["refused"]
        assert refused["problems"][0]["reason"] == "VERSION_NOT_NEWER"


@dataclass(frozen=True)
class _BadKey:
    """A key file that must not be used."""

    name: str
    data: Callable[[Cloud], bytes]
    reason: str
    mode: int = 0o600


BAD_KEYS = [
    _BadKey("unknown", lambda _: SigningKey.generate().private_pem(), "KEY_NOT_TRUSTED"),
    _BadKey("exposed", lambda cloud: cloud.key.read_bytes(), "KEY_EXPOSED", 0o644),
    _BadKey("garbage", lambda _: b"not a key", "KEY_INVALID"),
    _BadKey(
        "another kind",
        lambda cloud: cloud.key.with_name("authority.key").read_bytes(),
        "KEY_INVALID",
    ),
    _BadKey(
        "public half",
        lambda cloud: cloud.key.with_name("signing.pub").read_bytes(),
        "KEY_INVALID",
    ),
]


@pytest.mark.parametrize("bad", BAD_KEYS, ids=lambda one: one.name)
def test_a_bad_key_is_refused_and_never_shown(cloud: Cloud, tmp_path: Path, bad: _BadKey) -> None:
    """Content would be signed with a key that no agent trusts, or that others can read."""
    key = tmp_path / "key.pem"
    key.write_bytes(bad.data(cloud))
    key.chmod(bad.mode)
    file = write(tmp_path / "good.channel", channel_file(1))
    done = cloud.finished("push", file, "--key", key, "--json")
    assert done.exit_code == ExitCode.REFUSED
    assert f'"reason": "{bad.reason}"' in done.stderr
    secret = key.read_text(encoding="ascii").splitlines()[1:2]
    assert all(line not in done.stdout + done.stderr for line in secret)


def test_a_missing_key_is_a_missing_prerequisite(cloud: Cloud, tmp_path: Path) -> None:
    """A typing error in a path would look like refused content."""
    file = write(tmp_path / "good.channel", channel_file(1))
    text = cloud.run(
        "push", file, "--key", tmp_path / "absent", status=ExitCode.PREREQUISITE_MISSING
    )
    assert "KEY_MISSING" in text


def test_a_missing_or_foreign_database_is_named(tmp_path: Path) -> None:
    """Commands would make a new empty store, or fail with a traceback."""
    nowhere = Cloud(tmp_path / "nowhere")
    text = nowhere.run("fleet", status=ExitCode.PREREQUISITE_MISSING)
    assert "FOLDER_MISSING" in text
    enrol = ("enroll", "--agent-id", "host-1", "--output", tmp_path / "agent")
    assert "FOLDER_MISSING" in nowhere.run(*enrol, status=ExitCode.PREREQUISITE_MISSING)
    assert list(tmp_path.iterdir()) == []
    foreign = Cloud(tmp_path)
    (tmp_path / "cloud.sqlite").write_bytes(b"something else entirely" * 100)
    assert "DATABASE_CORRUPT" in foreign.run("fleet", status=ExitCode.REFUSED)
    (tmp_path / "cloud.sqlite").unlink()
    with sqlite3.connect(tmp_path / "cloud.sqlite") as other:
        other.execute("CREATE TABLE shop (price)")
    other.close()
    assert "DATABASE_VERSION" in foreign.run("fleet", status=ExitCode.REFUSED)


def test_a_locked_database_is_named(cloud: Cloud, tmp_path: Path) -> None:
    """A push would hang for ever behind another program."""
    file = write(tmp_path / "good.channel", channel_file(1))
    with sqlite3.connect(cloud.folder / "cloud.sqlite") as locking:
        locking.execute("BEGIN IMMEDIATE")
        text = cloud.run("push", file, "--key", cloud.key, status=ExitCode.UNREACHABLE)
        locking.rollback()
    locking.close()
    assert "DATABASE_LOCKED" in text


def test_waiting_needs_somebody_who_serves(cloud: Cloud, tmp_path: Path) -> None:
    """An operator would wait for agents that nobody serves."""
    file = write(tmp_path / "good.channel", channel_file(9))
    text = cloud.finished("push", file, "--key", cloud.key, "--wait", "5")
    assert text.exit_code == ExitCode.UNREACHABLE
    assert "NOT_SERVING" in text.stderr


@pytest.mark.parametrize(
    ("target", "reason"),
    [("network", "CONTENT_UNKNOWN"), ("abc", "CONTENT_UNKNOWN"), ("0" * 64, "CONTENT_UNKNOWN")],
)
def test_a_revocation_of_nothing_is_refused(cloud: Cloud, target: str, reason: str) -> None:
    """A typing error would look like a successful recall."""
    text = cloud.run("revoke", target, "--key", cloud.key, status=ExitCode.REFUSED)
    assert reason in text


def test_the_port_and_the_folder_belong_to_one_process(tmp_path: Path) -> None:
    """Two processes would answer for the same fleet and contradict each other."""
    with new_cloud(tmp_path / "one") as first, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        occupied = f"127.0.0.1:{taken.getsockname()[1]}"
        text = first.run("run", "--listen", occupied, status=ExitCode.REFUSED)
        assert "ADDRESS_IN_USE" in text
        first.start()
        text = first.run("run", "--listen", "127.0.0.1:0", status=ExitCode.REFUSED)
        assert "FOLDER_IN_USE" in text
        for listen in ("nonsense", "127.0.0.1:99999", "127.0.0.1", ":0"):
            text = first.run("run", "--listen", listen, status=ExitCode.USAGE)
            assert "ADDRESS_INVALID" in text
        text = first.run("run", "--ready-fd", "99", status=ExitCode.USAGE)
        assert "DESCRIPTOR_INVALID" in text


def test_run_announces_its_port_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    """Nothing could be started that needs to know where the cloud is."""
    reading, writing = os.pipe()
    with new_cloud(tmp_path) as cloud:
        command = [*BULKHEAD, "cloud", "run", "--folder", str(cloud.folder)]
        options = ["--listen", "127.0.0.1:0", "--ready-fd", str(writing)]
        with subprocess.Popen(
            [*command, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[writing],
        ) as process:
            os.close(writing)
            with os.fdopen(reading) as ready:
                assert f'"pid": {process.pid}' in ready.readline()
            process.send_signal(signal.SIGINT)
            out, log = process.communicate(timeout=10)
        assert process.returncode == ExitCode.OK
        assert b"serving on 127.0.0.1:" in out
        assert b"Traceback" not in log


def test_the_serving_process_never_opens_a_signing_key(tmp_path: Path) -> None:
    """Whoever takes over the cloud could sign content for every host."""
    with new_cloud(tmp_path) as cloud:
        hidden = cloud.key.parent.rename(tmp_path / "elsewhere")
        (cloud.folder / "issuing" / "issuing.key").unlink()
        cloud.start()
        assert not any(name.endswith(".key") for name in open_files(cloud.pid()))
        root = CloudFolder(cloud.folder).root().signed
        offline = {*root.roles["root"].keyids, *root.roles["targets"].keyids}
        for file in cloud.folder.rglob("*"):
            if file.parent == cloud.folder / "online" and file.suffix == ".key":
                assert SigningKey.from_file(file).key_id not in offline, file
            elif file.is_file() and file.suffix != ".sqlite":
                assert not _is_ed25519_private_key(file.read_bytes()), file
        assert (hidden / "signing.key").stat().st_mode & 0o777 == 0o600


def _is_ed25519_private_key(data: bytes) -> bool:
    try:
        key = load_pem_private_key(data, password=None)
    except ValueError:
        return False
    return type(key).__name__ == "Ed25519PrivateKey"


def test_a_second_init_or_enrolment_overwrites_nothing(tmp_path: Path) -> None:
    """A slip would orphan every agent, or give two agents one key."""
    with new_cloud(tmp_path) as cloud:
        cloud.agent_folder("host-1")
        before = cloud.key.read_bytes()
        assert "FOLDER_EXISTS" in cloud.run("init", status=ExitCode.REFUSED)
        assert cloud.key.read_bytes() == before
        enrol = ("enroll", "--agent-id", "host-2", "--output", cloud.agents["host-1"])
        assert "FOLDER_EXISTS" in cloud.run(*enrol, status=ExitCode.REFUSED)
        enrol = ("enroll", "--agent-id", "../etc", "--output", tmp_path / "new")
        assert "AGENT_ID_INVALID" in cloud.run(*enrol, status=ExitCode.USAGE)
        inside = Cloud(tmp_path / "other")
        text = inside.run("init", "--operator", inside.folder / "operator", status=ExitCode.REFUSED)
        assert "signing key must stay out" in " ".join(text.split())
