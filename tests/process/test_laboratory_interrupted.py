"""A run of the laboratory that is told to end, as a real process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.results.store import Store
from tests.needs import CHECKOUT
from tests.patience import patient

PLAYED = "tests.unit.lab.laboratory_double"
WAITING = b"WAITING\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=str)
def test_a_run_that_is_told_to_end_leaves_nothing_half_done(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C would leave processes, half a cell, or lose the cells before it."""
    with subprocess.Popen(
        [sys.executable, "-m", PLAYED, str(tmp_path)],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as run:
        assert run.stdout is not None
        while run.stdout.readline() != WAITING:
            assert run.poll() is None
        os.killpg(run.pid, number)
        said, _ = run.communicate(timeout=patient(30))
    assert run.returncode == 130
    assert b"lab: interrupted; the next run goes on from here" in said
    with pytest.raises(ProcessLookupError):
        os.killpg(run.pid, 0)
    records, errors = Store(tmp_path).read_all()
    assert ([str(one.result.cell) for one in records], errors) == (["K/arity-gap"], [])
    assert not list((tmp_path / "cells").glob(".*"))
