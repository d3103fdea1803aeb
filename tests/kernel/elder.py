"""A shell that is started before the collector and runs commands for a test later."""

import subprocess
from pathlib import Path
from typing import Self

from tests.patience import patient


class Elder:
    """`sh` under an odd name with odd arguments, reading commands from a pipe."""

    def __init__(self, folder: Path) -> None:
        self.image = folder / "elder"
        self.image.symlink_to("/bin/sh")
        self.arguments = [str(self.image), "-s", "one\nargument", "two  words"]
        self._process = subprocess.Popen(
            self.arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def run(self, command: str) -> None:
        """Let it run a command, and wait until it has."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\necho done\n".encode())
        self._process.stdin.flush()
        while self._process.stdout.readline() != b"done\n":
            assert self._process.poll() is None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(patient(10))
        assert self._process.stdout is not None
        self._process.stdout.close()
