"""Programs in the kernel's table don't execute one instruction, and nobody else is touched."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.supervisor.kernel_table import KernelTable
from bench.witness import KILLED, Run, is_possible, run_witness, write_witness
from content.prevention_table import LONGEST_PATH, MAP_NAME, MAX_ENTRIES, Compared, Entry
from tests.kernel.collection import Collection, collecting
from tests.needs import require_btf, skip_unavoidable
from tests.patience import patient

RUNS = 200
NOBODY_SPARED = 0
PATH_MAX = 4096
NONE, KERNEL = 1, 2
SECONDS = patient(60)


@dataclass(frozen=True, slots=True)
class Prevented:
    """A collection and its table."""

    collection: Collection
    table: KernelTable


@pytest.fixture(scope="module")
def running() -> Iterator[Prevented]:
    """A collector of process events, with an empty table."""
    require_btf()
    if not is_possible():
        skip_unavoidable("the witness is an x86-64 program")
    with collecting("--rung", "bpf_btf", "--types", "1") as collection:
        table = KernelTable(collection.shared_map(MAP_NAME), NOBODY_SPARED)
        yield Prevented(collection, table)
        table.close()


@pytest.fixture
def prevented(running: Prevented) -> Iterator[Prevented]:
    """The same with everything forgotten that came before."""
    running.collection.skip()
    yield running
    running.table.publish([])


@pytest.fixture
def witness(tmp_path: Path) -> Path:
    """The program that writes a byte first of all."""
    return write_witness(tmp_path / "witness")


def image(path: Path | bytes) -> Entry:
    """A path as it is given to execve."""
    return Entry(Compared.IMAGE, os.fsencode(path))


def executable(path: Path) -> Entry:
    """The path of a file."""
    return Entry(Compared.EXECUTABLE_PATH, os.fsencode(path))


def events(prevented: Prevented) -> list[tuple[bytes, int]]:
    """Image and outcome of the programs that this process has started."""
    found = prevented.collection.take("process", parents=[os.getpid()])
    return [(bytes(one["image"]), int(one["prevention"])) for one in found]


def ran(ended: Run) -> bool:
    """Whether a program came to its end, and wrote what it had to."""
    return (ended.signal, ended.writes) == (0, 1)


def died(ended: Run) -> bool:
    """Whether a program was ended before it did anything."""
    return (ended.signal, ended.writes) == (KILLED, 0)


@pytest.mark.parametrize("entry", [image, executable])
def test_not_one_instruction(
    prevented: Prevented, witness: Path, entry: Callable[[Path], Entry]
) -> None:
    """A program that content prevents would do something first."""
    before = prevented.table.stopped[entry(witness)]
    assert ran(run_witness(witness))
    assert prevented.table.publish([entry(witness)]) == []
    assert all(died(run_witness(witness)) for _ in range(RUNS))
    assert prevented.table.stopped[entry(witness)] - before == RUNS
    prevented.table.publish([])
    assert ran(run_witness(witness))
    outcomes = [outcome for path, outcome in events(prevented) if path == os.fsencode(witness)]
    assert outcomes == [NONE, *[KERNEL] * RUNS, NONE]


@pytest.mark.parametrize("entry", [image, executable])
def test_others_are_untouched(
    prevented: Prevented, witness: Path, entry: Callable[[Path], Entry]
) -> None:
    """A program with a name that is only similar would be stopped."""
    name = witness.name
    others = [witness.with_name(other) for other in (name[:-1], name + "x", "x" + name)]
    others += [witness.with_name(name.upper()), witness.with_name(name[:-1] + "S")]
    folder = witness.parent / "folder"
    folder.mkdir()
    others += [folder / name]
    prevented.table.publish([entry(witness)])
    for other in others:
        shutil.copy(witness, other)
        assert ran(run_witness(other)), other
    assert died(run_witness(witness))


def test_a_file_is_found_by_whatever_way(prevented: Prevented, witness: Path) -> None:
    """A relative path or a symbolic link would get around prevention."""
    link = witness.with_name("link")
    link.symlink_to(witness.name)
    dotted = f"{witness.parent}/../{witness.parent.name}/{witness.name}"
    ways = [str(link), dotted, os.path.relpath(witness)]
    prevented.table.publish([image(witness)])
    assert [ran(run_witness(way)) for way in ways] == [True] * 3
    prevented.table.publish([executable(witness)])
    assert [died(run_witness(way)) for way in ways] == [True] * 3


def test_another_file_is_another_path(prevented: Prevented, witness: Path) -> None:
    """The documents say that a copy and a hard link are not found by their path."""
    copy, hard = witness.with_name("copy"), witness.with_name("hard")
    shutil.copy(witness, copy)
    hard.hardlink_to(witness)
    prevented.table.publish([executable(witness)])
    assert ran(run_witness(copy))
    assert ran(run_witness(hard))


def test_scripts(prevented: Prevented, witness: Path) -> None:
    """A script could not be prevented, or all scripts of an interpreter would be."""
    script = witness.with_name("script")
    script.write_text(f"#!{witness}\n", encoding="ascii")
    script.chmod(0o755)
    other = witness.with_name("other")
    shutil.copy(script, other)
    prevented.table.publish([image(script)])
    assert died(run_witness(script))
    assert ran(run_witness(other))
    prevented.table.publish([executable(script)])
    assert ran(run_witness(script))
    prevented.table.publish([executable(witness)])
    assert died(run_witness(script))


def test_long_paths(prevented: Prevented, witness: Path) -> None:
    """A path that is cut off would stand for all that begin like it."""
    folder = os.fsencode(witness.parent)
    longest = folder + b"/" + b"a" * (LONGEST_PATH - len(folder) - 1)
    longer = longest + b"a"
    for path in (longest, longer):
        shutil.copy(witness, os.fsdecode(path))
    deep = longest + b"b"
    while len(deep) < PATH_MAX - 220:
        deep += b"/" + b"c" * 200
    Path(os.fsdecode(deep)).mkdir(parents=True)
    deep += b"/" + b"d" * (PATH_MAX - 2 - len(deep))
    assert len(deep) == PATH_MAX - 1
    shutil.copy(witness, os.fsdecode(deep))
    prevented.table.publish([image(longest), Entry(Compared.EXECUTABLE_PATH, longest)])
    assert died(run_witness(os.fsdecode(longest)))
    assert ran(run_witness(os.fsdecode(longer)))
    assert ran(run_witness(os.fsdecode(deep)))


def test_a_full_table(prevented: Prevented, witness: Path) -> None:
    """A path would be lost among others, or be taken for its neighbour in the table."""
    folder = witness.parent
    paths = [folder / f"w{number}" for number in range(MAX_ENTRIES)]
    assert prevented.table.publish([image(path) for path in paths]) == []
    for path in paths[::5]:
        path.hardlink_to(witness)
        assert died(run_witness(path))
    beside = folder / f"w{MAX_ENTRIES}"
    beside.hardlink_to(witness)
    assert ran(run_witness(beside))


def test_an_exec_of_a_thread(prevented: Prevented, witness: Path) -> None:
    """A program that a thread executes would get away, or the process would live on without it."""
    prevented.table.publish([image(witness)])
    program = (
        "import os, sys, threading, time\n"
        "threading.Thread(target=lambda: os.execv(sys.argv[1], sys.argv[1:])).start()\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-I", "-S", "-c", program, str(witness)]
    assert subprocess.run(command, timeout=SECONDS, check=False).returncode == -KILLED


def test_a_first_process_of_a_container(prevented: Prevented, witness: Path) -> None:
    """Process 1 of a pid namespace ignores signals of its own namespace: it would go on."""
    prevented.table.publish([image(witness)])
    command = ["unshare", "--pid", "--fork", str(witness)]
    ended = subprocess.run(command, timeout=SECONDS, check=False, capture_output=True)
    assert ended.returncode != 0  # util-linux says in different ways that its child was killed
    assert prevented.table.stopped[image(witness)] == 1


def test_the_sensor_is_spared(prevented: Prevented, witness: Path) -> None:
    """Content could stop the supervisor's own children."""
    table = KernelTable(prevented.collection.shared_map(MAP_NAME), os.getpid())
    try:
        spared = table.spared
        table.publish([image(witness)])
        assert ran(run_witness(witness))
        assert table.spared - spared == 1
        assert events(prevented)[-1] == (os.fsencode(witness), NONE)
    finally:
        table.close()
        KernelTable(prevented.collection.shared_map(MAP_NAME), NOBODY_SPARED).close()


