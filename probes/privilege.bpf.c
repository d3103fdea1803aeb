/* Template Type privilege: ids and capabilities that a thread asked for, or that an exec gave it.
 *
 * What the thread had before is read when the call begins, what it has afterwards when it ends.
 * For an exec nothing is read at its beginning: the kernel marks one that gains something, and the
 * file that it opened to execute still bears the credentials with which it was opened.
 */

#define UNCHANGED 0xffffffff /* instead of an id */

/* All ids of struct cred lie side by side: one read. */
#define IDS 8
#define PLACE(member) ((OFFSET_cred_##member - OFFSET_cred_uid) / sizeof(u32))
_Static_assert(PLACE(gid) < IDS && PLACE(euid) < IDS && PLACE(egid) < IDS, "ids lie apart");

static __always_inline void read_credentials(struct credentials *credentials, u64 from)
{
    u32 ids[IDS] = {};
    read_kernel(ids, sizeof(ids), (void *)(from + OFFSET_cred_uid));
    credentials->effective_capabilities = read_u64(from + OFFSET_cred_cap_effective);
    credentials->user_id = ids[0];
    credentials->effective_user_id = ids[PLACE(euid)];
    credentials->group_id = ids[PLACE(gid)];
    credentials->effective_group_id = ids[PLACE(egid)];
}

static __always_inline void read_current_credentials(struct credentials *credentials)
{
    u64 task = bpf_get_current_task();
    read_credentials(credentials, read_u64(task + OFFSET_task_struct_real_cred));
}

static __always_inline int remember_privilege(u32 number, u32 operation, u64 requested)
{
    struct call call = {.number = number, .operation = operation, .length = (u32)requested};
    read_current_credentials(&call.before);
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
    read_current_credentials(&after);
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
    privilege_ring.ringbuf_submit(record, WAKE_IDLE_READER);
    return 0;
}

static __always_inline int differ(struct credentials *before, struct credentials *after)
{
    return before->effective_user_id != after->effective_user_id
        || before->effective_group_id != after->effective_group_id
        || before->effective_capabilities != after->effective_capabilities;
}

/* The mark is set where a set-id bit or a capability was honoured, even if it changed nothing. An
 * interpreter that was opened by another (binfmt_misc) bears credentials that are not the caller's;
 * an exec never changes the real id. Lineage, which was attached before, has the new program already.
 */
static __always_inline void report_gain(u64 program)
{
    struct credentials before = {};
    struct credentials after = {};
    struct actor actor = {};
    if (!read_u32(program + OFFSET_linux_binprm_per_clear))
        return;
    u64 file = read_u64(program + OFFSET_linux_binprm_file);
    read_credentials(&before, read_u64(file + OFFSET_file_f_cred));
    read_current_credentials(&after);
    int known = before.user_id == after.user_id;
    if (known && !differ(&before, &after))
        return;
    struct privilege_record *record = reserve_privilege();
    if (!record)
        return;
    find_actor(&actor);
    BEGIN(privilege, record);
    ACTOR(privilege, record, &actor);
    ACTOR_IMAGE(privilege, record, &actor);
    NUMBER(privilege, record, operation, privilege_operation_exec);
    NUMBER(privilege, record, result, NOTHING);
    if (known)
        CREDENTIALS_BEFORE(record, &before);
    CREDENTIALS_AFTER(record, &after);
    privilege_ring.ringbuf_submit(record, WAKE_IDLE_READER);
}

int on_exec_privilege(struct bpf_raw_tracepoint_args *ctx)
{
    report_gain(ctx->args[2]);
    NEXT_on_exec_privilege(ctx);
    return 0;
}
