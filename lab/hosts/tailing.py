"""Reads lines that somebody else appends to a file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class Tail:
    """Whole lines since the last look; what was there at the beginning is passed over."""

    path: Path
    at: int = -1

    def __post_init__(self) -> None:
        """Where the file ends now."""
        self.at = self.path.stat().st_size if self.path.exists() else 0

    def lines(self) -> Iterator[str]:
        """Those that are whole."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.at)
                data = file.read()
        except FileNotFoundError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self.at += len(whole)
        yield from whole.decode("utf-8", "replace").splitlines()
