"""Where the BPF programs are attached: one table, by Template Type.

A few keep lineage and report execs and exits: raw tracepoints whose arguments are the kernel's own
structs where BTF says how to read them, else tracepoints that describe themselves. Everything else
is a pair of sys_enter and sys_exit tracepoints of one system call. A kernel without some system
call (arm64 has no `open`, 6.1 no `fchmodat2`, one that can't load modules no `init_module`) has no
tracepoint for it either: it is left out and reported as missing.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from content.definitions import Rung

CATEGORY = "syscalls"


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


@dataclass(frozen=True, slots=True)
class SystemCall:
    """A system call, the functions at its entry and exit, and the Template Types it supplies."""

    name: str
    enter: str
    exit: str
    template_types: frozenset[str]


def _calls(names: str, exit_function: str, *template_types: str) -> tuple[SystemCall, ...]:
    supplied = frozenset(template_types)
    return tuple(
        SystemCall(name, f"enter_{name}", exit_function, supplied) for name in names.split()
    )


LINEAGE: Mapping[Rung, tuple[RawTracepoint | Tracepoint, ...]] = MappingProxyType(
    {
        Rung.BPF_BTF: (
            RawTracepoint("sched_process_fork", "on_fork"),
            RawTracepoint("sched_process_exec", "on_exec"),
            RawTracepoint("sched_process_exit", "on_exit"),
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

SYSTEM_CALLS = (
    *_calls("open openat openat2 creat", "exit_file", "file"),
    *_calls("unlink unlinkat rename renameat renameat2", "exit_file", "file"),
    *_calls("chmod fchmod fchmodat fchmodat2", "exit_file", "file"),
    *_calls("connect bind", "exit_socket", "network", "ipc"),
    SystemCall("accept", "enter_accept", "exit_socket", frozenset({"network"})),
    SystemCall("accept4", "enter_accept", "exit_socket", frozenset({"network"})),
    *_calls("mknod mknodat", "exit_fifo", "ipc"),
    *_calls("setuid setgid setreuid setregid setresuid setresgid", "exit_privilege", "privilege"),
    *_calls("setfsuid setfsgid setgroups capset", "exit_privilege", "privilege"),
    *_calls("init_module finit_module delete_module bpf", "exit_module", "module"),
    *_calls("ptrace process_vm_readv process_vm_writev", "exit_access", "process_access"),
    *_calls("pidfd_getfd pidfd_send_signal kill tkill tgkill", "exit_access", "process_access"),
    SystemCall("rt_sigqueueinfo", "enter_tkill", "exit_access", frozenset({"process_access"})),
    SystemCall("rt_tgsigqueueinfo", "enter_tgkill", "exit_access", frozenset({"process_access"})),
    *_calls("mmap mprotect memfd_create", "exit_memory", "memory"),
    SystemCall("pkey_mprotect", "enter_mprotect", "exit_memory", frozenset({"memory"})),
    *_calls("sendto sendmsg sendmmsg writev", "exit_send", "dns"),
)


def wanted_calls(template_types: Collection[str]) -> Iterator[SystemCall]:
    """The system calls that supply any of these Template Types."""
    return (call for call in SYSTEM_CALLS if call.template_types.intersection(template_types))


def is_known(events: Path, call: SystemCall) -> bool:
    """Whether this kernel has the tracepoints of a system call, below tracefs' events folder."""
    return (events / CATEGORY / f"sys_enter_{call.name}" / "id").exists()
