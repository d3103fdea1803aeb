"""The control socket: the status for those who may see it, and nobody holds the supervisor up."""

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.supervisor.control import ControlError, ControlSocket, ask
from agent.supervisor.limits import LIMITS
from tests.needs import require_command, require_root
from tests.unit.agent.descriptors import none_lost

STATUS: dict[str, Any] = {"protecting": True, "agent_id": "an agent"}


@contextmanager
def answering(control: ControlSocket) -> Iterator[None]:
    """The supervisor's turns, for as long as it lasts."""
    ended = threading.Event()

    def turns() -> None:
        while not ended.wait(0.001):
            control.answer()
            control.expire()

    thread = threading.Thread(target=turns)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def control(tmp_path: Path) -> Iterator[ControlSocket]:
    """A control socket that answers with STATUS."""
    made = ControlSocket(tmp_path / "run" / "control.sock", lambda: STATUS)
    yield made
    made.close()


def connected(control: ControlSocket) -> socket.socket:
    """A connection that waits in the queue."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.setblocking(False)
    try:
        connection.connect(str(control.path))
    except BlockingIOError:
        connection.close()
        raise
    return connection


def test_status_arrives(control: ControlSocket) -> None:
    """Nobody could see how the sensor is."""
    with answering(control):
        assert ask(control.path) == STATUS
        assert ask(control.path) == STATUS


@pytest.mark.parametrize("size", [10**5, 8 * 10**6])
def test_long_status_arrives_whole(tmp_path: Path, size: int) -> None:
    """A host with a long quarantine would show an error instead of its status."""
    control = ControlSocket(tmp_path / "control.sock", lambda: {"quarantine": "x" * size})
    with answering(control):
        assert len(ask(control.path)["quarantine"]) == size
    control.close()


def test_socket_is_for_its_user_only(control: ControlSocket) -> None:
    """Any user could ask what content the host has."""
    assert stat.S_IMODE(control.path.stat().st_mode) == 0o600


def test_another_user_gets_no_answer(control: ControlSocket) -> None:
    """A user who gets past the file's mode would get the status."""
    require_root()
    setpriv = require_command("setpriv", "util-linux")
    control.path.chmod(0o666)
    for path in control.path.parents:
        if not path.stat().st_mode & 0o001:
            path.chmod(0o711)
    code = (
        "import sys; from pathlib import Path; from agent.supervisor.control import ask;"
        "ask(Path(sys.argv[1]))"
    )
    words = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c"]
    with answering(control):
        found = subprocess.run(
            [*words, code, str(control.path)], capture_output=True, text=True, check=False
        )
    assert "PermissionError" in found.stderr
    assert str(control.path) in found.stderr
    assert "an agent" not in found.stdout + found.stderr


def test_stalled_and_many_peers_hold_nobody_up(control: ControlSocket) -> None:
    """Somebody who connects and doesn't read would stop the sensor."""
    with ExitStack() as stack:
        refused = 0
        began = time.monotonic()
        for _ in range(200):
            try:
                stack.enter_context(connected(control))
            except BlockingIOError:
                refused += 1
        assert refused > 100  # What waits is bounded.
        for _ in range(200):
            control.answer()
        assert time.monotonic() - began < 2.0
        with answering(control):
            assert ask(control.path) == STATUS


def test_peer_that_is_gone_again_is_no_error(control: ControlSocket) -> None:
    """Somebody who hangs up at once would end the sensor."""
    with none_lost():
        for _ in range(10):
            connected(control).close()
        for _ in range(12):
            control.answer()


