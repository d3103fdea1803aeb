"""`bulkhead agent record`, as people start it: a known workload is recorded exactly."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from content.definitions import load_definitions
from content.record import decode
from content.recorded_events_reader import load
from content.template_type import Rung
from tests.kernel.workload import run_python
from tests.needs import require_btf
from tests.patience import patient

EXECS = 10
SECONDS = patient(60)
PROCESS = 1


@contextmanager
def recording(path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command, once its probes are attached."""
    command = [str(Path(sys.executable).with_name("bulkhead")), "agent", "record"]
    with subprocess.Popen(
        [*command, "--output", str(path), *arguments], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "recording\n"
        yield process
        process.stderr.read()
        process.wait(SECONDS)


def run_execs() -> int:
    """Ten programs; returns the pid of their parent."""
    return run_python(
        f"for index in range({EXECS}):\n"
        "    os.posix_spawn('/bin/true', ['true', 'recorded', str(index)], {})\n"
        "    os.wait()\n"
    )


def command_lines(path: Path, parent: int) -> list[bytes | int]:
    """Command lines of a process's children, as content sees them."""
    types = load_definitions()
    records = load(path, types).events[PROCESS]
    mine = records[records["parent_pid"] == parent]
    return [decode(types[PROCESS], mine[row : row + 1])[2] for row in range(len(mine))]


def test_every_exec_is_recorded_once(tmp_path: Path) -> None:
    """Content would be judged by events that never were, or without those that were."""
    require_btf()
    path = tmp_path / "events.npz"
    with recording(path) as process:
        parent = run_execs()
        process.send_signal(signal.SIGINT)
    assert process.returncode == 0
    assert command_lines(path, parent) == [b"true recorded %d" % index for index in range(EXECS)]
    found = load(path, load_definitions())
    assert (found.ended, found.rung, found.losses) == ("INTERRUPTED", Rung.BPF_BTF, ())


def test_recording_ends_at_the_limit(tmp_path: Path) -> None:
    """A recording could fill memory and disk."""
    require_btf()
    path = tmp_path / "events.npz"
    with recording(path, "--limit", "4") as process:
        run_execs()
    assert process.returncode == 0
    found = load(path, load_definitions())
    assert (found.ended, found.count) == ("LIMIT", 4)


def test_recording_ends_in_time_and_leaves_no_process(tmp_path: Path) -> None:
    """A collector would stay behind, with probes attached."""
    require_btf()
    path = tmp_path / "events.npz"
    with recording(path, "--seconds", "0.5") as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(
            encoding="ascii"
        )
    assert process.returncode == 0
    assert load(path, load_definitions()).ended == "TIME"
    for pid in children.split():
        assert not Path(f"/proc/{pid}").exists()


def test_bytes_behind_a_text_are_zero(tmp_path: Path) -> None:
    """A recording would hold parts of other events, passwords among them."""
    require_btf()
    path = tmp_path / "events.npz"
    with recording(path, "--seconds", "2"):
        # The ring is larger than this, but what the kernel's stack or an earlier record left
        # behind a text is kept by nobody: every text is followed by zeros.
        run_execs()
    for records in load(path, load_definitions()).events.values():
        for name in records.dtype.names or ():
            if name + "_length" not in (records.dtype.names or ()):
                continue
            for record in records:
                assert not record[name][record[name + "_length"] :].any()


def test_the_psutil_rung_is_recorded(tmp_path: Path) -> None:
    """Where BPF can't be had, nothing could be recorded."""
    path = tmp_path / "events.npz"
    with recording(path, "--rung", "psutil") as process:
        with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"]) as child:
            try:
                child.wait(3)
            except subprocess.TimeoutExpired:
                child.kill()
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 0
    found = load(path, load_definitions())
    assert found.rung is Rung.PSUTIL
    assert child.pid in found.events[PROCESS]["pid"]
    assert os.getpid() in found.events[PROCESS]["parent_pid"]
