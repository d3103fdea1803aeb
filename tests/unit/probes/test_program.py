"""What is compiled for which Template Types, and where it is attached."""

import os
import re
import tempfile
from pathlib import Path

import pytest

from content.definitions import Rung, load_definitions
from probes import kernel_source, program, tracepoints
from probes.errors import ProbeError, ProbeReason
from probes.supply import COMMENT

TYPES = tuple(load_definitions().values())
NO_PROCESS = 1 << 23
"""Above the largest pid that Linux gives (pid_max is at most 4,194,304)."""

EVERYTHING = tuple(one.name for one in load_definitions().values())


def part(*names: str, lineage: bool = True) -> program.Part:
    """What is compiled for these Template Types, in one unit."""
    return program.Part(
        dict.fromkeys(names, 1 << 20),
        keeps_lineage=lineage,
        forgets=program.watches_calls(names),
    )


@pytest.mark.parametrize(
    ("wanted", "files"),
    [
        ("process", {"common.bpf.h", "lineage.bpf.h", "lineage.bpf.c", "process.bpf.c"}),
        ("file", {"pending.bpf.h", "file.bpf.c", "lineage.bpf.c", "forget.bpf.c"}),
        ("ipc", {"socket.bpf.h", "socket_calls.bpf.h", "ipc.bpf.c"}),
        ("network", {"socket.bpf.h", "socket_calls.bpf.h", "network.bpf.c"}),
        ("exit", {"lineage.bpf.c", "exit.bpf.c"}),
        ("privilege", {"pending.bpf.h", "lineage.bpf.c", "privilege.bpf.c"}),
        ("module", {"pending.bpf.h", "module.bpf.c"}),
        ("process_access", {"pending.bpf.h", "target.bpf.h", "process_access.bpf.c"}),
        ("memory", {"pending.bpf.h", "memory.bpf.c"}),
        ("dns", {"socket.bpf.h", "dns_message.bpf.h", "dns.bpf.c"}),
    ],
)
def test_only_what_is_wanted_is_compiled(wanted: str, files: set[str]) -> None:
    """If it failed, programs would be missing, or loaded for nothing."""
    names = program.source_names(part(wanted))
    others = {f"{name}.bpf.c" for name in EVERYTHING if name != wanted}
    assert files <= set(names)
    assert not others & set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("rung", program.BPF_RUNGS)
def test_who_joins_keeps_no_lineage(rung: Rung) -> None:
    """If it failed, two programs would write into the entry of the same process."""
    names = program.source_names(part("process", lineage=False), rung)
    assert not {"lineage.bpf.c", "lineage.tracepoint.bpf.c"} & set(names)
    assert "lineage.bpf.h" in names


@pytest.mark.parametrize("rung", program.BPF_RUNGS)
@pytest.mark.parametrize("compilers", [1, 2, 3])
def test_every_type_is_in_one_part(rung: Rung, compilers: int) -> None:
    """If it failed, a type would be missing, or its events come twice."""
    wanted = dict.fromkeys(program.SOURCES[rung], 1 << 20)
    parts = program.parts(wanted, rung, compilers, keeps_lineage=True)
    assert sorted(name for one in parts for name in one.ring_bytes) == sorted(wanted)
    assert len(parts) == compilers
    assert [one.keeps_lineage for one in parts] == [True] + [False] * (compilers - 1)
    assert [one.forgets for one in parts] == [True] + [False] * (compilers - 1)


def test_lineage_alone_is_one_part() -> None:
    """If it failed, a second compiler would be started for nothing."""
    (only,) = program.parts({}, Rung.BPF_BTF, 2, keeps_lineage=True)
    assert only == program.Part({}, keeps_lineage=True)


def test_all_sources_are_used() -> None:
    """If it failed, a source would lie in the folder and never be compiled."""
    there = {path.name for path in program.FOLDER.glob("*.bpf.*")}
    used = {
        name for rung in program.BPF_RUNGS for name in program.source_names(part(*EVERYTHING), rung)
    }
    assert there == used | {"inject.bpf.c"}  # compiled by itself (probes.injection)


