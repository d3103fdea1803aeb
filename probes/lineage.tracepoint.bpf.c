/* Who a process is and who its parent is, from tracepoints and helpers alone.
 *
 * The same as lineage.bpf.c without a look into kernel structs. Nobody says when a process was
 * started, so the moment at which its fork was seen tells it from others that had its pid; the
 * parent is the one that forked it. When that one is gone the kernel has given the process another
 * parent, and nothing says which: then the record has no parent at all.
 *
 * A process is gone when all its threads are. They are counted for processes that began or were
 * executed under our eyes; an older one counts as gone when its first thread is.
 */

#define CLONE_PARENT 0x8000
#define CLONE_THREAD 0x10000
#define COMM_BYTES 16

struct actor {
    u64 pid_and_thread;
    u64 user_and_group;
    u32 parent_pid;
    struct lineage *self;
    struct lineage *parent;
};

/* The process that acts, as one word (content/flooders.py takes it apart). */
static __always_inline u64 own_process(void)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    struct lineage *self = lineage.lookup(&pid);
    u64 seen = self ? self->start_time / NANOSECONDS_PER_TICK : 0;
    return seen << PID_BITS | pid;
}

static __always_inline struct lineage *find_parent(struct lineage *self)
{
    u32 pid = self->parent_pid;
    struct lineage *parent = lineage.lookup(&pid);
    return parent && parent->start_time == self->parent_start_time ? parent : NULL;
}

static __always_inline void find_actor(struct actor *actor)
{
    actor->pid_and_thread = bpf_get_current_pid_tgid();
    actor->user_and_group = bpf_get_current_uid_gid();
    u32 pid = actor->pid_and_thread >> 32;
    actor->self = lineage.lookup(&pid);
    actor->parent = NULL;
    if (actor->self) {
        actor->parent_pid = actor->self->parent_pid;
        actor->parent = find_parent(actor->self);
    }
}

static __always_inline s64 copy_own_name(u8 *destination, u64 capacity, u64 unused)
{
    u64 length = 0;
    if (bpf_get_current_comm(destination, COMM_BYTES))
        return -1;
#pragma unroll
    for (u64 place = 0; place < COMM_BYTES; place++)
        length += length == place && destination[place];
    return length;
}

/* The fields that say who acted and who the parent is; image and command line come extra. */
#define ACTOR(type, record, actor)                                                           \
    do {                                                                                     \
        TEXT(type, record, name, copy_own_name, NOTHING);                                    \
        NUMBER(type, record, pid, (actor)->pid_and_thread >> 32);                            \
        NUMBER(type, record, thread_id, (u32)(actor)->pid_and_thread);                       \
        NUMBER(type, record, user_id, (u32)(actor)->user_and_group);                         \
        NUMBER(type, record, group_id, (actor)->user_and_group >> 32);                       \
        NUMBER(type, record, cgroup_id, bpf_get_current_cgroup_id());                        \
        if ((actor)->parent) {                                                               \
            NUMBER(type, record, parent_pid, (actor)->parent_pid);                           \
            TEXT(type, record, parent_image, copy_lineage_image, (actor)->parent);           \
            ARGUMENTS(type, record, parent_command_line, copy_lineage_command_line,          \
                      (actor)->parent);                                                      \
        }                                                                                    \
    } while (NOTHING)

int on_new_task(struct task_newtask *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u32 child = ctx->pid;
    struct lineage *entry = lineage.lookup(&pid);
    if (!entry)
        return 0; /* older than the sensor: both are added from /proc */
    if (ctx->clone_flags & CLONE_THREAD) {
        if (entry->threads)
            __sync_fetch_and_add(&entry->threads, 1);
        return 0;
    }
    u64 parent_start_time = entry->start_time;
    if (lineage.update(&child, entry)) {
        count_loss(COUNTER_LINEAGE_FULL);
        return 0;
    }
    entry = lineage.lookup(&child);
    if (!entry)
        return 0;
    entry->start_time = bpf_ktime_get_boot_ns();
    entry->threads = 1;
    if (!(ctx->clone_flags & CLONE_PARENT)) {
        entry->parent_pid = pid;
        entry->parent_start_time = parent_start_time;
    }
    return 0;
}

static __always_inline void forget_thread(u64 pid_and_thread)
{
    u32 pid = pid_and_thread >> 32;
    struct lineage *entry = lineage.lookup(&pid);
    if (!entry)
        return;
    if (entry->threads) {
        __sync_fetch_and_add(&entry->threads, -1);
        if (!entry->threads)
            lineage.delete(&pid);
    } else if (pid == (u32)pid_and_thread) {
        lineage.delete(&pid);
    }
}