def test_the_table_changes_under_way(prevented: Prevented, witness: Path) -> None:
    """A half-written table would stop a stranger, or let a program go without a trace."""
    table, stranger = prevented.table, witness.with_name("stranger")
    shutil.copy(witness, stranger)
    filling = [image(witness.with_name(f"other{number}")) for number in range(MAX_ENTRIES - 1)]
    table.publish([image(witness)])
    over = threading.Event()
    changes = 0

    def change() -> None:
        nonlocal changes
        while not over.is_set():
            table.publish([image(witness), *filling[: changes * 37 % MAX_ENTRIES]])
            changes += 1
            time.sleep(0.001)  # else the other thread waits for the interpreter at every call

    writer = threading.Thread(target=change)
    raced, stopped = table.raced, table.stopped[image(witness)]
    writer.start()
    try:
        for _ in range(RUNS // 2):
            assert ran(run_witness(stranger))
            ended = run_witness(witness)
            raced_now = table.raced
            assert died(ended) or (ran(ended) and raced_now > raced)
            stopped += died(ended)
            raced = raced_now
    finally:
        over.set()
        writer.join()
    assert changes > 10
    assert table.stopped[image(witness)] == stopped


def test_a_full_ring_prevents_nevertheless(witness: Path) -> None:
    """Whoever fills the ring with events would run what he likes."""
    require_btf()
    if not is_possible():
        skip_unavoidable("the witness is an x86-64 program")
    arguments = ("--rung", "bpf_btf", "--types", "1", "--ring-bytes", "16384")
    with collecting(*arguments) as collection:
        table = KernelTable(collection.shared_map(MAP_NAME), NOBODY_SPARED)
        table.publish([image(witness)])
        assert all(died(run_witness(witness)) for _ in range(50))
        assert table.stopped[image(witness)] == 50
        assert any(slot.cause == "RING_FULL" for slot in collection.lost())
        table.close()


def test_the_path_of_the_file_is_what_proc_shows(prevented: Prevented, tmp_path: Path) -> None:
    """The field would be another path than the one that is prevented."""
    copied = shutil.copy("/bin/cat", tmp_path / "copied")
    pipe = subprocess.PIPE
    with subprocess.Popen(["./copied"], cwd=tmp_path, stdin=pipe, stdout=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        # It runs once it answers: on an emulated 6.1, one in a hundred is seen before its exec.
        assert process.stdout.read(1) == b"\n"
        shown = Path(f"/proc/{process.pid}/exe").readlink()
    (event,) = prevented.collection.take("process", pids=[process.pid])
    assert event["executable_path"] == os.fsencode(shown) == os.fsencode(os.path.realpath(copied))
    assert event["image"] == b"./copied"


def test_a_program_in_memory_has_no_path(prevented: Prevented, witness: Path) -> None:
    """A program without a file would have a path that is made up."""
    descriptor = os.memfd_create("witness", 0)
    os.write(descriptor, witness.read_bytes())
    ended = run_witness(f"/proc/self/fd/{descriptor}")
    os.close(descriptor)
    (event,) = prevented.collection.take("process", pids=[ended.pid])
    assert "executable_path" not in event
    assert event["prevention"] == NONE
