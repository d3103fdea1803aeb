/* Template Type exit: one record per process, when its last thread ends.
 *
 * Lineage remembers the process until it is freed, which is later. Threads that end together may all find
 * none alive after them (the kernel counts them down some way before it calls us): the first of
 * them reports, and leaves a note that the others find.
 */

#define TASK_OF_KERNEL 0x200000 /* PF_KTHREAD */
#define GROUP_EXITS 4           /* SIGNAL_GROUP_EXIT */
#define STATUS_SIGNAL 0x7f
#define STATUS_CORE_DUMPED 0x80

struct ended {
    u64 start_boottime;
    u64 pid;
};

BPF_TABLE("lru_hash", struct ended, u8, ended_processes, ENDED_PROCESSES);

/* Whether no other thread has reported this process's end. A leader that is the last to be there
 * at all comes after everything the others did, and need not leave a note.
 */
static __always_inline int is_first(u64 task, u64 leader, u64 group, struct ended *ended)
{
    u8 reported = 1;
    if (task == leader && MEMBER(u32, group, signal_struct_nr_threads) == 1)
        return !ended_processes.lookup(ended);
    return !ended_processes.insert(ended, &reported);
}

/* As the parent's wait() gets it: one for the whole group if there is one, else the leader's. A
 * leader that is just now ending as well, on a kernel before 6.0, may not have set its own yet.
 */
static __always_inline u32 wait_status(u64 leader, u64 group)
{
    if (MEMBER(u32, group, signal_struct_flags) & GROUP_EXITS)
        return MEMBER(u32, group, signal_struct_group_exit_code);
    return MEMBER(u32, leader, task_struct_exit_code);
}

#define HOW_IT_ENDED(record, status)                                                         \
    do {                                                                                     \
        if ((status) & STATUS_SIGNAL) {                                                      \
            NUMBER(exit, record, operation, exit_operation_signal);                          \
            NUMBER(exit, record, signal, (status) & STATUS_SIGNAL);                          \
            NUMBER(exit, record, core_dumped, ((status) & STATUS_CORE_DUMPED) != 0);         \
        } else {                                                                             \
            NUMBER(exit, record, operation, exit_operation_exit);                            \
            NUMBER(exit, record, exit_code, (status) >> 8 & 0xff);                           \
        }                                                                                    \
    } while (NOTHING)

static __always_inline int report_exit(u64 task, u64 group)
{
    u64 leader = MEMBER(u64, task, task_struct_group_leader);
    struct ended ended = {
        .start_boottime = MEMBER(u64, leader, task_struct_start_boottime),
        .pid = MEMBER(u32, task, task_struct_tgid),
    };
    if (MEMBER(u32, task, task_struct_flags) & TASK_OF_KERNEL
        || !is_first(task, leader, group, &ended))
        return 0;
    struct exit_record *record = reserve_exit();
    if (!record)
        return 0;
    struct actor actor = {};
    u32 status = wait_status(leader, group);
    find_actor_often(&actor);
    BEGIN(exit, record);
    ACTOR(exit, record, &actor);
    ACTOR_IMAGE(exit, record, &actor);
    HOW_IT_ENDED(record, status);
    NUMBER(exit, record, lifetime, record->time_ns - ended.start_boottime);
    exit_ring.ringbuf_submit(record, WAKE_IDLE_READER);
    return 0;
}

int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
    u64 task = current_task();
    u64 group = MEMBER(u64, task, task_struct_signal);
    return MEMBER(u32, group, signal_struct_live) ? 0 : report_exit(task, group);
}
