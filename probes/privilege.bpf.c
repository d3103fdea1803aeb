/* Template Type privilege: ids and capabilities that a thread asked for, or that an exec changed.
 *
 * What the thread had before is read when the call begins, what it has afterwards when it ends.
 * An exec ends in on_exec, where the thread may bear another id than the one that began it; where
 * its beginning was not seen (32-bit programs), the kernel's own mark of a gain is relied on.
 */

BPF_RINGBUF_OUTPUT(privilege_ring, RING_PAGES_privilege);

#define EXEC_CALL 0xffffffff /* instead of a number: execve or execveat */
#define UNCHANGED 0xffffffff /* instead of an id */

static __always_inline void read_credentials(struct credentials *credentials)
{
    u64 from = read_u64(bpf_get_current_task() + OFFSET_task_struct_real_cred);
    credentials->effective_capabilities = read_u64(from + OFFSET_cred_cap_effective);
    credentials->user_id = read_u32(from + OFFSET_cred_uid);
    credentials->effective_user_id = read_u32(from + OFFSET_cred_euid);
    credentials->group_id = read_u32(from + OFFSET_cred_gid);
    credentials->effective_group_id = read_u32(from + OFFSET_cred_egid);
}

static __always_inline int remember_privilege(u32 number, u32 operation, u64 requested)
{
    struct call call = {.number = number, .operation = operation, .length = (u32)requested};
    read_credentials(&call.before);
    return remember(&call, COUNTER_PENDING_FULL_privilege);
}

int enter_setuid(struct syscall_enter *ctx)
{
    return remember_privilege(ctx->number, privilege_operation_setuid, ctx->arguments[0]);
}

int enter_setgid(struct syscall_enter *ctx)
{
    return remember_privilege(ctx->number, privilege_operation_setgid, ctx->arguments[0]);
}

int enter_setreuid(struct syscall_enter *ctx)
{
    return remember_privilege(ctx->number, privilege_operation_setreuid, ctx->arguments[1]);
}

int enter_setregid(struct syscall_enter *ctx)
{
    return remember_privilege(ctx->number, privilege_operation_setregid, ctx->arguments[1]);
}

int enter_setresuid(struct syscall_enter *ctx)
{
    return remember_privilege(ctx->number, privilege_operation_setresuid, ctx->arguments[1]);
}

int enter_setresgid(struct syscall_enter *ctx)
{
    return remember_privilege(ctx->number, privilege_operation_setresgid, ctx->arguments[1]);
}

int enter_setfsuid(struct syscall_enter *ctx)
{
    return remember_privilege(ctx->number, privilege_operation_setfsuid, ctx->arguments[0]);
}

int enter_setfsgid(struct syscall_enter *ctx)
{
    return remember_privilege(ctx->number, privilege_operation_setfsgid, ctx->arguments[0]);
}

int enter_setgroups(struct syscall_enter *ctx)
{
    return remember_privilege(ctx->number, privilege_operation_setgroups, ctx->arguments[0]);
}

int enter_capset(struct syscall_enter *ctx)
{
    return remember_privilege(ctx->number, privilege_operation_capset, UNCHANGED);
}

int enter_exec(struct syscall_enter *ctx)
{
    return remember_privilege(EXEC_CALL, privilege_operation_exec, UNCHANGED);
}

#define CREDENTIALS_BEFORE(record, before)                                                   \
    do {                                                                                     \
        NUMBER(privilege, record, old_user_id, (before)->user_id);                           \
        NUMBER(privilege, record, old_effective_user_id, (before)->effective_user_id);       \
        NUMBER(privilege, record, old_group_id, (before)->group_id);                         \
        NUMBER(privilege, record, old_effective_group_id, (before)->effective_group_id);     \
        NUMBER(privilege, record, old_capabilities, (before)->effective_capabilities);       \
    } while (NOTHING)

#define CREDENTIALS_AFTER(record, after)                                                     \
    do {                                                                                     \
        NUMBER(privilege, record, new_user_id, (after)->user_id);                            \
        NUMBER(privilege, record, new_effective_user_id, (after)->effective_user_id);        \
        NUMBER(privilege, record, new_group_id, (after)->group_id);                          \
        NUMBER(privilege, record, new_effective_group_id, (after)->effective_group_id);      \
        NUMBER(privilege, record, new_capabilities, (after)->effective_capabilities);        \
    } while (NOTHING)

static __always_inline struct privilege_record *reserve_privilege(void)
{
    struct privilege_record *record
        = privilege_ring.ringbuf_reserve(sizeof(struct privilege_record));
    if (!record)
        count_loss(COUNTER_RING_FULL_privilege);
    return record;
}

int exit_privilege(struct syscall_exit *ctx)
{
    struct actor actor = {};
    struct call call = {};
    struct credentials after = {};
    if (!recall(&call, ctx->number))
        return 0;
    struct privilege_record *record = reserve_privilege();
    if (!record)
        return 0;
    find_actor(&actor);
    read_credentials(&after);
    BEGIN(privilege, record);
    ACTOR(privilege, record, &actor);
    ACTOR_IMAGE(privilege, record, &actor);
    NUMBER(privilege, record, operation, call.operation);
    NUMBER(privilege, record, result, ctx->result);
    CREDENTIALS_BEFORE(record, &call.before);
    CREDENTIALS_AFTER(record, &after);
    if (call.operation == privilege_operation_setgroups)
        NUMBER(privilege, record, group_count, call.length);
    else if (call.length != UNCHANGED)
        NUMBER(privilege, record, requested_id, call.length);
    privilege_ring.ringbuf_submit(record, BPF_RB_NO_WAKEUP);
    return 0;
}

static __always_inline int differ(struct credentials *before, struct credentials *after)
{
    return before->effective_user_id != after->effective_user_id
        || before->effective_group_id != after->effective_group_id
        || before->effective_capabilities != after->effective_capabilities;
}

/* old_thread: the id under which the thread called exec; a leader that was another one is gone. */
static __always_inline void report_exec_privilege(
    struct actor *actor, u64 program, u32 old_thread)
{
    struct call call = {};
    struct credentials after = {};
    u64 caller = actor->pid_and_thread >> 32 << 32 | old_thread;
    int seen = recall_of(caller, &call, EXEC_CALL);
    read_credentials(&after);
    if (seen ? !differ(&call.before, &after) : !read_u32(program + OFFSET_linux_binprm_per_clear))
        return;
    struct privilege_record *record = reserve_privilege();
    if (!record)
        return;
    BEGIN(privilege, record);
    ACTOR(privilege, record, actor);
    TEXT(privilege, record, image, copy_kernel_string,
         read_u64(program + OFFSET_linux_binprm_filename));
    ARGUMENTS(privilege, record, command_line, copy_arguments, actor->task);
    NUMBER(privilege, record, operation, privilege_operation_exec);
    NUMBER(privilege, record, result, NOTHING);
    if (seen)
        CREDENTIALS_BEFORE(record, &call.before);
    CREDENTIALS_AFTER(record, &after);
    privilege_ring.ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}
