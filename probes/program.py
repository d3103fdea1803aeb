"""The text of the BPF program: generated parts, then the sources of the Template Types wanted.

What no Template Type needs is neither compiled nor attached. Lineage always is.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from content.definitions import TemplateType
from probes.counters import CounterSlot
from probes.layout import header_text
from probes.limits import LIMITS, NANOSECONDS_PER_SECOND

FOLDER = Path(__file__).parent

BEFORE = ("common.bpf.h",)
PENDING = ("pending.bpf.h",)
LINEAGE = ("lineage.bpf.c",)
SOURCES: Mapping[str, tuple[str, ...]] = {
    "memory": ("memory.bpf.c",),
    "process": ("process.bpf.c",),
    "file": ("file.bpf.c",),
    "network": ("socket.bpf.h", "network.bpf.c"),
    "ipc": ("socket.bpf.h", "ipc.bpf.c"),
    "process_access": ("target.bpf.h", "process_access.bpf.c"),
    "dns": ("socket.bpf.h", "dns_message.bpf.h", "dns.bpf.c"),
}
"""In the order in which they are compiled: what happens at an exec calls what memory reports."""
SOCKET_TYPES = frozenset({"network", "ipc"})
AFTER_SOCKETS = ("socket.bpf.c",)

KERNEL_MEMBERS = tuple(
    (structure, member)
    for structure, members in (
        ("task_struct", "pid tgid comm real_parent group_leader start_boottime"),
        ("task_struct", "mm real_cred files signal thread_pid pid_links"),
        ("signal_struct", "live"),
        ("mm_struct", "arg_start arg_end"),
        ("cred", "uid"),
        ("linux_binprm", "filename argc file"),
        ("files_struct", "fdt"),
        ("fdtable", "fd max_fds"),
        ("file", "f_mode private_data f_inode f_path"),
        ("inode", "i_nlink i_private"),
        ("path", "dentry"),
        ("dentry", "d_name"),
        ("qstr", "name"),
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

IPV6_MEMBERS = frozenset({("sock_common", "skc_v6_daddr"), ("sock_common", "skc_v6_rcv_saddr")})
"""Absent in a kernel without IPv6, where no socket ever makes the programs read them."""


def source_names(wanted: Collection[str]) -> tuple[str, ...]:
    """Files of the program for these Template Types, in the order in which they are compiled."""
    pending = PENDING if set(wanted) - {"process"} else ()
    names = [*BEFORE, *pending, *LINEAGE]
    for name, files in SOURCES.items():
        if name in wanted or name == "process":
            names += [source for source in files if source not in names]
    if SOCKET_TYPES.intersection(wanted):
        names += AFTER_SOCKETS
    return tuple(names)


def sources(wanted: Collection[str]) -> list[str]:
    """Text of those files."""
    return [(FOLDER / name).read_text(encoding="utf-8") for name in source_names(wanted)]


def program_text(
    template_types: Sequence[TemplateType],
    counted: Sequence[CounterSlot],
    ring_bytes: Mapping[str, int],
    offsets: Mapping[tuple[str, str], int],
) -> str:
    """One translation unit.

    template_types: all that are defined. ring_bytes: name → bytes of ring for the types wanted.
    offsets: of KERNEL_MEMBERS.
    """
    page = os.sysconf("SC_PAGE_SIZE")
    ticks = os.sysconf("SC_CLK_TCK")
    lines = [
        f"#define LINEAGE_ENTRIES {LIMITS.lineage_entries}",
        f"#define NANOSECONDS_PER_TICK {NANOSECONDS_PER_SECOND // ticks}ULL",
    ]
    if set(ring_bytes) - {"process"}:
        lines += [
            f"#define PENDING_CALLS {LIMITS.pending_calls}",
            f"#define PENDING_ACCESSES {LIMITS.pending_accesses}",
        ]
    for (structure, member), offset in offsets.items():
        lines.append(f"#define OFFSET_{structure}_{member} {offset}")
    for name, size in ring_bytes.items():
        lines += [f"#define SUPPLY_{name} 1", f"#define RING_PAGES_{name} {size // page}"]
    return "\n".join((*lines, header_text(template_types, counted), *sources(ring_bytes)))
