"""CSV and Parquet say the same, and nothing that is not known looks like a figure."""

import csv
import io
from pathlib import Path

from arro3.io import read_parquet

from lab.results import tables
from tests.unit.lab.recorded_cells import ARMS, failed, recorded

RECORDS = [*(recorded(arm) for arm in ARMS), failed("K", "bad-content-at-boot")]


def test_both_tables_have_every_cell_and_column(tmp_path: Path) -> None:
    """Who reads one of them would miss what the other has."""
    tables.write(tmp_path, RECORDS)
    text = (tmp_path / tables.CSV).read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    parquet = read_parquet(tmp_path / tables.PARQUET).read_all()
    assert parquet.column_names == list(rows[0]) == list(tables.COLUMNS)
    for name in parquet.column_names:
        values = parquet.column(name).to_pylist()
        assert ["" if one is None else str(one) for one in values] == [row[name] for row in rows]


def test_types_survive_in_parquet(tmp_path: Path) -> None:
    """Seconds would be texts, and nothing known the same as zero."""
    tables.write(tmp_path, RECORDS)
    found = read_parquet(tmp_path / tables.PARQUET).read_all()
    assert found.column("restored_seconds").to_pylist()[2] == 0.83
    assert found.column("events_lost").to_pylist()[:3] == [None, 412, 0]
    assert found.column("outcome").to_pylist()[-1] is None
    assert found.column("as_expected").to_pylist() == [True] * len(ARMS) + [None]


def test_empty_tables_can_be_written(tmp_path: Path) -> None:
    """An interruption in the first cell would end with a traceback."""
    tables.write(tmp_path, [])
    assert read_parquet(tmp_path / tables.PARQUET).read_all().num_rows == 0
