"""The text of the BPF program: generated parts, then the sources of the Template Types wanted.

What no Template Type needs is neither compiled nor attached. Lineage always is.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from content.definitions import RUNG_NUMBERS, Rung, TemplateType
from probes.counters import CounterSlot
from probes.errors import ProbeError, ProbeReason
from probes.layout import header_text
from probes.limits import LIMITS, NANOSECONDS_PER_SECOND

FOLDER = Path(__file__).parent

BPF_RUNGS = (Rung.BPF_BTF, Rung.BPF_TRACEPOINT)

BEFORE = ("common.bpf.h",)
PENDING = ("pending.bpf.h", "objects{}.bpf.h")
LINEAGE = ("lineage.bpf.h", "lineage{}.bpf.c", "process{}.bpf.c")
SOCKETS = ("socket.bpf.h", "socket_objects{}.bpf.h", "socket_calls.bpf.h")
SOURCES: Mapping[str, tuple[str, ...]] = {
    "file": ("file.bpf.c",),
    "network": (*SOCKETS, "network.bpf.c"),
    "ipc": (*SOCKETS, "ipc.bpf.c"),
}
"""`{}` is where a name says for which rung a file is, if it is not for all."""

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
        ("task_struct", "mm real_cred files signal"),
        ("signal_struct", "live"),
        ("mm_struct", "arg_start arg_end"),
        ("cred", "uid"),
        ("linux_binprm", "filename argc"),
        ("files_struct", "fdt"),
        ("fdtable", "fd max_fds"),
        ("file", "f_mode private_data"),
        ("socket", "sk"),
        (
            "sock_common",
            "skc_family skc_dport skc_num skc_daddr skc_rcv_saddr skc_v6_daddr skc_v6_rcv_saddr",
        ),
    )
    for member in members.split()
)
"""Members of kernel structs that the programs read, found in BTF. sock begins with sock_common."""

IPV6_MEMBERS = frozenset({("sock_common", "skc_v6_daddr"), ("sock_common", "skc_v6_rcv_saddr")})
"""Absent in a kernel without IPv6, where no socket ever makes the programs read them."""


def source_names(wanted: Collection[str], rung: Rung = Rung.BPF_BTF) -> tuple[str, ...]:
    """Files of the program for these Template Types, in the order in which they are compiled."""
    pending = PENDING if set(wanted) - {"process"} else ()
    names = [*BEFORE, *pending, *LINEAGE]
    for name in ("file", "network", "ipc"):
        if name in wanted:
            names += [source for source in SOURCES[name] if source not in names]
    if SOCKET_TYPES.intersection(wanted):
        names += AFTER_SOCKETS
    return tuple(name.format(SUFFIXES[rung]) for name in names)


def sources(wanted: Collection[str], rung: Rung = Rung.BPF_BTF) -> list[str]:
    """Text of those files."""
    return [(FOLDER / name).read_text(encoding="utf-8") for name in source_names(wanted, rung)]


def offsets_text(offsets: Mapping[tuple[str, str], int]) -> str:
    """Where KERNEL_MEMBERS are: what rung bpf_btf knows of the kernel."""
    return "".join(
        f"#define OFFSET_{structure}_{member} {offset}\n"
        for (structure, member), offset in offsets.items()
    )


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
        f"#define STARTING_PROCESSES {LIMITS.starting_processes}",
        f"#define NANOSECONDS_PER_TICK {NANOSECONDS_PER_SECOND // ticks}ULL",
    ]
    if set(ring_bytes) - {"process"}:
        lines.append(f"#define PENDING_CALLS {LIMITS.pending_calls}")
    for name, size in ring_bytes.items():
        lines += [f"#define SUPPLY_{name} 1", f"#define RING_PAGES_{name} {size // page}"]
    header = header_text(template_types, counted, rung)
    return "\n".join((*lines, header, kernel, *sources(ring_bytes, rung)))
