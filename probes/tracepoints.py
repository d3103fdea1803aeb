"""Where the BPF programs are attached: one table, by Template Type.

Programs of a tracepoint run in the order in which they were attached. Lineage is always the first,
on the tracepoints of fork, exec and the end of a process. What reports execs and exits comes after
it with programs of its own, one for each Template Type, so that it can be attached later, or
detached, without the others. At an exec lineage's program calls those of its own load: four that
are attached would take four times what the kernel does around one.

Everything else is a pair of sys_enter and sys_exit tracepoints of one system call for one Template
Type. A kernel without some system call (arm64 has no `open`, 6.1 no `fchmodat2`, one that can't
load modules no `init_module`) has no tracepoint for it either: it is left out and reported as
missing.

Raw tracepoints, whose arguments are the kernel's own structs, serve where BTF says how to read them
or nobody looks at them, tracepoints that describe themselves elsewhere.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeGuard

from content.definitions import Rung

CATEGORY = "syscalls"
EXEC = "sched_process_exec"


@dataclass(frozen=True, slots=True)
class RawTracepoint:
    """A raw tracepoint and the BPF function that runs there."""

    event: str
    function: str


@dataclass(frozen=True, slots=True)
class Tracepoint:
    """A tracepoint with a described layout, and the BPF function that runs there."""

    category: str
    event: str
    function: str


Point = RawTracepoint | Tracepoint


@dataclass(frozen=True, slots=True)
class TailCall:
    """A BPF function that others call at their end; caller: where one of them runs.

    It lies in a map named like it. The kernel empties that map when its last descriptor is closed:
    this descriptor is what keeps the program attached.
    """

    caller: Point
    function: str


@dataclass(frozen=True, slots=True)
class SystemCall:
    """A system call, the functions at its entry and exit, and the Template Type they supply."""

    name: str
    enter: str
    exit: str
    template_type: str


def _calls(names: str, exit_function: str, template_type: str) -> tuple[SystemCall, ...]:
    return tuple(
        SystemCall(name, f"enter_{name}", exit_function, template_type) for name in names.split()
    )


LINEAGE: Mapping[Rung, tuple[Point, ...]] = MappingProxyType(
    {
        Rung.BPF_BTF: (
            RawTracepoint("sched_process_fork", "on_fork"),
            RawTracepoint(EXEC, "on_exec"),
            RawTracepoint("sched_process_free", "on_free"),
        ),
        # The return of an exec is attached before the exec, so that none is left unfinished.
        Rung.BPF_TRACEPOINT: (
            RawTracepoint("sys_exit", "on_return"),
            Tracepoint("task", "task_newtask", "on_new_task"),
            Tracepoint("sched", "sched_process_exec", "on_exec"),
            Tracepoint("sched", "sched_process_exit", "on_exit"),
        ),
    }
)
"""In the order in which they are attached."""

REPORTS: Mapping[Rung, Mapping[str, tuple[Point, ...]]] = MappingProxyType(
    {
        Rung.BPF_BTF: {
            "process": (RawTracepoint(EXEC, "on_exec_process"),),
            "exit": (RawTracepoint("sched_process_exit", "on_exit"),),
            "privilege": (RawTracepoint(EXEC, "on_exec_privilege"),),
            "memory": (RawTracepoint(EXEC, "on_exec_memory"),),
        },
        Rung.BPF_TRACEPOINT: {
            "process": (
                RawTracepoint("sys_exit", "on_return_process"),
                Tracepoint("sched", "sched_process_exec", "on_exec_process"),
                Tracepoint("sched", "sched_process_exit", "on_exit_process"),
            ),
        },
    }
)
"""By Template Type, what reports execs and exits."""

CALLED: Mapping[str, tuple[TailCall, ...]] = MappingProxyType(
    {
        "process_access": (
            TailCall(Tracepoint(CATEGORY, "sys_enter_kill", "enter_kill"), "remember_access"),
        )
    }
)
"""By Template Type, what its programs at the entries of system calls share; to compile it once for
each of them would take longer than all else of that type."""

FORGET = RawTracepoint("sched_process_exit", "forget_calls")
"""Where a load watches system calls: forgets those that a thread died in."""

SYSTEM_CALLS = (
    *_calls("open openat openat2 creat", "exit_file", "file"),
    *_calls("unlink unlinkat rename renameat renameat2", "exit_file", "file"),
    *_calls("chmod fchmod fchmodat fchmodat2", "exit_file", "file"),
    *_calls("connect bind accept", "exit_network", "network"),
    SystemCall("accept4", "enter_accept", "exit_network", "network"),
    SystemCall("connect", "enter_connect_unix", "exit_unix", "ipc"),
    SystemCall("bind", "enter_bind_unix", "exit_unix", "ipc"),
    *_calls("mknod mknodat", "exit_fifo", "ipc"),
    *_calls("setuid setgid setreuid setregid setresuid setresgid", "exit_privilege", "privilege"),
    *_calls("setfsuid setfsgid setgroups capset", "exit_privilege", "privilege"),
    *_calls("init_module finit_module delete_module bpf", "exit_module", "module"),
    *_calls("ptrace process_vm_readv process_vm_writev", "exit_access", "process_access"),
    *_calls("pidfd_getfd pidfd_send_signal kill tgkill", "exit_access", "process_access"),
    SystemCall("tkill", "enter_kill", "exit_access", "process_access"),
    SystemCall("rt_sigqueueinfo", "enter_kill", "exit_access", "process_access"),
    SystemCall("rt_tgsigqueueinfo", "enter_tgkill", "exit_access", "process_access"),
    *_calls("mmap mprotect memfd_create", "exit_memory", "memory"),
    SystemCall("pkey_mprotect", "enter_mprotect", "exit_memory", "memory"),
    *_calls("sendto sendmsg sendmmsg writev", "exit_send", "dns"),
)


ENTRY_SPARED = frozenset(
    "enter_openat enter_connect enter_bind enter_connect_unix enter_bind_unix enter_mmap "
    "enter_mprotect".split()
)
"""Programs at an entry that nobody needs where the one at the exit can read the registers with
which the kernel was entered."""


def wanted_calls(template_types: Collection[str]) -> Iterator[SystemCall]:
    """The system calls that supply any of these Template Types."""
    return (call for call in SYSTEM_CALLS if call.template_type in template_types)


def is_known(events: Path, call: SystemCall) -> bool:
    """Whether this kernel has the tracepoints of a system call, below tracefs' events folder."""
    return (events / CATEGORY / f"sys_enter_{call.name}" / "id").exists()


