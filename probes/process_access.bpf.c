/* Template Type process_access: ptrace, memory and descriptors of other processes, signals to them.
 *
 * The target is found and described at entry: a signal may have ended it before the call returns.
 * What stays within the caller's own process ends at entry, before anything is stored.
 */

#define LAST_SIGNAL 64
#define GENERATIONS 8

#define PTRACE_TRACEME 0
#define PTRACE_POKETEXT 4
#define PTRACE_POKEDATA 5
#define PTRACE_POKEUSR 6
#define PTRACE_KILL 8
#define PTRACE_SETREGS 13
#define PTRACE_SETFPREGS 15
#define PTRACE_ATTACH 16
#define PTRACE_SETREGSET 0x4205
#define PTRACE_SEIZE 0x4206

enum { CALLER_ITSELF, BY_NUMBER, BY_PIDFD };

struct asked_access {
    u32 number; /* of the system call: an exit only takes what its own entry left */
    u32 operation;
    u32 request;
    u32 signal;
    s64 requested_pid;
    u64 target_descriptor;
    u32 is_number; /* whether requested_pid was given */
    u32 found_by;
    s64 target; /* what it is found by; a thread's number is not what a signal to it asks for */
};

struct access {
    struct asked_access asked;
    u64 target_start_time;
    u32 target_pid; /* 0 if there is no single target */
    u32 target_parent_pid;
    u32 target_user_id;
    u32 relation;
    s64 image_taken;
    u8 image[LINEAGE_IMAGE_BYTES];
};

BPF_HASH(accesses, u64, struct access, PENDING_ACCESSES);
BPF_PERCPU_ARRAY(access_scratch, struct access, 1);

static __always_inline u64 leader_of(u64 task)
{
    return read_u64(task + OFFSET_task_struct_group_leader);
}

static __always_inline u64 parent_of(u64 leader)
{
    return leader_of(read_u64(leader + OFFSET_task_struct_real_parent));
}

static __always_inline u32 relation_to(u64 target, u64 own)
{
    u64 ancestor = parent_of(target);
    if (target == own)
        return process_access_relation_self;
    if (ancestor == own)
        return process_access_relation_child;
    if (parent_of(own) == target)
        return process_access_relation_parent;
#pragma clang loop unroll(disable)
    for (int generation = 1; generation < GENERATIONS; generation++) {
        ancestor = parent_of(ancestor);
        if (ancestor == own)
            return process_access_relation_descendant;
    }
    return process_access_relation_other;
}

/* Describe a target, by its group leader. */
static __always_inline void find_target(struct access *access, u64 target, u64 own)
{
    u64 parent = parent_of(target);
    u64 credentials = read_u64(target + OFFSET_task_struct_real_cred);
    access->target_pid = read_u32(target + OFFSET_task_struct_tgid);
    access->target_start_time
        = whole_ticks(read_u64(target + OFFSET_task_struct_start_boottime));
    access->target_parent_pid = read_u32(parent + OFFSET_task_struct_tgid);
    access->target_user_id = read_u32(credentials + OFFSET_cred_uid);
    access->relation = relation_to(target, own);
    access->image_taken = UNKNOWN;
    struct lineage *entry = find_lineage(access->target_pid, access->target_start_time);
    if (entry)
        access->image_taken = copy_lineage_image(access->image, LINEAGE_IMAGE_BYTES, entry);
}

/* The task that is meant; 0 where that is no process, or a group of them. */
static __always_inline u64 find_task(struct asked_access *asked)
{
    if (asked->found_by == BY_NUMBER)
        return asked->target > 0 ? task_of_pid(pid_of_number(asked->target)) : 0;
    if (asked->found_by == BY_PIDFD)
        return task_of_pidfd(asked->target);
    return bpf_get_current_task();
}

/* What every entry ends with; in the scratch is what was asked for. */
int remember_access(struct syscall_enter *ctx)
{
    u64 thread = bpf_get_current_pid_tgid();
    u64 own = leader_of(bpf_get_current_task());
    u32 only = 0;
    struct access *access = access_scratch.lookup(&only);
    if (!access)
        return 0;
    u64 task = find_task(&access->asked);
    u64 target = task ? leader_of(task) : 0;
    if (target == own && access->asked.operation != process_access_operation_trace)
        return 0;
    access->target_pid = 0;
    if (target)
        find_target(access, target, own);
    if (accesses.update(&thread, access))
        count_loss(COUNTER_PENDING_FULL_process_access);
    return 0;
}

static __always_inline int ask(struct syscall_enter *ctx, struct asked_access *asked)
{
    u32 only = 0;
    struct access *access = access_scratch.lookup(&only);
    if (!access)
        return 0;
    access->asked = *asked;
    TAIL_CALL(ctx, remember_access);
    return 0;
}

static __always_inline int ask_by_number(
    struct syscall_enter *ctx, u32 operation, u32 signal, s64 requested_pid, s64 number)
{
    struct asked_access asked = {
        .number = ctx->number, .operation = operation, .signal = signal,
        .is_number = 1, .requested_pid = requested_pid,
        .found_by = BY_NUMBER, .target = number,
    };
    return ask(ctx, &asked);
}

static __always_inline int ask_by_pidfd(
    struct syscall_enter *ctx, u32 operation, u32 signal, u64 target_descriptor)
{
    s64 pidfd = (s32)ctx->arguments[0];
    struct asked_access asked = {
        .number = ctx->number, .operation = operation, .signal = signal,
        .target_descriptor = target_descriptor, .found_by = BY_PIDFD, .target = pidfd,
    };
    if (pidfd == PIDFD_SELF_THREAD || pidfd == PIDFD_SELF_THREAD_GROUP)
        return 0;
    return ask(ctx, &asked);
}

