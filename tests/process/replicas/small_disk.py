"""A file system of its own that a test may fill."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.needs import require_root

MEBIBYTES = 160
LEFT = 2
"""What a fill leaves, so that the server fails in the middle of something."""


@dataclass(frozen=True)
class Disk:
    """Where it is mounted."""

    place: Path

    def fill(self) -> None:
        """Leave next to nothing."""
        free = int(_output("df", "--output=avail", "-B1M", str(self.place)).split()[-1])
        subprocess.run(
            ["fallocate", "-l", f"{max(1, free - LEFT)}M", str(self.place / "ballast")], check=True
        )

    def empty(self) -> None:
        """Give it back."""
        (self.place / "ballast").unlink()


@contextmanager
def small_disk() -> Iterator[Disk]:
    """A tmpfs; skips where none can be mounted."""
    require_root()
    with tempfile.TemporaryDirectory(prefix="bulkhead-disk-") as folder:
        Path(folder).chmod(0o755)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={MEBIBYTES}M,mode=755", "tmpfs", folder]
        if subprocess.run(mount, check=False, capture_output=True).returncode:
            pytest.skip("needs the right to mount (root with CAP_SYS_ADMIN)")
        try:
            yield Disk(Path(folder))
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
