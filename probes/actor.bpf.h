/* Who acts and who its parent is, for every record.
 *
 * The kernel's own structs say it; image and command line come from the lineage map, because a
 * parent's memory can't be read from its child. An entry counts only while its start time is that of
 * the process, so a recycled pid never inherits a stranger's name. Start times are whole clock ticks,
 * as /proc shows them.
 */

struct actor {
    u64 task;
    u64 start_time;
    u64 pid_and_thread;
    u64 user_and_group;
    u64 cgroup;
    u64 parent_start_time;
    u32 parent_pid;
    u32 parent_user_id;
    struct lineage *self;
    struct lineage *parent;
};

static __always_inline u64 whole_ticks(u64 nanoseconds)
{
    return nanoseconds - nanoseconds % NANOSECONDS_PER_TICK;
}

/* Of the process that a thread belongs to; the task is one that MEMBER can read. */
static __always_inline u64 process_start_time(u64 task)
{
    u64 leader = MEMBER(u64, task, task_struct_group_leader);
    return whole_ticks(MEMBER(u64, leader, task_struct_start_boottime));
}

/* The process that acts, as one word (content/flooders.py takes it apart). */
static __always_inline u64 own_process(void)
{
    u64 pid = bpf_get_current_pid_tgid() >> 32;
    return process_start_time(current_task()) / NANOSECONDS_PER_TICK << PID_BITS | pid;
}

static __always_inline struct lineage *find_lineage(u32 pid, u64 start_time)
{
    struct lineage *entry = lookup_lineage(pid);
    return entry && entry->start_time == start_time ? entry : NULL;
}

static __always_inline void find_start_and_parent(struct actor *actor)
{
    actor->start_time = process_start_time(actor->task);
    u64 parent = MEMBER(u64, actor->task, task_struct_real_parent);
    u64 credentials = MEMBER(u64, parent, task_struct_real_cred);
    actor->parent_pid = MEMBER(u32, parent, task_struct_tgid);
    actor->parent_start_time = process_start_time(parent);
    actor->parent_user_id = MEMBER(u32, credentials, cred_uid);
    actor->self = find_lineage(actor->pid_and_thread >> 32, actor->start_time);
    actor->parent = find_lineage(actor->parent_pid, actor->parent_start_time);
}

/* The task is the current one. */
static __always_inline void find_actor_of(struct actor *actor, u64 task)
{
    actor->task = task;
    actor->pid_and_thread = pid_and_thread_of(task);
    actor->user_and_group = user_and_group_of(task);
    actor->cgroup = cgroup_id_of(task);
    find_start_and_parent(actor);
}

/* For programs that run often. */
static __always_inline void find_actor_often(struct actor *actor)
{
    find_actor_of(actor, current_task());
}

/* For the many programs that run rarely: typed loads would take longer to compile and to verify,
 * and a sensor longer to start, than they ever save.
 */
static __always_inline void find_actor(struct actor *actor)
{
    actor->task = current_task();
    actor->pid_and_thread = bpf_get_current_pid_tgid();
    actor->user_and_group = bpf_get_current_uid_gid();
    actor->cgroup = bpf_get_current_cgroup_id();
    find_start_and_parent(actor);
}

#define TASK_NAME_BYTES 16 /* of two words, the last byte being a NUL */
#define OFFSET_rest_of_comm (OFFSET_task_struct_comm + sizeof(u64))

#define EACH_BYTE 0x0101010101010101ULL

/* How many bytes of a word come before its first NUL, if it has one; without a branch, which a
 * processor would guess wrong for every other name.
 */
static __always_inline u64 bytes_before_nul(u64 word)
{
    u64 nul = (word - EACH_BYTE & ~word) >> 7 & EACH_BYTE;
    return ((nul - 1 & ~nul & EACH_BYTE) * EACH_BYTE) >> 56;
}

static __always_inline s64 copy_task_name(u8 *destination, u64 capacity, u64 task)
{
    u64 first = MEMBER(u64, task, task_struct_comm);
    u64 rest = MEMBER(u64, task, rest_of_comm);
    u64 length = bytes_before_nul(first);
    ((u64 *)destination)[0] = first;
    ((u64 *)destination)[1] = rest;
    return length < sizeof(u64) ? length : sizeof(u64) + bytes_before_nul(rest);
}

/* The fields that say who acted and who the parent is; image and command line come extra. */
#define ACTOR(type, record, actor)                                                           \
    do {                                                                                     \
        _Static_assert(CAPACITY_##type##_name == TASK_NAME_BYTES, "name of " #type);         \
        TEXT(type, record, name, copy_task_name, (actor)->task);                             \
        NUMBER(type, record, pid, (actor)->pid_and_thread >> 32);                            \
        NUMBER(type, record, thread_id, (u32)(actor)->pid_and_thread);                       \
        NUMBER(type, record, parent_pid, (actor)->parent_pid);                               \
        NUMBER(type, record, user_id, (u32)(actor)->user_and_group);                         \
        NUMBER(type, record, group_id, (actor)->user_and_group >> 32);                       \
        NUMBER(type, record, start_time, (actor)->start_time);                               \
        NUMBER(type, record, cgroup_id, (actor)->cgroup);                                    \
        NUMBER(type, record, parent_user_id, (actor)->parent_user_id);                       \
        NUMBER(type, record, parent_start_time, (actor)->parent_start_time);                 \
        if ((actor)->parent) {                                                               \
            TEXT(type, record, parent_image, copy_lineage_image, (actor)->parent);           \
            ARGUMENTS(type, record, parent_command_line, copy_lineage_command_line,          \
                      (actor)->parent);                                                      \
        }                                                                                    \
    } while (NOTHING)

/* Where the arguments of a program lie that is about to run. */
struct arguments {
    u64 start;
    u64 length; /* without the NUL behind the last one */
};

static __always_inline struct arguments find_arguments(u64 task)
{
    u64 memory = MEMBER(u64, task, task_struct_mm);
    struct arguments arguments = {.start = MEMBER(u64, memory, mm_struct_arg_start)};
    arguments.length = MEMBER(u64, memory, mm_struct_arg_end) - arguments.start;
    if (arguments.length > 0)
        arguments.length -= 1;
    return arguments;
}
