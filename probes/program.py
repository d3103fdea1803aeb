"""The text of the BPF programs: generated parts, then the sources of the Template Types wanted.

What no Template Type needs is neither compiled nor attached. Lineage is kept by whoever is the
first to collect. Compilers that work at the same time get a part each: a translation unit that
stands for itself, because nothing is shared between units but maps that are there before.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from content import flooders
from content.definitions import RUNG_NUMBERS, Rung, TemplateType
from content.prevention_table import C_CONSTANTS
from probes import tracepoints
from probes.counters import CounterSlot
from probes.errors import ProbeError, ProbeReason
from probes.layout import header_text
from probes.limits import LIMITS, NANOSECONDS_PER_SECOND

FOLDER = Path(__file__).parent

CALL_BYTES = 64
"""Of what is remembered of a system call under way: struct call."""

BPF_RUNGS = (Rung.BPF_BTF, Rung.BPF_TRACEPOINT)

BEFORE: Mapping[Rung, tuple[str, ...]] = {
    Rung.BPF_BTF: ("common.bpf.h", "members.bpf.h", "shared.bpf.h"),
    Rung.BPF_TRACEPOINT: ("common.bpf.h", "shared.bpf.h"),
}
PENDING = ("pending.bpf.h", "objects{}.bpf.h")
ACTOR = ("lineage.bpf.h", "actor{}.bpf.h")
STARTING = "starting.tracepoint.bpf.h"
LINEAGE: Mapping[Rung, tuple[str, ...]] = {
    Rung.BPF_BTF: ("lineage.bpf.c",),
    Rung.BPF_TRACEPOINT: (STARTING, "lineage.tracepoint.bpf.c"),
}
FORGET = "forget.bpf.c"
SHARE = "share.bpf.h"
RING = "ring.bpf.h"
"""Written once for every Template Type wanted, with the type's name in it."""
SOCKETS = ("socket.bpf.h", "socket_objects{}.bpf.h")
SOCKET_CALLS = (*SOCKETS, "socket_calls.bpf.h")
ON_BOTH: Mapping[str, tuple[str, ...]] = {
    "file": ("file.bpf.c",),
    "network": (*SOCKET_CALLS, "network.bpf.c"),
    "ipc": (*SOCKET_CALLS, "ipc.bpf.c"),
}
SOURCES: Mapping[Rung, Mapping[str, tuple[str, ...]]] = {
    Rung.BPF_BTF: {
        "process": ("directory.bpf.h", "prevention.bpf.h", "process.bpf.c"),
        **ON_BOTH,
        "exit": ("exit.bpf.c",),
        "privilege": ("privilege.bpf.c",),
        "module": ("module.bpf.c",),
        "process_access": ("target.bpf.h", "process_access.bpf.c"),
        "memory": ("memory.bpf.c",),
        "dns": (*SOCKETS, "dns_message.bpf.h", "dns.bpf.c"),
    },
    Rung.BPF_TRACEPOINT: {"process": (STARTING, "process.tracepoint.bpf.c"), **ON_BOTH},
}
"""By rung and Template Type. `{}` is where a name says for which rung a file is, if it is not for
both."""

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
        ("task_struct", "mm real_cred cred files fs signal flags exit_code thread_pid pid_links"),
        ("task_struct", "loginuid sessionid cgroups"),
        ("signal_struct", "live nr_threads flags group_exit_code"),
        ("mm_struct", "arg_start arg_end exe_file"),
        ("cred", "uid gid euid egid cap_effective"),
        ("linux_binprm", "filename argc file per_clear"),
        ("fs_struct", "pwd"),
        ("path", "mnt dentry"),
        ("dentry", "d_parent d_name d_iname d_shortname"),
        ("qstr", "name len"),
        ("vfsmount", "mnt_root"),
        ("mount", "mnt mnt_parent mnt_mountpoint"),
        ("css_set", "dfl_cgrp"),
        ("cgroup", "kn"),
        ("kernfs_node", "name id"),
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
        ("pt_regs", "di si dx r8 r10"),
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
        # Named so before and since 6.14.
        ("dentry", "d_iname"),
        ("dentry", "d_shortname"),
        # Another machine's registers have other names.
        ("pt_regs", "di"),
        ("pt_regs", "si"),
        ("pt_regs", "dx"),
        ("pt_regs", "r8"),
        ("pt_regs", "r10"),
    }
)
"""What a kernel may have been built without: its offset is 0, which no such member really has."""

TYPED_TASK_HELPER = "BPF_FUNC_get_current_task_btf"
"""Since kernel 5.11: the current task as a pointer whose type the verifier knows."""

CALL_REGISTERS_HELPER = "BPF_FUNC_task_pt_regs"
"""Since kernel 5.15: the registers with which a task entered the kernel, of known type as well."""


def watches_calls(wanted: Collection[str]) -> bool:
    """Whether any of these Template Types needs to remember system calls that are under way."""
    return any(tracepoints.wanted_calls(wanted))


@dataclass(frozen=True, slots=True)
class Part:
    """One translation unit. ring_bytes: by name of the Template Types that it reports."""

    ring_bytes: Mapping[str, int]
    keeps_lineage: bool = False
    forgets: bool = False


