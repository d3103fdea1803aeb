"""The ends of what consoles and logs of a cell say, safe to show."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from content.escape import safe

TAIL_BYTES = 6000
TAIL_LINES = 40
SHOWN = (".log", ".txt")
"""Endings of files that are shown."""


def tails(folder: Path, files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Name and last lines of each log of a cell that says anything; files as in a Result."""
    for name, below in files.items():
        path = folder / below
        if name.endswith(SHOWN) and path.is_file() and (text := _tail(path)):
            yield name, text


def _tail(path: Path) -> str:
    """The last lines, each of them printable: a guest may have written any bytes."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        lines = [line.rstrip(b"\r") for line in file.read(TAIL_BYTES).split(b"\n")]
    shown = [safe(line) for line in lines if line.strip()]
    return "\n".join(shown[-TAIL_LINES:])
