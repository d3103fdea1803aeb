/* Who a process is and who its parent is, for every record.
 *
 * The lineage map holds image and command line of every process, because a parent's memory can't
 * be read from its child. fork copies the entry, exec replaces it, the exit of a group's last
 * thread removes it. Processes older than the sensor are added from /proc by probes/seed.py once
 * these programs are attached, and only where the kernel has not written an entry meanwhile.
 *
 * An entry counts only while its start time is that of the process, so a recycled pid never
 * inherits a stranger's name. Start times are whole clock ticks, as /proc shows them.
 */

struct actor {
    u64 task;
    u64 start_time;
    u64 pid_and_thread;
    u64 user_and_group;
    u64 parent_start_time;
    u32 parent_pid;
    u32 parent_user_id;
    struct lineage *self;
    struct lineage *parent;
};

static __always_inline u64 process_start_time(u64 task)
{
    u64 leader = read_u64(task + OFFSET_task_struct_group_leader);
    u64 started = read_u64(leader + OFFSET_task_struct_start_boottime);
    return started - started % NANOSECONDS_PER_TICK;
}

static __always_inline struct lineage *find_lineage(u32 pid, u64 start_time)
{
    struct lineage *entry = lineage.lookup(&pid);
    return entry && entry->start_time == start_time ? entry : NULL;
}

static __always_inline void find_actor(struct actor *actor)
{
    actor->task = bpf_get_current_task();
    actor->start_time = process_start_time(actor->task);
    actor->pid_and_thread = bpf_get_current_pid_tgid();
    actor->user_and_group = bpf_get_current_uid_gid();
    u64 parent = read_u64(actor->task + OFFSET_task_struct_real_parent);
    u64 credentials = read_u64(parent + OFFSET_task_struct_real_cred);
    actor->parent_pid = read_u32(parent + OFFSET_task_struct_tgid);
    actor->parent_start_time = process_start_time(parent);
    actor->parent_user_id = read_u32(credentials + OFFSET_cred_uid);
    actor->self = find_lineage(actor->pid_and_thread >> 32, actor->start_time);
    actor->parent = find_lineage(actor->parent_pid, actor->parent_start_time);
}

/* The fields that say who acted and who the parent is; image and command line come extra. */
#define ACTOR(type, record, actor)                                                           \
    do {                                                                                     \
        TEXT(type, record, name, copy_kernel_string,                                         \
             (actor)->task + OFFSET_task_struct_comm);                                       \
        NUMBER(type, record, pid, (actor)->pid_and_thread >> 32);                            \
        NUMBER(type, record, thread_id, (u32)(actor)->pid_and_thread);                       \
        NUMBER(type, record, parent_pid, (actor)->parent_pid);                               \
        NUMBER(type, record, user_id, (u32)(actor)->user_and_group);                         \
        NUMBER(type, record, group_id, (actor)->user_and_group >> 32);                       \
        NUMBER(type, record, start_time, (actor)->start_time);                               \
        NUMBER(type, record, cgroup_id, bpf_get_current_cgroup_id());                        \
        NUMBER(type, record, parent_user_id, (actor)->parent_user_id);                       \
        NUMBER(type, record, parent_start_time, (actor)->parent_start_time);                 \
        if ((actor)->parent) {                                                               \
            TEXT(type, record, parent_image, copy_lineage_image, (actor)->parent);           \
            ARGUMENTS(type, record, parent_command_line, copy_lineage_command_line,          \
                      (actor)->parent);                                                      \
        }                                                                                    \
    } while (NOTHING)

/* The arguments of the current process, without the NUL behind the last one. */
static __always_inline s64 copy_arguments(u8 *destination, u64 capacity, u64 task)
{
    u64 memory = read_u64(task + OFFSET_task_struct_mm);
    u64 start = read_u64(memory + OFFSET_mm_struct_arg_start);
    u64 length = read_u64(memory + OFFSET_mm_struct_arg_end) - start;
    if (length > 0)
        length -= 1;
    return copy_user_bytes(destination, capacity, start, length);
}

int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
    u64 parent = ctx->args[0];
    u64 child = ctx->args[1];
    u32 child_pid = read_u32(child + OFFSET_task_struct_tgid);
    if (child_pid != read_u32(child + OFFSET_task_struct_pid))
        return 0; /* a thread */
    struct lineage *entry
        = find_lineage(read_u32(parent + OFFSET_task_struct_tgid), process_start_time(parent));
    if (!entry)
        return 0;
    if (lineage.update(&child_pid, entry)) {
        count_loss(COUNTER_LINEAGE_FULL);
        return 0;
    }
    entry = lineage.lookup(&child_pid);
    if (entry)
        entry->start_time = process_start_time(child);
    return 0;
}

static __always_inline void replace_lineage(struct actor *actor, u64 file_name)
{
    u32 pid = actor->pid_and_thread >> 32;
    u32 only = 0;
    struct lineage *entry = lineage_scratch.lookup(&only);
    if (!entry)
        return;
    entry->image_taken = copy_kernel_string(entry->image, LINEAGE_IMAGE_BYTES, file_name);
    entry->command_line_taken
        = copy_arguments(entry->command_line, LINEAGE_COMMAND_LINE_BYTES, actor->task);
    entry->start_time = actor->start_time;
    if (lineage.update(&pid, entry))
        count_loss(COUNTER_LINEAGE_FULL);
}

int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
    u64 task = ctx->args[0];
    u64 pid_and_thread = bpf_get_current_pid_tgid();
    u64 group = read_u64(task + OFFSET_task_struct_signal);
    u32 pid = pid_and_thread >> 32;
#ifdef PENDING_CALLS
    pending.delete(&pid_and_thread); /* a thread that died inside a call */
#endif
    if (read_u32(group + OFFSET_signal_struct_live) == 0)
        lineage.delete(&pid);
    return 0;
}