def parts(
    ring_bytes: Mapping[str, int], rung: Rung, compilers: int, *, keeps_lineage: bool
) -> tuple[Part, ...]:
    """Share Template Types among so many compilers, which then need about the same time."""
    rest = list(ring_bytes)
    shares: list[list[str]] = [[] for _ in range(max(1, compilers))]
    begun = sum(map(_bytes_of, LINEAGE[rung])) if keeps_lineage else 0
    weights = [begun] + [0] * (len(shares) - 1)
    for name in sorted(rest, key=lambda one: (-_weight(one, rung), one)):
        least = weights.index(min(weights))
        shares[least].append(name)
        weights[least] += _weight(name, rung)
    return tuple(
        Part(
            {name: ring_bytes[name] for name in rest if name in share},
            keeps_lineage=keeps_lineage and not index,
            forgets=watches_calls(rest) and not index,
        )
        for index, share in enumerate(shares)
        if share or not index
    )


def _weight(name: str, rung: Rung) -> int:
    return sum(map(_bytes_of, SOURCES[rung].get(name, ())))


def _bytes_of(source: str) -> int:
    return (FOLDER / source.format("")).stat().st_size


def source_names(part: Part, rung: Rung = Rung.BPF_BTF) -> tuple[str, ...]:
    """Files of a part, in the order in which they are compiled."""
    pending = PENDING if watches_calls(part.ring_bytes) or part.forgets else ()
    lineage = LINEAGE[rung] if part.keeps_lineage else ()
    ring = (SHARE, RING) if part.ring_bytes else ()
    names = dict.fromkeys((*BEFORE[rung], *ACTOR, *pending, *lineage, *ring))
    for name, files in SOURCES[rung].items():
        if name in part.ring_bytes:
            names |= dict.fromkeys(files)
    if part.forgets:
        names[FORGET] = None
    return tuple(name.format(SUFFIXES[rung]) for name in names)


def sources(part: Part, rung: Rung = Rung.BPF_BTF) -> list[str]:
    """Text of those files."""
    found = []
    for name in source_names(part, rung):
        text = (FOLDER / name).read_text(encoding="utf-8")
        ring = Template(text) if name == RING else None
        found += [ring.substitute(type=one) for one in part.ring_bytes] if ring else [text]
    return found


def offsets_text(
    offsets: Mapping[tuple[str, str], int], *, typed_task: bool, call_registers: bool = False
) -> str:
    """What rung bpf_btf knows of the kernel.

    offsets: of KERNEL_MEMBERS. typed_task: whether the kernel has TYPED_TASK_HELPER.
    call_registers: whether it has CALL_REGISTERS_HELPER too, on a machine whose registers we know.
    """
    lines = [
        f"#define OFFSET_{structure}_{member} {offset}\n"
        for (structure, member), offset in offsets.items()
    ]
    if typed_task:
        lines.append("#define TYPED_TASK 1\n")
    if call_registers:
        lines.append("#define CALL_REGISTERS 1\n")
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


def _share_constants() -> list[str]:
    return [
        f"#define CROWDED(bytes) ((bytes) / 8 * {LIMITS.crowded_eighths})",
        f"#define SHARE_PARTS {LIMITS.share_parts}",
        f"#define SHARES {LIMITS.shares}",
        f"#define PID_BITS {flooders.PID_BITS}",
        f"#define FLOODER_PLACES {flooders.PLACES}",
        f"#define FLOODER_WORDS {flooders.PLACE_WORDS}",
        f"#define FLOODER_NS {flooders.KEPT_SECONDS * NANOSECONDS_PER_SECOND}ULL",
    ]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is the same in all parts of a load.

    template_types: all that are defined. kernel: what is known of this kernel, as C: offsets_text,
    or structs of tracepoints and registers_text. shared: descriptor of every map that is there.
    forgets_ipc: whether calls are remembered for ipc, by keys of its own.
    """

    template_types: Sequence[TemplateType]
    counted: Sequence[CounterSlot]
    kernel: str
    shared: Mapping[str, int]
    rung: Rung = Rung.BPF_BTF
    forgets_ipc: bool = False


def program_text(part: Part, around: Surroundings) -> str:
    """One translation unit."""
    ticks = os.sysconf("SC_CLK_TCK")
    lines = [
        f"#define RUNG {RUNG_NUMBERS[around.rung]}",
        f"#define ENDED_PROCESSES {LIMITS.ended_processes}",
        f"#define STARTING_PROCESSES {LIMITS.starting_processes}",
        f"#define PENDING_ACCESSES {LIMITS.pending_accesses}",
        f"#define CALL_BYTES {CALL_BYTES}",
        f"#define FORGETS_IPC {int(around.forgets_ipc)}",
        f"#define NANOSECONDS_PER_TICK {NANOSECONDS_PER_SECOND // ticks}ULL",
        *_share_constants(),
        *(f"#define {name} {value}" for name, value in C_CONSTANTS.items()),
        *(f"#define SHARED_{name} {descriptor}" for name, descriptor in around.shared.items()),
        *_calls_text(around.shared),
    ]
    for name, size in part.ring_bytes.items():
        lines += [f"#define SUPPLY_{name} 1", f"#define RING_BYTES_{name} {size}ULL"]
    header = header_text(around.template_types, around.counted, around.rung, part.ring_bytes)
    return "\n".join((*lines, header, around.kernel, *sources(part, around.rung)))


def _calls_text(shared: Mapping[str, int]) -> list[str]:
    """NEXT_function(ctx): what that program at an exec does at its end.

    It calls every one behind it, because a call returns only where there is no program.
    """
    lines = []
    behind = list(tracepoints.at_exec())
    while behind:
        function = behind.pop(0)
        calls = [f"TAIL_CALL(ctx, {one});" for one in behind if one in shared]
        lines.append(f"#define NEXT_{function}(ctx) do {{ {' '.join(calls)} }} while (NOTHING)")
    return lines