static __always_inline u32 traced_request(u64 request)
{
    if (request == PTRACE_TRACEME)
        return process_access_request_traceme;
    if (request == PTRACE_ATTACH)
        return process_access_request_attach;
    if (request == PTRACE_SEIZE)
        return process_access_request_seize;
    if (request == PTRACE_POKETEXT)
        return process_access_request_poke_text;
    if (request == PTRACE_POKEDATA)
        return process_access_request_poke_data;
    if (request == PTRACE_POKEUSR)
        return process_access_request_poke_user;
    if (request == PTRACE_SETREGS || request == PTRACE_SETFPREGS || request == PTRACE_SETREGSET)
        return process_access_request_set_registers;
    return request == PTRACE_KILL ? process_access_request_kill : 0;
}

int enter_ptrace(struct syscall_enter *ctx)
{
    u32 request = traced_request(ctx->arguments[0]);
    s64 number = (s32)ctx->arguments[1];
    if (!request)
        return 0;
    int by_tracer = request != process_access_request_traceme;
    struct asked_access asked = {
        .number = ctx->number, .operation = process_access_operation_trace, .request = request,
        .is_number = by_tracer, .requested_pid = by_tracer ? number : 0,
        .found_by = by_tracer ? BY_NUMBER : CALLER_ITSELF, .target = number,
    };
    return ask(ctx, &asked);
}

int enter_process_vm_readv(struct syscall_enter *ctx)
{
    s64 number = (s32)ctx->arguments[0];
    return ask_by_number(ctx, process_access_operation_read_memory, NOTHING, number, number);
}

int enter_process_vm_writev(struct syscall_enter *ctx)
{
    s64 number = (s32)ctx->arguments[0];
    return ask_by_number(ctx, process_access_operation_write_memory, NOTHING, number, number);
}

int enter_pidfd_getfd(struct syscall_enter *ctx)
{
    return ask_by_pidfd(
        ctx, process_access_operation_copy_descriptor, NOTHING, (u32)ctx->arguments[1]);
}

/* Signal 0 asks whether a process is there, and others than these don't exist. */
static __always_inline int is_signal(u64 signal)
{
    return (u32)signal - 1 < LAST_SIGNAL;
}

static __always_inline int ask_for_signal(
    struct syscall_enter *ctx, u64 requested_pid, u64 number, u64 signal)
{
    if (!is_signal(signal))
        return 0;
    return ask_by_number(
        ctx, process_access_operation_signal, signal, (s32)requested_pid, (s32)number);
}

/* kill, tkill and rt_sigqueueinfo have their arguments in the same places. */
int enter_kill(struct syscall_enter *ctx)
{
    return ask_for_signal(ctx, ctx->arguments[0], ctx->arguments[0], ctx->arguments[1]);
}

/* tgkill and rt_tgsigqueueinfo: a process, and the thread of it that gets the signal. */
int enter_tgkill(struct syscall_enter *ctx)
{
    return ask_for_signal(ctx, ctx->arguments[0], ctx->arguments[1], ctx->arguments[2]);
}

int enter_pidfd_send_signal(struct syscall_enter *ctx)
{
    if (!is_signal(ctx->arguments[1]))
        return 0;
    return ask_by_pidfd(ctx, process_access_operation_signal, ctx->arguments[1], NOTHING);
}

static __always_inline s64 copy_target_image(u8 *destination, u64 capacity, struct access *from)
{
    return copy_remembered(destination, capacity, from->image, from->image_taken);
}

#define TARGET(type, record, access)                                                         \
    do {                                                                                     \
        NUMBER(type, record, target_pid, (access)->target_pid);                              \
        NUMBER(type, record, target_parent_pid, (access)->target_parent_pid);                \
        NUMBER(type, record, target_user_id, (access)->target_user_id);                      \
        NUMBER(type, record, target_start_time, (access)->target_start_time);                \
        NUMBER(type, record, relation, (access)->relation);                                  \
        TEXT(type, record, target_image, copy_target_image, access);                         \
    } while (NOTHING)

static __always_inline void report_access(struct access *access, s64 result)
{
    struct process_access_record *record = reserve_process_access();
    if (!record)
        return;
    struct actor actor = {};
    find_actor(&actor);
    BEGIN(process_access, record);
    ACTOR(process_access, record, &actor);
    ACTOR_IMAGE(process_access, record, &actor);
    NUMBER(process_access, record, operation, access->asked.operation);
    NUMBER(process_access, record, result, result);
    if (access->asked.request)
        NUMBER(process_access, record, request, access->asked.request);
    if (access->asked.signal)
        NUMBER(process_access, record, signal, access->asked.signal);
    if (access->asked.is_number)
        NUMBER(process_access, record, requested_pid, access->asked.requested_pid);
    if (access->asked.operation == process_access_operation_copy_descriptor)
        NUMBER(process_access, record, target_descriptor, access->asked.target_descriptor);
    if (access->target_pid)
        TARGET(process_access, record, access);
    process_access_ring.ringbuf_submit(record, WAKE_IDLE_READER);
}

int exit_access(struct syscall_exit *ctx)
{
    u64 thread = bpf_get_current_pid_tgid();
    struct access *access = accesses.lookup(&thread);
    if (!access || access->asked.number != ctx->number)
        return 0;
    report_access(access, ctx->result);
    accesses.delete(&thread);
    return 0;
}
