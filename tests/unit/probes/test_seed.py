"""What the lineage map is given of processes that are older than the sensor."""

from pathlib import Path

import numpy as np
import pytest

from content.definitions import Rung, load_definitions
from probes.layout import lineage_dtype
from probes.seed import Insertion, seed

TYPES = tuple(load_definitions().values())


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc with a shell and its child."""
    for pid, parent, ticks in ((10, 1, 100), (11, 10, 250)):
        folder = tmp_path / str(pid)
        folder.mkdir()
        rest = " ".join(["S", str(parent), *["0"] * 17, str(ticks)])
        (folder / "stat").write_text(f"{pid} (name) {rest} 0 0")
        (folder / "status").write_text("Name:\tname\nUid:\t5\t5\t5\t5\nGid:\t6\t6\t6\t6\n")
        (folder / "cmdline").write_bytes(b"sh\0-i\0")
        (folder / "exe").symlink_to("/bin/sh")
    return tmp_path


@pytest.mark.parametrize("rung", [Rung.BPF_BTF, Rung.BPF_TRACEPOINT])
def test_parents_are_given_where_the_kernel_is_not_asked(proc: Path, rung: Rung) -> None:
    """If it failed, what an older process does would have no parent in rung bpf_tracepoint."""
    value = lineage_dtype(TYPES, rung)
    found: dict[int, np.void] = {}

    def insert(pid: int, entry: bytes) -> Insertion:
        if pid in found:
            return Insertion.KNOWN
        found[pid] = np.frombuffer(entry, value)[0]
        return Insertion.ADDED

    assert seed(insert, value, proc).added == 2
    child = found[11]
    assert bytes(child["image"]).startswith(b"/bin/sh\0")
    if rung is Rung.BPF_BTF:
        assert "parent_pid" not in (value.names or ())
    else:
        assert child["parent_pid"] == 10
        assert child["parent_start_time"] == found[10]["start_time"] != 0
        assert child["threads"] == 0
        assert found[10]["parent_start_time"] == 0
