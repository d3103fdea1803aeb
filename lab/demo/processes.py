"""Processes of the demonstration: started by us, ended by us, by pidfd, whatever happens."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lab.demo.claims import ClaimError

Found = TypeVar("Found")

DIES_WITH_PARENT = ("setpriv", "--pdeathsig", "TERM", "--")
"""A command (util-linux) that sets that and becomes another. Not Python in a forked child: whoever
starts services may have threads, gRPC's for example, which don't survive that."""

COMMAND_SECONDS = 60.0
"""A command of ours that takes longer hangs."""


@dataclass(slots=True)
class Service:
    """A long-running process and the file that holds what it printed."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def stop(self, seconds: float = 10.0) -> int:
        """SIGTERM, then SIGKILL; the exit status (negative: the signal)."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def tail(self, lines: int = 5) -> str:
        """What it printed last."""
        return "\n".join(self.log.read_text(errors="backslashreplace").splitlines()[-lines:])


def bulkhead(*arguments: str) -> list[str]:
    """The command line of one of our own commands, by the interpreter that runs this."""
    return [sys.executable, "-I", "-m", "cli.main", *arguments]


def start_service(
    name: str,
    arguments: Sequence[str],
    log: Path,
    descriptors: Sequence[int] = (),
    within: Sequence[str] = (),
) -> Service:
    """Start one of our commands with some descriptors; what it prints goes to a file.

    within: a command that becomes the one given behind its own arguments.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*DIES_WITH_PARENT, *within, *bulkhead(*arguments)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=descriptors,
            start_new_session=True,
            umask=0o022,
        )
    return Service(name, process, log)


def run_json(*arguments: str, allowed: Sequence[int] = (0,)) -> tuple[int, Any, str]:
    """Run one of our commands with --json: exit status, its document, its standard error."""
    result = subprocess.run(
        bulkhead(*arguments, "--json"),
        capture_output=True,
        timeout=COMMAND_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    said = result.stderr.decode(errors="backslashreplace").strip()
    if result.returncode not in allowed:
        shown = " ".join(arguments[:2])
        raise ClaimError(f"bulkhead {shown} ended with {result.returncode}: {said[-400:]}")
    document = json.loads(result.stdout) if result.stdout.strip() else None
    return result.returncode, document, said


def wait_for(
    what: str, look: Callable[[], Found | None], seconds: float, pause: float = 0.02
) -> Found:
    """Look until there is something; ClaimError names what never came."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise ClaimError(f"after {seconds:.0f} s still no {what}")
        time.sleep(pause)


def alive(pid: int) -> bool:
    """Whether a process with this id runs; one that only waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat[stat.rindex(b")") + 2 :][:1] not in b"ZX"
