"""`bulkhead agent record` where it can't record: a reason, a status, and no file."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from cli.output import ExitCode
from content.definitions import Rung
from probes.errors import ProbeReason
from tests.needs import require_root

SECONDS = 60
HIDE_BTF = 'mount -t tmpfs none /sys/kernel/btf && exec "$0" "$@"'
WITHOUT_BTF = ("unshare", "--mount", "sh", "-c", HIDE_BTF)
IN_A_CONTAINER = ("unshare", "--pid", "--fork")


def run(*arguments: object, before: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """The outcome of the command. before: a command that starts it."""
    command = [*before, str(Path(sys.executable).with_name("bulkhead")), "agent", "record"]
    return subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.mark.parametrize(
    ("rung", "before", "reason"),
    [
        (Rung.BPF_BTF, WITHOUT_BTF, ProbeReason.BTF_MISSING),
        (Rung.PROCESS_CONNECTOR, IN_A_CONTAINER, ProbeReason.CONNECTOR_MISSING),
    ],
)
def test_a_rung_that_can_not_be_had_is_named(
    rung: Rung, before: Sequence[str], reason: ProbeReason, tmp_path: Path
) -> None:
    """A recording would be of nothing, or of another rung than was asked for."""
    require_root()
    result = run("--output", tmp_path / "events.npz", "--rung", rung, "--json", before=before)
    assert result.returncode == ExitCode.PREREQUISITE_MISSING, result.stderr
    error = json.loads(result.stderr)["error"]
    assert error["reason"] == "RECORDING_FAILED"
    assert error["message"].startswith(f"{reason}: ")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named_before_anything_starts(tmp_path: Path) -> None:
    """An hour of recording would be lost in the end."""
    result = run("--output", tmp_path / "missing" / "events.npz", "--seconds", 3600)
    assert result.returncode == ExitCode.PREREQUISITE_MISSING
    assert "FILE_NOT_ACCESSIBLE" in result.stderr


def test_the_psutil_rung_prints_json(tmp_path: Path) -> None:
    """A program could not tell what was recorded."""
    result = run("--output", tmp_path / "a.npz", "--rung", "psutil", "--seconds", 0.5, "--json")
    assert result.returncode == ExitCode.OK, result.stderr
    document = json.loads(result.stdout)
    assert (document["rung"], document["ended"]) == ("psutil", "TIME")
    assert set(document["events"]) == {"process", "network"}
    assert document["bytes"] == (tmp_path / "a.npz").stat().st_size
