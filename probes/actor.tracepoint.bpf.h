/* Who acts and who its parent is, from helpers and the lineage map alone.
 *
 * The same as actor.bpf.h without a look into kernel structs. Nobody says when a process was started,
 * so the moment at which its fork was seen tells it from others that had its pid; the parent is the
 * one that forked it. When that one is gone the kernel has given the process another parent, and
 * nothing says which: then the record has no parent at all.
 */

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
    struct lineage *self = lookup_lineage(pid);
    u64 seen = self ? self->start_time / NANOSECONDS_PER_TICK : 0;
    return seen << PID_BITS | pid;
}

static __always_inline struct lineage *find_parent(struct lineage *self)
{
    struct lineage *parent = lookup_lineage(self->parent_pid);
    return parent && parent->start_time == self->parent_start_time ? parent : NULL;
}

static __always_inline void find_actor(struct actor *actor)
{
    actor->pid_and_thread = bpf_get_current_pid_tgid();
    actor->user_and_group = bpf_get_current_uid_gid();
    actor->self = lookup_lineage(actor->pid_and_thread >> 32);
    actor->parent = NULL;
    if (actor->self) {
        actor->parent_pid = actor->self->parent_pid;
        actor->parent = find_parent(actor->self);
    }
}

/* Helpers are the only way here. */
#define find_actor_often find_actor

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
