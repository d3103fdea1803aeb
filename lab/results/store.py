"""The folder of results: for each cell one folder with its result and what else was kept of it.

    build/lab/cells/direct-bookworm/K/arity-gap/result.json, console.log, …

A cell is carried out in an unfinished folder beside the others and takes its place when it is
whole, so that an interruption leaves the cell's former result or none.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from content.files import replace_file
from lab.cells.model import Cell, Environment
from lab.results import document
from lab.results.document import Recorded
from lab.results.errors import ResultsError, ResultsReason

CELLS = "cells"
RESULT = "result.json"
UNFINISHED = ".unfinished-"
READABLE = 0o755
RESULT_BYTES = 4 * 1024 * 1024
"""Largest file that is read as a result."""


class Store:
    """Results below a folder, which one run at a time may change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._cells = folder / CELLS

    def clear_unfinished(self) -> None:
        """Remove what a run left that was killed. Only for who holds the folder."""
        for left in self._cells.glob(f"{UNFINISHED}*"):
            shutil.rmtree(left)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for one cell, gone at the end unless it was kept."""
        self._cells.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=self._cells))
        folder.chmod(READABLE)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def keep(self, recorded: Recorded, folder: Path) -> Recorded:
        """Put a scratch folder into its place, with the result in it; what was there goes."""
        result = recorded.result
        place = self._place(result.environment, result.cell)
        below = place.relative_to(self.folder)
        names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
        kept = replace(recorded, result=replace(result, files={n: str(below / n) for n in names}))
        replace_file(folder / RESULT, document.text_of(kept).encode("ascii"))
        place.parent.mkdir(parents=True, exist_ok=True)
        with self.scratch() as former:
            if place.exists():
                place.rename(former / "former")
            folder.rename(place)
        return kept

    def read(self, environment: Environment, cell: Cell) -> Recorded | None:
        """What is kept of a cell; None if nothing is, ResultsError if it can't be used."""
        file = self._place(environment, cell) / RESULT
        return self._read(file) if file.exists() else None

    def read_all(self) -> tuple[list[Recorded], list[ResultsError]]:
        """All results that can be used, and why the others can't."""
        found: list[Recorded] = []
        errors: list[ResultsError] = []
        for file in sorted(self._cells.glob(f"[!.]*/*/*/{RESULT}")):
            try:
                found.append(self._read(file))
            except ResultsError as error:
                errors.append(error)
        return found, errors

    def _place(self, environment: Environment, cell: Cell) -> Path:
        host = f"{environment.runner}-{environment.release}"
        parts = (host, cell.arm, cell.fault)
        if any("/" in part or part.startswith(".") for part in parts):
            raise ValueError(f"{parts} are no names of folders")
        return self._cells.joinpath(*parts)

    def _read(self, file: Path) -> Recorded:
        name = str(file.relative_to(self.folder))
        try:
            with file.open("rb") as opened:
                text = opened.read(RESULT_BYTES + 1).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise ResultsError(ResultsReason.UNREADABLE, name, str(error)) from error
        if len(text) > RESULT_BYTES:
            detail = f"expected at most {RESULT_BYTES} bytes"
            raise ResultsError(ResultsReason.UNREADABLE, name, detail)
        return document.read(text, name)
