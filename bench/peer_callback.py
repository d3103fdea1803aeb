"""What most sensors in Python do: a BPF ring, and BCC's callback that decodes each record.

A peer for `bench.host_cost`, in a process of its own: opens for writing, execs and connects, with
pid, user, flags, time, comm and path each. Says "ready" when attached; at SIGTERM it empties its
ring and prints how many of each kind it has decoded and how many found no room.
"""

import collections
import ctypes
import json
import signal
import sys
from collections.abc import Callable
from typing import Any

from probes.kernel_source import kernel_source
from probes.tracefs import mount_privately

KINDS = ("open", "exec", "connect")
POLL_MILLISECONDS = 100

COMPILER_FLAGS = ["-Dumode_t=short"]
"""A type of the kernel's own that the arguments of openat have, and headers would bring."""

PROGRAM = r"""
struct event {
    u64 time;
    u32 kind, pid, uid, flags;
    char comm[16];
    char path[256];
};
BPF_RINGBUF_OUTPUT(events, 4096);
BPF_ARRAY(lost, u64, 3);

static struct event *begin(u32 kind, u32 flags)
{
    struct event *event = events.ringbuf_reserve(sizeof(struct event));
    if (!event) {
        int slot = kind;
        u64 *count = lost.lookup(&slot);
        if (count)
            lock_xadd(count, 1);
        return 0;
    }
    event->time = bpf_ktime_get_ns();
    event->kind = kind;
    event->pid = bpf_get_current_pid_tgid() >> 32;
    event->uid = bpf_get_current_uid_gid();
    event->flags = flags;
    event->path[0] = 0;
    bpf_get_current_comm(event->comm, sizeof(event->comm));
    return event;
}

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
    if (!(args->flags & 3))
        return 0;
    struct event *event = begin(0, args->flags);
    if (!event)
        return 0;
    bpf_probe_read_user_str(event->path, sizeof(event->path), args->filename);
    events.ringbuf_submit(event, 0);
    return 0;
}

TRACEPOINT_PROBE(sched, sched_process_exec)
{
    struct event *event = begin(1, 0);
    if (!event)
        return 0;
    TP_DATA_LOC_READ_CONST(event->path, filename, 255);
    events.ringbuf_submit(event, 0);
    return 0;
}

TRACEPOINT_PROBE(syscalls, sys_enter_connect)
{
    struct event *event = begin(2, args->fd);
    if (event)
        events.ringbuf_submit(event, 0);
    return 0;
}
"""


def main() -> int:
    """Collect until SIGTERM."""
    mount_privately()
    import bcc  # noqa: PLC0415 - only this process needs it, and it is a Debian package

    with kernel_source():
        program = bcc.BPF(text=PROGRAM, cflags=COMPILER_FLAGS)
    counts: collections.Counter[int] = collections.Counter()
    ring = program["events"]
    ring.open_ring_buffer(_callback(ring, counts))
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopped.append(number))
    print("ready", flush=True)
    while not stopped:
        program.ring_buffer_poll(POLL_MILLISECONDS)
    program.ring_buffer_consume()
    lost = {name: program["lost"][ctypes.c_int(slot)].value for slot, name in enumerate(KINDS)}
    seen = {name: counts[slot] for slot, name in enumerate(KINDS)}
    print(json.dumps({"seen": seen, "lost": sum(lost.values())}), flush=True)
    return 0


def _callback(ring: Any, counts: collections.Counter[int]) -> Callable[[Any, Any, int], None]:
    fields: list[Any] = []

    def decode(_context: Any, data: Any, _size: int) -> None:
        event = ring.event(data)
        path, comm = event.path.decode("utf-8", "replace"), event.comm.decode("utf-8", "replace")
        fields[:] = [event.time, event.pid, event.uid, event.flags, comm, path]
        counts[event.kind] += 1

    return decode


if __name__ == "__main__":
    sys.exit(main())
