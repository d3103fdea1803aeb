"""All results as tables, a row for each cell: CSV for everybody, Parquet with types for programs.

Both have the same columns, the first of which is the version of their meaning.
"""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from arro3.core import Array, DataType, Table
from arro3.io import write_parquet

from content.files import replace_file
from lab.cells.model import Measured
from lab.results.document import VERSION, Recorded

CSV, PARQUET = "results.csv", "results.parquet"
SEPARATOR = "; "
"""Between the items of a list in one column."""

_TEXT, _COUNT, _SECONDS, _FLAG = (
    DataType.string(),
    DataType.int64(),
    DataType.float64(),
    DataType.bool(),
)
_Value = Callable[[Recorded], Any]


def _measured(value: Callable[[Measured], Any]) -> _Value:
    """A column that is empty where there is no measurement."""

    def of(recorded: Recorded) -> Any:
        measured = recorded.result.measured
        return None if measured is None else value(measured)

    return of


COLUMNS: dict[str, tuple[DataType, _Value]] = {
    "schema": (_COUNT, lambda _: VERSION),
    "runner": (_TEXT, lambda one: one.result.environment.runner),
    "release": (_TEXT, lambda one: one.result.environment.release),
    "kernel": (_TEXT, lambda one: one.result.environment.kernel),
    "accelerator": (_TEXT, lambda one: one.result.environment.accelerator),
    "processors": (_COUNT, lambda one: one.result.environment.processors),
    "memory_mebibytes": (_COUNT, lambda one: one.result.environment.memory_mebibytes),
    "arm": (_TEXT, lambda one: one.result.cell.arm),
    "fault": (_TEXT, lambda one: one.result.cell.fault),
    "started": (_TEXT, lambda one: one.result.started),
    "expected": (_TEXT, lambda one: one.result.expected.outcome.value),
    "outcome": (_TEXT, _measured(lambda one: one.outcome.value)),
    "as_expected": (_FLAG, lambda one: one.result.as_expected),
    "failure": (_TEXT, lambda one: one.result.failure),
    "host_up": (_FLAG, _measured(lambda one: one.host_up)),
    "boots": (_COUNT, _measured(lambda one: len(one.boots))),
    "panics": (_COUNT, _measured(lambda one: one.panics)),
    "restored_seconds": (_SECONDS, _measured(lambda one: one.restored_seconds)),
    "gap_seconds": (_SECONDS, _measured(lambda one: one.gap_seconds)),
    "events_lost": (_COUNT, _measured(lambda one: one.events_lost)),
    "events_uncounted": (_COUNT, _measured(lambda one: one.events_uncounted)),
    "manual_steps": (_COUNT, _measured(lambda one: len(one.manual_steps))),
    "steps": (_TEXT, _measured(lambda one: SEPARATOR.join(one.manual_steps))),
    "died": (_TEXT, _measured(lambda one: SEPARATOR.join(one.died))),
    "said": (_TEXT, _measured(lambda one: one.said)),
    "seconds": (_SECONDS, _measured(lambda one: one.seconds)),
    "inputs": (_TEXT, lambda one: one.inputs),
}


def write(folder: Path, records: Sequence[Recorded]) -> None:
    """Replace both tables."""
    replace_file(folder / CSV, csv_text(records).encode())
    columns: dict[str, Any] = {
        name: Array([value(one) for one in records], type=kind)
        for name, (kind, value) in COLUMNS.items()
    }
    parquet = io.BytesIO()
    write_parquet(Table.from_pydict(columns), parquet)
    replace_file(folder / PARQUET, parquet.getvalue())


def csv_text(records: Sequence[Recorded]) -> str:
    """The table as CSV; an empty field is a value that there is not."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([value(one) for _, value in COLUMNS.values()] for one in records)
    return lines.getvalue()
