"""The driver of the power cuts announces what it does, and the sensor runs on what it wrote."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.signing import SigningKey
from lab.boot import state
from lab.boot.cuts import Found, judge
from lab.boot.lines import PORT, Said, first, read
from tests.needs import require_sandbox_users
from tests.process.waiting import until

UPDATES = 5


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that the roles' users may pass, with keys and shipped content in force."""
    require_sandbox_users()
    with tempfile.TemporaryDirectory(prefix="bulkhead-updates-") as name:
        place, key = Path(name), SigningKey.generate()
        place.chmod(0o711)
        (place / "signing.key").touch(0o600)
        (place / "signing.key").write_bytes(key.private_pem())
        (place / "signing.pub").write_bytes(key.trusted().public_pem())
        state.write_process(place / "state", key)
        yield place


def cut_amid_updates(folder: Path, name: str) -> list[Said]:
    """Run the driver, kill it after a few updates; what it had said by then."""
    said = folder / name
    said.touch()
    arguments = [str(folder / one) for one in ("state", "signing.key", "signing.pub")]
    with subprocess.Popen(
        [sys.executable, "-I", "-m", "lab.boot.updates", *arguments],
        env={**os.environ, PORT: str(said)},
    ) as driver:
        try:
            until(lambda: len(of(said, "done")) >= UPDATES or driver.poll() is not None, seconds=25)
        finally:
            driver.kill()
    return read(said.read_text(encoding="utf-8").splitlines())


def of(said: Path, what: str) -> list[Said]:
    """What was said of a kind so far."""
    return [
        one for one in read(said.read_text(encoding="utf-8").splitlines()) if one["what"] == what
    ]


def test_updates_are_announced_and_run(folder: Path) -> None:
    """The laboratory would cut the power of something that is not what the sensor does."""
    before = cut_amid_updates(folder, "first")
    assert first(before, "found") == {
        "what": "found",
        "version": state.FIRST_VERSION,
        "left_out": [],
        "rests": [],
    }
    agent = first(before, "agent")
    assert agent is not None
    assert agent["ended"] == 0
    after = cut_amid_updates(folder, "second")
    verdict, why = judge(before, after)
    assert (verdict in (Found.OLD, Found.NEW), why) == (True, "")