@dataclass(frozen=True, slots=True)
class Placement:
    """A program at a tracepoint, and the Template Types that it is there for; none: lineage."""

    point: Point | TailCall
    serves: tuple[str, ...]


def placements(
    wanted: Collection[str],
    calls: Iterable[SystemCall],
    rung: Rung,
    *,
    reads_registers: bool = False,
    keeps_lineage: bool = False,
) -> list[Placement]:
    """Everything but lineage for these Template Types, in the order in which it is attached.

    calls: those that this kernel has. reads_registers: whether ENTRY_SPARED holds here.
    keeps_lineage: whether the same load does. Exits come before entries, so that no exit is missed.
    """
    known = list(calls)
    spared = ENTRY_SPARED if reads_registers else frozenset()
    reports = [
        Placement(_called(point) if keeps_lineage else point, (name,))
        for name, points in REPORTS[rung].items()
        if name in wanted
        for point in points
    ]
    served = tuple(dict.fromkeys(call.template_type for call in known))
    forget = [Placement(FORGET, served)] if known else []
    ends = [_placement(call, "sys_exit", call.exit) for call in known]
    entered = [call for call in known if call.enter not in spared]
    begins = [_placement(call, "sys_enter", call.enter) for call in entered]
    called = [Placement(call, (name,)) for name in served for call in CALLED.get(name, ())]
    return [*reports, *forget, *ends, *called, *begins]


def at_exec() -> tuple[str, ...]:
    """In rung bpf_btf: lineage's own function, and those that it calls where it does, in order."""
    rung = Rung.BPF_BTF
    points = (point for points in (LINEAGE[rung], *REPORTS[rung].values()) for point in points)
    return tuple(point.function for point in points if _is_at_exec(point))


def _called(point: Point) -> Point | TailCall:
    """What reports an exec, called by lineage's program."""
    lineage = next(one for one in LINEAGE[Rung.BPF_BTF] if _is_at_exec(one))
    return TailCall(lineage, point.function) if _is_at_exec(point) else point


def _is_at_exec(point: Point) -> TypeGuard[RawTracepoint]:
    return isinstance(point, RawTracepoint) and point.event == EXEC


def _placement(call: SystemCall, side: str, function: str) -> Placement:
    return Placement(Tracepoint(CATEGORY, f"{side}_{call.name}", function), (call.template_type,))