@pytest.mark.parametrize("typed", [True, False])
def test_typed_loads_only_where_the_kernel_has_them(*, typed: bool) -> None:
    """If it failed, kernels before 5.11 would refuse the programs."""
    kernel = program.offsets_text({("task_struct", "mm"): 8}, typed_task=typed)
    text = program.program_text(part(), program.Surroundings(TYPES, (), kernel, {"lineage": 7}))
    assert "\n#define OFFSET_task_struct_mm 8\n" in text
    assert "\n#define SHARED_lineage 7\n" in text
    assert ("\n#define TYPED_TASK 1\n" in text) is typed


@pytest.mark.parametrize(
    ("there", "called"),
    [
        ({}, ["", "", "", ""]),
        ({"on_exec_memory": 8}, ["memory", "memory", "memory", ""]),
        ({"on_exec_memory": 8, "on_exec_process": 9}, ["process memory", "memory", "memory", ""]),
    ],
)
def test_a_program_calls_those_behind_it(there: dict[str, int], called: list[str]) -> None:
    """If it failed, an exec would be reported by the first of its programs only."""
    around = program.Surroundings(TYPES, (), "", {"lineage": 7, **there})
    text = program.program_text(part("process"), around)
    found = re.findall(
        r"^#define NEXT_(\w+)\(ctx\) do \{(.*)\} while \(NOTHING\)$", text, re.MULTILINE
    )
    assert [name for name, _ in found] == list(tracepoints.at_exec())
    calls = [re.findall(r"TAIL_CALL\(ctx, on_exec_(\w+)\);", body) for _, body in found]
    assert calls == [names.split() for names in called]


def test_optional_members_are_members() -> None:
    """If it failed, a misspelt member would stop the start on a kernel that lacks it."""
    assert set(program.KERNEL_MEMBERS) >= program.OPTIONAL_MEMBERS


@pytest.mark.parametrize("rung", program.BPF_RUNGS)
def test_every_function_of_the_table_exists(rung: Rung) -> None:
    """If it failed, a tracepoint would name a function that is not there."""
    text = "\n".join(program.sources(part(*EVERYTHING), rung))
    reports = [point for points in tracepoints.REPORTS[rung].values() for point in points]
    called = [call for name in program.SOURCES[rung] for call in tracepoints.CALLED.get(name, ())]
    points = {
        one.function for one in (*tracepoints.LINEAGE[rung], *reports, tracepoints.FORGET, *called)
    }
    watched = tracepoints.wanted_calls(program.SOURCES[rung])
    calls = {name for call in watched for name in (call.enter, call.exit)}
    assert calls >= tracepoints.ENTRY_SPARED or rung is not Rung.BPF_BTF
    for function in points | calls:
        assert re.search(rf"^int {function}\((struct \w+|void) \*ctx\)$", text, re.MULTILINE)


def test_without_btf_nothing_is_read_by_offset() -> None:
    """If it failed, the rung would not compile on the kernels that it is for."""
    text = "\n".join(program.sources(part(*EVERYTHING), Rung.BPF_TRACEPOINT))
    assert "OFFSET_" not in COMMENT.sub("", text)


def test_a_machine_whose_registers_are_unknown_is_refused() -> None:
    """If it failed, arguments would be read from a register that is not the stack pointer."""
    with pytest.raises(ProbeError, match="registers of m68k") as caught:
        program.registers_text("m68k")
    assert caught.value.reason is ProbeReason.RUNG_NOT_SUPPORTED


def test_calls_follow_the_types() -> None:
    """If it failed, calls would be watched that no wanted type needs."""
    assert [call.name for call in tracepoints.wanted_calls(["ipc"])] == [
        "connect",
        "bind",
        "mknod",
        "mknodat",
    ]
    assert list(tracepoints.wanted_calls(["process", "exit"])) == []


@pytest.mark.parametrize("name", EVERYTHING)
def test_calls_are_remembered_only_where_some_are_watched(name: str) -> None:
    """If it failed, a type would not compile alone, or a map lie in memory for nothing."""
    assert ("pending.bpf.h" in program.source_names(part(name))) is program.watches_calls([name])
    assert program.watches_calls([name]) is (name not in {"process", "exit"})


