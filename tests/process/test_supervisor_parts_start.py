"""Starting where something is wrong: it is said at once, without a question or a traceback."""

import os
import subprocess
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from agent.supervisor.store import Store

SECONDS = 20.0


def start(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Start a supervisor that can't get far, at a terminal of its own."""
    ours, terminal = os.openpty()
    try:
        return subprocess.run(
            [sys.executable, "-I", "-m", "agent.supervisor", *map(str, arguments)],
            stdin=terminal,
            stdout=terminal,
            stderr=subprocess.PIPE,
            text=True,
            timeout=SECONDS,
            check=False,
            start_new_session=True,
        )
    finally:
        os.close(terminal)
        os.close(ours)


def test_encrypted_key_does_not_ask(tmp_path: Path) -> None:
    """A sensor that starts at boot would wait for a passphrase for ever."""
    encrypted = rsa.generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"secret")
    )
    path = tmp_path / "key.pem"
    path.write_bytes(encrypted.replace(b"RSA PRIVATE KEY", b"PUBLIC KEY"))
    assert b"ENCRYPTED" in path.read_bytes()
    found = start("--trust", path, "--state", tmp_path / "state")
    assert found.returncode == 3
    assert found.stderr == f"error Trust: {path}: found no Ed25519 public key in PEM form\n"


def test_pipe_for_a_role_table_does_not_wait(tmp_path: Path) -> None:
    """A sensor would hang at its start, before anything is protected."""
    os.mkfifo(tmp_path / "roles.json")
    found = start("--roles", tmp_path / "roles.json", "--state", tmp_path / "state")
    assert found.returncode == 3
    assert found.stderr == f"error RoleTable: {tmp_path / 'roles.json'}: not a regular file\n"


def test_second_supervisor_is_refused(tmp_path: Path) -> None:
    """Two sensors on one folder would overwrite each other's manifest."""
    store = Store(tmp_path)
    found = start("--state", tmp_path, "--control", tmp_path / "control.sock")
    store.close()
    assert found.returncode == 3
    assert found.stderr.startswith(f"error Store: {tmp_path}: another agent is running")


def test_control_socket_in_the_place_of_a_file(tmp_path: Path) -> None:
    """A mistyped option would delete somebody's file."""
    precious = tmp_path / "precious.json"
    precious.write_bytes(b"{}")
    found = start("--state", tmp_path / "state", "--control", precious)
    assert found.returncode == 3
    assert found.stderr.startswith(f"error Control: {precious}: something that is no socket")
    assert precious.read_bytes() == b"{}"
