"""The control socket of a real sensor, attacked by somebody who may connect to it."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.supervisor.limits import LIMITS
from tests.needs import require_command
from tests.patience import patient
from tests.process.attacked_sensor import Attacked, attacked
from tests.process.waiting import open_files, until

CONNECTIONS = 10_000
AT_ONCE = 200
OF_ROLES = 12
"""Descriptors of roles that are started meanwhile; fewer than those of all peers."""
HALF_A_MESSAGE = b'{"command": "sta'


@pytest.fixture(scope="module")
def sensor() -> Iterator[Attacked]:
    """One for all tests of this module."""
    with attacked() as started:
        started.worker()
        yield started


def connect(path: Path) -> socket.socket:
    """A connection that waits in the queue for as long as it takes."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(str(path))
    return connection


def test_ten_thousand_connections_hold_nobody_up(sensor: Attacked) -> None:
    """A host under attack could not be asked how it is, or would not be protected any more."""
    path, done = sensor.folder / "control.sock", threading.Event()
    before = len(open_files(sensor.process.pid))
    worker = sensor.worker()

    def flood() -> None:
        """Half a message each, and nothing is ever read; the oldest are let go."""
        held: list[socket.socket] = []
        for _ in range(CONNECTIONS):
            held.append(connect(path))
            held[-1].send(HALF_A_MESSAGE, socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
            if len(held) > AT_ONCE:
                held.pop(0).close()
        for one in held:
            one.close()
        done.set()

    thread = threading.Thread(target=flood)
    thread.start()
    answers = 0
    try:
        while not done.is_set():
            found = sensor.status()
            answers += found["protecting"] and found["roles"]["evaluator"]["pid"] == worker
            assert len(open_files(sensor.process.pid)) < before + LIMITS.control_peers + OF_ROLES
            time.sleep(0.01)
    finally:
        thread.join(patient(60.0))
    assert answers > 1
    assert sensor.status()["attempts"]["CONTROL_CROWDED"] > CONNECTIONS // 2
    until(lambda: len(open_files(sensor.process.pid)) <= before + OF_ROLES)


def test_stalled_peers_hold_nobody_up(sensor: Attacked) -> None:
    """Half a message, or an answer that nobody reads, would stop the sensor from answering."""
    with ExitStack() as stack:
        for index in range(LIMITS.control_peers):
            one = stack.enter_context(connect(sensor.folder / "control.sock"))
            one.send(b'{"command": "status"}\n' if index % 2 else HALF_A_MESSAGE)
        assert sensor.status()["protecting"]


def test_an_endless_line_is_cut_and_counted(sensor: Attacked) -> None:
    """A line without an end would fill the supervisor's memory."""
    before = sensor.status()["attempts"].get("CONTROL_OVERSIZED", 0)
    with connect(sensor.folder / "control.sock") as one:
        one.sendall(b"x" * LIMITS.control_bytes)
        until(lambda: sensor.status()["attempts"].get("CONTROL_OVERSIZED", 0) == before + 1)


def test_another_user_is_turned_away_and_counted(sensor: Attacked) -> None:
    """Whoever gets past the mode of the file could switch prevention off."""
    setpriv = require_command("setpriv", "util-linux")
    path = sensor.folder / "control.sock"
    path.chmod(0o666)
    words = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c"]
    code = (
        "import sys; from pathlib import Path; from agent.supervisor.control import ask;"
        "ask(Path(sys.argv[1]), command='prevention', policy='off')"
    )
    try:
        asked = subprocess.run([*words, code, path], capture_output=True, check=False)
    finally:
        path.chmod(0o600)
    assert b"PermissionError" in asked.stderr
    found = sensor.status()
    assert found["attempts"]["CONTROL_WRONG_USER"] == 1
    assert found["prevention"]["policy"] == "on"