def test_no_descriptors_left_is_no_error(
    control: ControlSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sensor that is out of descriptors would end when somebody asks why."""
    monkeypatch.setattr(os, "memfd_create", _none_left)
    with connected(control):
        control.answer()
        time.sleep(LIMITS.control_seconds)
        control.expire()


def _none_left(*_arguments: object) -> int:
    raise OSError(24, "Too many open files")


def test_asking_has_an_end(tmp_path: Path) -> None:
    """The command line would wait for ever for a sensor that hangs."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as deaf:
        deaf.bind(str(tmp_path / "control.sock"))
        deaf.listen()
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            ask(tmp_path / "control.sock", timeout_seconds=0.2)
        assert time.monotonic() - began < 2.0


@pytest.mark.parametrize("answer", [b"", b"[]", b"{", b"\xff"])
def test_rubbish_for_an_answer_is_an_error(tmp_path: Path, answer: bytes) -> None:
    """The command line would show a traceback, or a wrong status."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as false:
        false.bind(str(tmp_path / "control.sock"))
        false.listen()
        descriptor = os.memfd_create("answer")
        os.pwrite(descriptor, answer, 0)

        def respond() -> None:
            connection, _ = false.accept()
            socket.send_fds(connection, [b"\n"], [descriptor])
            connection.close()

        thread = threading.Thread(target=respond, daemon=True)
        thread.start()
        with pytest.raises(ValueError, match=r"object|Expecting|decode"):
            ask(tmp_path / "control.sock")
        thread.join()
        os.close(descriptor)


def test_nobody_there_is_an_error(tmp_path: Path) -> None:
    """The command line would not say that there is no sensor."""
    with pytest.raises(FileNotFoundError):
        ask(tmp_path / "control.sock")


def test_what_an_earlier_run_left_is_replaced(tmp_path: Path) -> None:
    """A sensor that was killed could not be started again."""
    path = tmp_path / "control.sock"
    ControlSocket(path, dict)._socket.close()
    control = ControlSocket(path, lambda: STATUS)
    with answering(control):
        assert ask(path) == STATUS
    control.close()
    assert not path.exists()


def test_socket_of_a_living_agent_is_left_alone(control: ControlSocket) -> None:
    """A second agent would take the first one's place, and its status be out of reach."""
    with pytest.raises(ControlError, match=f"{control.path}: another agent"):
        ControlSocket(control.path, dict)
    with answering(control):
        assert ask(control.path) == STATUS


def test_anything_but_a_socket_is_left_alone(tmp_path: Path) -> None:
    """A mistyped path would delete somebody's file."""
    path = tmp_path / "precious.json"
    path.write_text(json.dumps(STATUS), encoding="utf-8")
    with none_lost(), pytest.raises(ControlError, match=str(path)):
        ControlSocket(path, dict)
    assert json.loads(path.read_bytes()) == STATUS


@pytest.mark.parametrize("name", ["x" * 200, "x" * 2000, "precious.json/folder"])
def test_impossible_place_is_named(tmp_path: Path, name: str) -> None:
    """Whoever starts the sensor would see a traceback."""
    (tmp_path / "precious.json").write_bytes(b"")
    with none_lost(), pytest.raises(ControlError, match="control socket"):
        ControlSocket(tmp_path / name / "control.sock", dict)


def answer_to(control: ControlSocket, said: bytes, *, hang_up: bool = False) -> dict[str, Any]:
    """What a peer gets that says this, and perhaps hangs up its sending side."""
    with answering(control), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(5.0)
        connection.connect(str(control.path))
        connection.sendall(said)
        if hang_up:
            connection.shutdown(socket.SHUT_WR)
        _, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
    with os.fdopen(descriptors[0], "rb") as file:
        document: dict[str, Any] = json.load(file)
    return document


@pytest.mark.parametrize("hang_up", [False, True])
def test_who_says_nothing_gets_the_status(control: ControlSocket, *, hang_up: bool) -> None:
    """Programs that only connect, as they always did, would get no status any more."""
    assert answer_to(control, b"", hang_up=hang_up) == STATUS


def test_command_gets_its_request(tmp_path: Path) -> None:
    """An operator's command would do nothing, or something else."""
    given: list[Any] = []

    def noted(request: Any) -> dict[str, Any]:
        given.append(request)
        return {"done": request["digest"]}

    control = ControlSocket(tmp_path / "control.sock", lambda: STATUS, {"lift": noted})
    with answering(control):
        assert ask(control.path, command="lift", digest="7" * 64) == {"done": "7" * 64}
        assert ask(control.path) == STATUS
    control.close()
    assert given == [{"command": "lift", "digest": "7" * 64}]


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"lift\n", "NOT_JSON"),
        (b"[" * 4000 + b"\n", "NOT_JSON"),
        (b"\xff\n", "NOT_JSON"),
        (b"x" * 5000, "NOT_JSON"),
        (b"[]\n", "UNKNOWN_COMMAND"),
        (b"{}\n", "UNKNOWN_COMMAND"),
        (b'{"command": "reboot"}\n', "UNKNOWN_COMMAND"),
        (b'{"command": ["status"]}\n', "UNKNOWN_COMMAND"),
        (b'{"command": "status"', "NOT_JSON"),
    ],
)
def test_rubbish_is_answered_by_an_error(control: ControlSocket, said: bytes, error: str) -> None:
    """Whoever may ask could end the sensor, or take a mistake for success."""
    assert answer_to(control, said)["error"] == error


def test_request_may_come_in_pieces(control: ControlSocket) -> None:
    """A peer that is interrupted amid its line would be taken for one that said nothing."""
    with answering(control), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(5.0)
        connection.connect(str(control.path))
        for piece in (b'{"comm', b'and": "sta', b'tus"}', b"\n"):
            connection.sendall(piece)
            time.sleep(0.01)
        _, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
    os.close(descriptors[0])
    assert len(descriptors) == 1
