"""A guest is watched, judged and always ended; QEMU is played by a script."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lab.vm import commands, machine
from lab.vm.accelerator import TCG, Accelerator
from lab.vm.initramfs import Plan
from lab.vm.kernel import Kernel
from lab.vm.machine import Ending, Guest
from tests.process.waiting import until

# Finds console and results where QEMU would: in its arguments.
PLAYED_QEMU = """#!/bin/bash
ports=()
while [ $# -gt 0 ]; do
  [ "$1" != -serial ] || ports+=("${2#file:}")
  shift
done
console=${ports[0]} results=${ports[1]}
"""
ENDLESS = "exec sleep 1000\n"

OWNER = """
import sys
from pathlib import Path
from lab.vm import commands, machine
from lab.vm.accelerator import TCG
from lab.vm.initramfs import Plan
from lab.vm.kernel import Kernel
commands.SYSTEM_FOLDERS = sys.argv[1] + ":" + commands.SYSTEM_FOLDERS
guest = machine.Guest(Kernel("r", "v", Path("k"), ()), Plan(()), TCG)
with machine.started(guest, Path(sys.argv[1], "run")) as running:
    print(running.process.pid, flush=True)
    running.wait(1000)
"""

Play = Callable[[str], Guest]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """A guest whose QEMU does what it is told; nothing is packed for it."""
    monkeypatch.setattr(commands, "SYSTEM_FOLDERS", f"{tmp_path}:{commands.SYSTEM_FOLDERS}")

    def prepared(does: str) -> Guest:
        install(tmp_path, does)
        return Guest(Kernel("release", "1.0", Path("k"), ()), Plan(()), unhurried())

    return prepared


def unhurried() -> Accelerator:
    """Seconds are seconds."""
    return replace(TCG, time_factor=1.0)


def install(folder: Path, does: str) -> None:
    """Put QEMU and what packs for it into a folder of commands."""
    for name, program in (
        ("qemu-system-x86_64", PLAYED_QEMU + does),
        ("busybox", "#!/bin/sh\n"),
        ("cpio", "#!/bin/sh\n"),
    ):
        (folder / name).write_text(program, encoding="utf-8")
        (folder / name).chmod(0o700)


def test_guest_that_does_its_command(play: Play, tmp_path: Path) -> None:
    """What a guest found out would not arrive."""
    guest = play('printf "guest: ready\\nfound\\nguest: status 3\\n" >"$results"\n')
    outcome = machine.run(guest, tmp_path / "run", seconds=30)
    assert (outcome.ending, outcome.status, outcome.results) == (Ending.FINISHED, 3, ["found"])
    assert outcome.boot_seconds is not None


def test_guest_that_hangs_is_ended(play: Play, tmp_path: Path) -> None:
    """One kernel that hangs would stop the whole matrix, or leave QEMU behind."""
    pid = tmp_path / "pid"
    guest = play(f'echo "guest: ready" >"$results"; echo $$ >{pid}\n{ENDLESS}')
    outcome = machine.run(guest, tmp_path / "run", seconds=0.5)
    assert outcome.ending is Ending.TIMED_OUT
    assert not Path("/proc", pid.read_text(encoding="ascii").strip()).exists()


def test_guest_of_somebody_who_is_told_to_stop_is_ended(play: Play, tmp_path: Path) -> None:
    """A laboratory that is interrupted would wait for whatever its guests still do."""
    pid, stopping = tmp_path / "pid", threading.Event()
    guest = play(f'echo "guest: ready" >"$results"; echo $$ >{pid}\n{ENDLESS}')
    threading.Timer(1.0, stopping.set).start()
    with pytest.raises(KeyboardInterrupt):
        machine.run(guest, tmp_path / "run", seconds=30, stopping=stopping)
    assert not Path("/proc", pid.read_text(encoding="ascii").strip()).exists()


def test_guest_that_panics_shows_its_console(play: Play, tmp_path: Path) -> None:
    """Nobody would learn what a kernel said last."""
    guest = play('printf "guest: ready\\n" >"$results"; echo "Kernel panic - why" >"$console"\n')
    outcome = machine.run(guest, tmp_path / "run", seconds=30)
    assert outcome.ending is Ending.PANICKED
    assert outcome.console_tail == "Kernel panic - why"


def test_what_qemu_refuses_is_shown(play: Play, tmp_path: Path) -> None:
    """A machine without working KVM would give no reason."""
    outcome = machine.run(play("echo no KVM >&2; exit 1\n"), tmp_path / "run", seconds=30)
    assert (outcome.ending, outcome.console_tail) == (Ending.NOT_BOOTED, "no KVM")


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_guest_outlives_its_owner(tmp_path: Path, by: signal.Signals) -> None:
    """QEMU would go on, with two gigabytes, after whoever started it was killed."""
    install(tmp_path, ENDLESS)
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as owner:
        assert owner.stdout is not None
        guest = int(owner.stdout.readline())
        assert is_running(guest)
        owner.send_signal(by)
        owner.wait(10)
    until(lambda: not is_running(guest))


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie (who reaps an orphan is the machine's business)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except FileNotFoundError:
        return False
    return fields[0] != "Z" and os.getpid() != pid