@pytest.mark.parametrize("rung", program.BPF_RUNGS)
def test_attachments_know_what_they_are_there_for(rung: Rung) -> None:
    """If it failed, a type that nobody wants would go on, or another one stop with it."""
    names = tuple(program.SOURCES[rung])
    placements = tracepoints.placements(names, tracepoints.wanted_calls(names), rung)
    assert all(placement.serves for placement in placements)
    several = [placement for placement in placements if len(placement.serves) > 1]
    assert [placement.point for placement in several] == [tracepoints.FORGET]
    alone = tracepoints.placements(["exit"], [], rung)
    assert all(placement.serves == ("exit",) for placement in alone)


def test_exits_are_attached_before_entries() -> None:
    """If it failed, a call could be remembered whose end is missed."""
    placements = tracepoints.placements(
        ["ipc"], tracepoints.wanted_calls(["ipc"]), Rung.BPF_TRACEPOINT
    )
    points = (placement.point for placement in placements)
    events = [one.event for one in points if isinstance(one, tracepoints.Tracepoint)]
    assert events[:4] == [f"sys_exit_{name}" for name in ("connect", "bind", "mknod", "mknodat")]
    assert events[4:] == [f"sys_enter_{name}" for name in ("connect", "bind", "mknod", "mknodat")]


def test_unknown_calls_are_told_from_known(tmp_path: Path) -> None:
    """If it failed, a kernel without some system call would have no sensor."""
    known, unknown = tracepoints.SYSTEM_CALLS[:2]
    folder = tmp_path / "syscalls" / f"sys_enter_{known.name}"
    folder.mkdir(parents=True)
    (folder / "id").touch()
    assert tracepoints.is_known(tmp_path, known)
    assert not tracepoints.is_known(tmp_path, unknown)


@pytest.mark.parametrize(
    ("release", "code"),
    [("6.1.0-25-amd64", "6, 1, 0"), ("5.10", "5, 10, 0"), ("6.18.44-fc", "6, 18, 44")],
)
def test_version_of_the_kernel(release: str, code: str) -> None:
    """If it failed, BCC would take the kernel for another one."""
    text = kernel_source.files(release)["include/linux/version.h"]
    assert f"LINUX_VERSION_CODE KERNEL_VERSION({code})" in text


def test_generated_tree_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it failed, every start would leave a folder behind, and a changed environment."""
    monkeypatch.setenv(kernel_source.VARIABLE, "/elsewhere")
    with kernel_source.kernel_source():
        folder = Path(os.environ[kernel_source.VARIABLE])
        assert (folder / "include/linux/types.h").exists()
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()
    assert os.environ[kernel_source.VARIABLE] == "/elsewhere"


def test_trees_of_the_dead_are_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If it failed, every collector that is killed would leave a folder for good."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead = tmp_path / f"{kernel_source.PREFIX}{NO_PROCESS}-x" / "include"
    living = tmp_path / f"{kernel_source.PREFIX}{os.getpid()}-x"
    foreign = tmp_path / f"{kernel_source.PREFIX}other-x"
    for folder in (dead, living, foreign):
        folder.mkdir(parents=True)
    with kernel_source.kernel_source():
        assert not dead.parent.exists()
    assert living.exists()
    assert foreign.exists()


def test_each_ring_has_its_own_way_to_a_record() -> None:
    """If it failed, a Template Type could take records past the fair share, or another's."""
    text = "\n".join(program.sources(part(*EVERYTHING)))
    for name in EVERYTHING:
        assert text.count(f"BPF_RINGBUF_OUTPUT({name}_ring,") == 1
        assert text.count(f"{name}_ring.ringbuf_reserve(") == 1
        assert f"struct {name}_record *record = reserve_{name}();" in text
    assert "$" not in text
    assert "BPF_RINGBUF_OUTPUT" not in "\n".join(program.sources(part()))
