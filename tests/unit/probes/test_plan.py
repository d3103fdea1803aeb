"""What a load consists of, decided before anything is compiled."""

from pathlib import Path

import pytest

from content.definitions import Rung, load_definitions
from probes import tracepoints
from probes.errors import ProbeError, ProbeReason
from probes.limits import LIMITS
from probes.plan import Host, Plan, plan
from probes.program import Surroundings
from probes.shared_maps import COUNTERS, LINEAGE, PENDING, PREVENTION, named

TYPES = load_definitions()
NAMES = {one.name: one.number for one in TYPES.values()}
MAPS = {COUNTERS: 3, LINEAGE: 4, PENDING: 5, PREVENTION: 6}


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Tracefs of a kernel that has every system call but open."""
    for call in tracepoints.SYSTEM_CALLS:
        folder = tmp_path / "syscalls" / f"sys_enter_{call.name}"
        if call.name != "open" and not folder.exists():
            folder.mkdir(parents=True)
            (folder / "id").touch()
    return tmp_path


def planned(
    events: Path,
    *names: str,
    lineage: bool = True,
    processors: int = 2,
    reads_registers: bool = False,
) -> Plan:
    """A plan for these Template Types on rung bpf_btf."""
    sizes = {NAMES[name]: LIMITS.other_ring_bytes for name in names}
    return plan(
        tuple(TYPES.values()),
        sizes,
        Rung.BPF_BTF,
        Host(events, processors, reads_registers),
        keeps_lineage=lineage,
    )


def test_every_program_is_ordered_once(events: Path) -> None:
    """If it failed, a program would be missing when it is attached, or compiled for nothing."""
    whole = planned(events, *NAMES)
    orders = whole.orders(Surroundings(tuple(TYPES.values()), (), "", MAPS))
    ordered = [name for order in orders for name in order.functions]
    wanted = {one.point.function for one in (*whole.lineage, *whole.placements)}
    assert len(orders) == 2
    assert len(ordered) == len(set(ordered))
    assert set(ordered) == wanted
    for order in orders:
        assert all(f"int {name}(" in order.text for name in order.functions)
    assert sorted(name for order in orders for name in order.maps) == sorted(
        f"{name}_ring" for name in NAMES
    )


@pytest.mark.parametrize("reads_registers", [True, False])
@pytest.mark.parametrize(
    ("template_type", "call", "enter", "end"),
    [
        ("file", "openat", "enter_openat", "exit_file"),
        ("network", "connect", "enter_connect", "exit_network"),
        ("network", "bind", "enter_bind", "exit_network"),
        ("ipc", "connect", "enter_connect_unix", "exit_unix"),
        ("ipc", "bind", "enter_bind_unix", "exit_unix"),
        ("memory", "mmap", "enter_mmap", "exit_memory"),
        ("memory", "pkey_mprotect", "enter_mprotect", "exit_memory"),
    ],
)
def test_a_call_has_the_programs_that_the_kernel_allows(
    events: Path, template_type: str, call: str, enter: str, end: str, *, reads_registers: bool
) -> None:
    """If it failed, it would be reported twice, not at all, or by a program that is refused."""
    placed = planned(events, template_type, reads_registers=reads_registers).placements
    functions = {
        one.point.event: one.point.function
        for one in placed
        if isinstance(one.point, tracepoints.Tracepoint) and one.point.event.endswith(f"_{call}")
    }
    before = {} if reads_registers else {f"sys_enter_{call}": enter}
    assert functions == before | {f"sys_exit_{call}": end}


def test_what_the_kernel_lacks_is_named(events: Path) -> None:
    """If it failed, a call that nobody watches would be passed over in silence."""
    assert planned(events, "file").missing == ("open",)
    assert planned(events, "process").missing == ()


@pytest.mark.parametrize(
    ("names", "processors", "compilers"),
    [
        (NAMES, 2, 2),
        (NAMES, 1, 1),
        (("process", "ipc", "network"), 2, 2),
        (("process", "ipc"), 2, 1),
        ((), 2, 1),
    ],
)
def test_compilers(events: Path, names: tuple[str, ...], processors: int, compilers: int) -> None:
    """If it failed, a second compiler would cost more than it saves."""
    assert len(planned(events, *names, processors=processors).parts) == compilers


def test_who_joins_has_no_lineage(events: Path) -> None:
    """If it failed, two programs would keep the same map."""
    joining = planned(events, "exit", lineage=False)
    assert joining.lineage == ()
    assert [placement.serves for placement in joining.placements] == [("exit",)]
    assert not joining.watches_calls
    assert planned(events, "file", lineage=False).watches_calls


def test_who_keeps_lineage_calls_what_reports_execs(events: Path) -> None:
    """If it failed, an exec would be reported twice, or never, or cost four programs."""
    reports = ("on_exec_process", "on_exec_privilege", "on_exec_memory")
    whole, joining = planned(events, *NAMES), planned(events, *NAMES, lineage=False)
    assert tuple(call.function for call in whole.called) == (*reports, "remember_access")
    assert tuple(call.function for call in joining.called) == ("remember_access",)
    at_exec = [
        one.point.function
        for one in joining.placements
        if one.point in {tracepoints.RawTracepoint(tracepoints.EXEC, name) for name in reports}
    ]
    assert at_exec == list(reports)


def test_what_is_called_is_there_before_its_callers(events: Path) -> None:
    """If it failed, the first calls of a kind would be forgotten."""
    placed = [one.point.function for one in planned(events, "process_access").placements]
    assert placed.index("remember_access") < placed.index("enter_kill")


def test_no_system_call_at_all(tmp_path: Path) -> None:
    """If it failed, a kernel without these tracepoints would have a program for nothing."""
    lacking = planned(tmp_path, "privilege")
    assert lacking.missing
    assert {placement.point.function for placement in lacking.placements} == {"on_exec_privilege"}


@pytest.mark.parametrize(
    ("names", "descriptors"),
    [
        ([], [7]),
        (["lineage"], [7, 8]),
        (["lineage", "prevention"], [7, 8]),
        (["lineage", "prevention"], [7, 8, 9, 10]),
        (["lineage", "lineage"], [7, 8, 9]),
    ],
)
def test_maps_of_a_join_are_named_exactly(names: list[str], descriptors: list[int]) -> None:
    """If it failed, programs would be compiled with whatever has that descriptor."""
    with pytest.raises(ProbeError) as caught:
        named(names, descriptors, Rung.BPF_BTF)
    assert caught.value.reason is ProbeReason.SHARED_MAPS_UNEXPECTED
    given = named(["lineage", "prevention"], [7, 8, 9], Rung.BPF_BTF)
    assert given == {COUNTERS: 7, LINEAGE: 8, PREVENTION: 9}
    assert named(["lineage"], [7, 8], Rung.BPF_TRACEPOINT) == {COUNTERS: 7, LINEAGE: 8}
