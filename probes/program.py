"""The text of the BPF program: generated parts, then the sources of the Template Types wanted.

What no Template Type needs is neither compiled nor attached. Lineage always is.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from content.definitions import RUNG_NUMBERS, Rung, TemplateType
from content.prevention_table import C_CONSTANTS, MAP_NAME
from probes.counters import CounterSlot
from probes.errors import ProbeError, ProbeReason
from probes.layout import header_text
from probes.limits import LIMITS, NANOSECONDS_PER_SECOND
from probes.tracepoints import wanted_calls

FOLDER = Path(__file__).parent

BPF_RUNGS = (Rung.BPF_BTF, Rung.BPF_TRACEPOINT)

BEFORE: Mapping[Rung, tuple[str, ...]] = {
    Rung.BPF_BTF: ("common.bpf.h", "members.bpf.h"),
    Rung.BPF_TRACEPOINT: ("common.bpf.h",),
}
PENDING = ("pending.bpf.h", "objects{}.bpf.h")
LINEAGE = ("lineage.bpf.h", "lineage{}.bpf.c")
SOCKETS = ("socket.bpf.h", "socket_objects{}.bpf.h")
SOCKET_CALLS = (*SOCKETS, "socket_calls.bpf.h")
ALWAYS = "process"
"""Its source is always compiled, for it keeps lineage at every exec."""
ON_BOTH: Mapping[str, tuple[str, ...]] = {
    "file": ("file.bpf.c",),
    "network": (*SOCKET_CALLS, "network.bpf.c"),
    "ipc": (*SOCKET_CALLS, "ipc.bpf.c"),
}
SOURCES: Mapping[Rung, Mapping[str, tuple[str, ...]]] = {
    Rung.BPF_BTF: {
        "privilege": ("privilege.bpf.c",),
        "memory": ("memory.bpf.c",),
        "process": ("directory.bpf.h", "prevention.bpf.h", "process.bpf.c"),
        **ON_BOTH,
        "exit": ("exit.bpf.c",),
        "module": ("module.bpf.c",),
        "process_access": ("target.bpf.h", "process_access.bpf.c"),
        "dns": (*SOCKETS, "dns_message.bpf.h", "dns.bpf.c"),
    },
    Rung.BPF_TRACEPOINT: {"process": ("process.tracepoint.bpf.c",), **ON_BOTH},
}
"""By rung and Template Type, in the order in which they are compiled: process calls what reports
execs. `{}` is where a name says for which rung a file is, if it is not for both."""

SOCKET_TYPES = frozenset({"network", "ipc"})
AFTER_SOCKETS = ("socket.bpf.c",)

SUFFIXES: Mapping[Rung, str] = {Rung.BPF_BTF: "", Rung.BPF_TRACEPOINT: ".tracepoint"}

REGISTERS: Mapping[str, tuple[str, str]] = {
    "x86_64": ("152", "((read_u64((registers) + 136) & 0xffff) == 0x23)"),
    "aarch64": ("248", "(read_u64((registers) + 264) & 0x10)"),
}
"""By machine: where struct pt_regs, which is an interface to user space, has the stack pointer; and
whether the program is a 32-bit one."""

KERNEL_MEMBERS = tuple(
    (structure, member)
    for structure, members in (
        ("task_struct", "pid tgid comm real_parent group_leader start_boottime"),
        ("task_struct", "mm real_cred files fs signal flags exit_code thread_pid pid_links"),
        ("task_struct", "loginuid sessionid cgroups"),
        ("signal_struct", "live nr_threads flags group_exit_code"),
        ("mm_struct", "arg_start arg_end exe_file"),
        ("cred", "uid gid euid egid cap_effective"),
        ("linux_binprm", "filename argc file per_clear"),
        ("fs_struct", "pwd"),
        ("path", "mnt dentry"),
        ("dentry", "d_parent d_name"),
        ("qstr", "name len"),
        ("vfsmount", "mnt_root"),
        ("mount", "mnt mnt_parent mnt_mountpoint"),
        ("css_set", "dfl_cgrp"),
        ("cgroup", "kn"),
        ("kernfs_node", "name"),
        ("files_struct", "fdt"),
        ("fdtable", "fd max_fds"),
        ("file", "f_mode private_data f_inode f_path f_cred"),
        ("inode", "i_nlink i_private"),
        ("pid", "level numbers tasks"),
        ("upid", "nr ns"),
        ("pid_namespace", "idr"),
        ("idr", "idr_rt"),
        ("xarray", "xa_head"),
        ("xa_node", "shift slots"),
        ("socket", "sk"),
        ("sock", "sk_type"),
        (
            "sock_common",
            "skc_family skc_dport skc_num skc_daddr skc_rcv_saddr skc_v6_daddr skc_v6_rcv_saddr",
        ),
    )
    for member in members.split()
)
"""Members of kernel structs that the programs read, found in BTF. sock begins with sock_common."""

OPTIONAL_MEMBERS = frozenset(
    {
        # Without IPv6, no socket ever makes the programs read them.
        ("sock_common", "skc_v6_daddr"),
        ("sock_common", "skc_v6_rcv_saddr"),
        # Without audit, login_user_id and session_id stay absent.
        ("task_struct", "loginuid"),
        ("task_struct", "sessionid"),
        # Without control groups, cgroup_name stays absent.
        ("task_struct", "cgroups"),
        ("css_set", "dfl_cgrp"),
        ("cgroup", "kn"),
    }
)
"""What a kernel may have been built without: its offset is 0, which no such member really has."""

TYPED_TASK_HELPER = "BPF_FUNC_get_current_task_btf"
"""Since kernel 5.11: the current task as a pointer whose type the verifier knows."""


def watches_calls(wanted: Collection[str]) -> bool:
    """Whether any of these Template Types needs to remember system calls that are under way."""
    return any(wanted_calls(wanted))


def shared_maps(wanted: Collection[str], rung: Rung) -> tuple[str, ...]:
    """Maps of the program beside rings and counters that whoever holds the collection needs."""
    return (MAP_NAME,) if rung is Rung.BPF_BTF and ALWAYS in wanted else ()


def source_names(wanted: Collection[str], rung: Rung = Rung.BPF_BTF) -> tuple[str, ...]:
    """Files of the program for these Template Types, in the order in which they are compiled."""
    pending = PENDING if watches_calls(wanted) else ()
    names = [*BEFORE[rung], *pending, *LINEAGE]
    for name, files in SOURCES[rung].items():
        if name in wanted or name == ALWAYS:
            names += [source for source in files if source not in names]
    if SOCKET_TYPES.intersection(wanted):
        names += AFTER_SOCKETS
    return tuple(name.format(SUFFIXES[rung]) for name in names)


def sources(wanted: Collection[str], rung: Rung = Rung.BPF_BTF) -> list[str]:
    """Text of those files."""
    return [(FOLDER / name).read_text(encoding="utf-8") for name in source_names(wanted, rung)]


def offsets_text(offsets: Mapping[tuple[str, str], int], *, typed_task: bool) -> str:
    """What rung bpf_btf knows of the kernel.

    offsets: of KERNEL_MEMBERS. typed_task: whether the kernel has TYPED_TASK_HELPER.
    """
    lines = [
        f"#define OFFSET_{structure}_{member} {offset}\n"
        for (structure, member), offset in offsets.items()
    ]
    if typed_task:
        lines.append("#define TYPED_TASK 1\n")
    return "".join(lines)


def registers_text(machine: str) -> str:
    """Where the registers are that rung bpf_tracepoint reads; ProbeError for another machine."""
    if machine not in REGISTERS:
        detail = f"registers of {machine} are not known, only those of {', '.join(REGISTERS)}"
        raise ProbeError(ProbeReason.RUNG_NOT_SUPPORTED, detail)
    stack_pointer, runs_32_bit = REGISTERS[machine]
    return (
        f"#define REGISTER_STACK_POINTER {stack_pointer}\n"
        f"#define RUNS_32_BIT(registers) {runs_32_bit}\n"
    )


def program_text(
    template_types: Sequence[TemplateType],
    counted: Sequence[CounterSlot],
    ring_bytes: Mapping[str, int],
    kernel: str,
    rung: Rung = Rung.BPF_BTF,
) -> str:
    """One translation unit.

    template_types: all that are defined. ring_bytes: name → bytes of ring for the types wanted.
    kernel: what is known of this kernel, as C: offsets_text, or structs of tracepoints and
    registers_text.
    """
    page = os.sysconf("SC_PAGE_SIZE")
    ticks = os.sysconf("SC_CLK_TCK")
    lines = [
        f"#define RUNG {RUNG_NUMBERS[rung]}",
        f"#define LINEAGE_ENTRIES {LIMITS.lineage_entries}",
        f"#define ENDED_PROCESSES {LIMITS.ended_processes}",
        f"#define STARTING_PROCESSES {LIMITS.starting_processes}",
        f"#define NANOSECONDS_PER_TICK {NANOSECONDS_PER_SECOND // ticks}ULL",
        *(f"#define {name} {value}" for name, value in C_CONSTANTS.items()),
    ]
    if watches_calls(ring_bytes):
        lines += [
            f"#define PENDING_CALLS {LIMITS.pending_calls}",
            f"#define PENDING_ACCESSES {LIMITS.pending_accesses}",
        ]
    for name, size in ring_bytes.items():
        lines += [f"#define SUPPLY_{name} 1", f"#define RING_PAGES_{name} {size // page}"]
    header = header_text(template_types, counted, rung)
    return "\n".join((*lines, header, kernel, *sources(ring_bytes, rung)))
