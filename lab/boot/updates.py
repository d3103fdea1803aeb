"""In a guest whose power will be cut: content is updated without end, and each step announced.

    1. say what the store has after the last cut, read as the supervisor reads it
    2. run the sensor on it, and say whether that content is evaluated
    3. update until there is no more power: payload, manifest, acceptance, as the supervisor does

Usage: python -m lab.boot.updates STATE PRIVATE_KEY PUBLIC_KEY [--forget-fsync]. What the sensor
says is in cuts.log beside the state folder.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.linux import PR_SET_PDEATHSIG, prctl
from agent.supervisor.control import ask
from agent.supervisor.manifest import StoredFile
from agent.supervisor.signature import TrustedKey
from agent.supervisor.store import Store
from cloud.signing import SigningKey
from content.channel_file import pack
from lab.boot.lines import PORT, Port
from lab.boot.state import process_content, stored
from lab.demo.processes import wait_for

FORGET = "--forget-fsync"
"""The control: with this a cut has to be noticed, or the measurement could not fail."""

AGENT_SECONDS = 300.0
"""On emulated processors all takes ten to twenty times longer."""

PATIENCE = 10
"""How many times longer the sensor's limits are here: what counts is what it does, not how soon."""

PREPARED = 100
"""Versions at a time."""

RUNG = "psutil"
"""What is shown is that the sensor starts on this store; probes would only take their time."""


def main() -> int:
    """Until the power is cut; the exit status tells of wrong use only."""
    state, private, public = map(Path, sys.argv[1:4])
    port = Port(os.environ[PORT])
    key, trusted = SigningKey.from_file(private), TrustedKey.from_file(public)
    if FORGET in sys.argv[4:]:
        os.fsync = lambda _descriptor: None  # type: ignore[assignment]
    version = _look(port, state, trusted)
    _run_sensor(port, state, public, version)
    _update(port, state, key, trusted)
    return 0


def _look(port: Port, state: Path, trusted: TrustedKey) -> int:
    """What is in force for process events, and whether all of it is there."""
    store = Store(state)
    try:
        left_out = store.open(lambda file, payload: _is_good(trusted, file, payload))
        for content_hash in store.manifest.hashes():
            store.payload(content_hash)
        versions = [file.version for file in store.manifest.active.values()]
        rests = [str(path) for path in state.rglob("*.new")]
    finally:
        store.close()
    version = max(versions, default=0)
    port.say("found", version=version, left_out=left_out, rests=rests)
    return version


def _is_good(trusted: TrustedKey, file: StoredFile, payload: bytes) -> bool:
    return any(
        trusted.signed_channel_file(payload, bytes.fromhex(one.signature))
        for one in file.signatures
    )


def _run_sensor(port: Port, state: Path, public: Path, version: int) -> None:
    """Start it, wait until that version is evaluated, and stop it."""
    began, control = time.monotonic(), state.with_name("cuts.sock")
    command = [sys.executable, "-I", "-m", "lab.boot.patient", str(PATIENCE)]
    command += ["--state", str(state), "--control", str(control)]
    command += ["--trust", str(public), "--rung", RUNG]
    with state.with_name("cuts.log").open("ab") as log:
        service = subprocess.Popen(
            # It must not go on without us, whatever becomes of us.
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM),  # noqa: PLW1509 — no threads
        )

    def evaluates() -> Mapping[str, Any] | None:
        try:
            status = ask(control)
        except (OSError, ValueError):
            return None
        active = {one["hash"]: one["version"] for one in status["content"]["active"]}
        worker = status["roles"]["evaluator"]
        runs = worker is not None and set(worker["files"]) == set(active)
        fits = runs and max(active.values(), default=0) == version
        return status if fits and status["protecting"] else None

    status = wait_for("sensor with the stored content", evaluates, AGENT_SECONDS, 0.1)
    seconds = time.monotonic() - began
    service.terminate()
    ended = service.wait(AGENT_SECONDS)
    port.say("agent", seconds=seconds, ended=ended, reduced=status["reduced_because"])


def _update(port: Port, state: Path, key: SigningKey, trusted: TrustedKey) -> None:
    store = Store(state)
    store.open(lambda file, payload: _is_good(trusted, file, payload))
    version = max((file.version for file in store.manifest.active.values()), default=0)
    while True:
        # Before they are announced, so that nearly all of the time is time of commits.
        prepared = list(_prepared(key, version + 1))
        for payload, file in prepared:
            port.say("begun", version=file.version)
            store.add_payload(file.hash, payload)
            store.commit(store.manifest.activate(file))
            port.say("done", version=file.version)
            store.commit(store.manifest.accept([file.hash]))
            port.say("accepted", version=file.version)
        version += len(prepared)


def _prepared(key: SigningKey, version: int) -> Iterator[tuple[bytes, StoredFile]]:
    """Payloads of the versions from this one on, and what the sensor knows of each."""
    channel_file = process_content(version)
    for number in range(version, version + PREPARED):
        payload = pack(replace(channel_file, version=number))
        yield payload, stored(payload, channel_file.template_type.number, number, key)


if __name__ == "__main__":
    sys.exit(main())
