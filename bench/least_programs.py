"""BPF programs that do nothing, or the least that reports an open or an exec: floors under ours.

Three more do one step each of what no report of an open can do without.

The least record has who acted (pid, user), when, the task's name and one path; ours has what came
of the call, the parent, arguments and command lines besides. Nobody reads its ring, which has room
for all records, and nobody is woken.
"""

from dataclasses import dataclass

from probes.tracepoints import Point, RawTracepoint, Tracepoint


@dataclass(frozen=True, slots=True)
class SmallProgram:
    """One function of `text`; `what` it is measured as."""

    what: str
    text: str
    point: Point


NOTHING_TEXT = "int nothing(void *ctx)\n{\n    return 0;\n}\n"

LEAST_TEXT = r"""
struct record {
    u64 time;
    u32 pid, user;
    char name[16];
    char path[256];
};
BPF_RINGBUF_OUTPUT(least, 8192);

static long (*read_user_string)(void *, u32, const void *) = (void *)BPF_FUNC_probe_read_user_str;
static long (*read_kernel_string)(void *, u32, const void *)
    = (void *)BPF_FUNC_probe_read_kernel_str;

static __always_inline struct record *begin(void)
{
    struct record *record = least.ringbuf_reserve(sizeof(struct record));
    if (!record)
        return 0;
    record->time = bpf_ktime_get_ns();
    record->pid = bpf_get_current_pid_tgid() >> 32;
    record->user = bpf_get_current_uid_gid();
    bpf_get_current_comm(record->name, sizeof(record->name));
    return record;
}

struct open {
    u64 common, number, folder, path, flags;
};

int least_at_open(struct open *call)
{
    struct record *record;
    if (!(call->flags & 3) || !(record = begin()))
        return 0;
    read_user_string(record->path, sizeof(record->path), (void *)call->path);
    least.ringbuf_submit(record, BPF_RB_NO_WAKEUP);
    return 0;
}

int room_at_open(struct open *call)
{
    struct record *record;
    if (!(call->flags & 3) || !(record = least.ringbuf_reserve(sizeof(struct record))))
        return 0;
    least.ringbuf_submit(record, BPF_RB_NO_WAKEUP);
    return 0;
}

int path_at_open(struct open *call)
{
    char path[256];
    if (call->flags & 3)
        read_user_string(path, sizeof(path), (void *)call->path);
    return 0;
}

int clock_at_open(struct open *call)
{
    return call->flags & 3 ? !bpf_ktime_get_ns() : 0;
}

struct exec {
    u64 common;
    u32 path_at; /* from the beginning of this, in the lower half */
};

int least_at_exec(struct exec *exec)
{
    struct record *record = begin();
    if (!record)
        return 0;
    read_kernel_string(record->path, sizeof(record->path), (void *)exec + (exec->path_at & 0xffff));
    least.ringbuf_submit(record, BPF_RB_NO_WAKEUP);
    return 0;
}
"""

AN_OPEN = (
    SmallProgram(
        "an empty program at an open",
        NOTHING_TEXT,
        Tracepoint("syscalls", "sys_exit_openat", "nothing"),
    ),
    SmallProgram(
        "the least program that reports an open for writing",
        LEAST_TEXT,
        Tracepoint("syscalls", "sys_enter_openat", "least_at_open"),
    ),
    *(
        SmallProgram(what, LEAST_TEXT, Tracepoint("syscalls", "sys_enter_openat", function))
        for what, function in (
            ("a program that takes room in a ring at an open for writing", "room_at_open"),
            ("a program that copies the path of an open for writing", "path_at_open"),
            ("a program that asks the time at an open for writing", "clock_at_open"),
        )
    ),
)
AN_EXEC = (
    SmallProgram(
        "an empty program at an exec",
        NOTHING_TEXT,
        RawTracepoint("sched_process_exec", "nothing"),
    ),
    SmallProgram(
        "the least program that reports an exec",
        LEAST_TEXT,
        Tracepoint("sched", "sched_process_exec", "least_at_exec"),
    ),
)
