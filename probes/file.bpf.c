/* Template Type file: opens for writing, creations, removals, renames and changes of mode.
 *
 * Opening for reading ends at entry, before anything is stored. Whether an open created the file
 * is read from the file itself where the rung can do that; O_CREAT alone does not tell.
 */

#define OPEN_ACCESS_MODE 03
#define OPEN_CREATE 0100
#define OPEN_TRUNCATE 01000
#define OPEN_PATH_ONLY 010000000
#define REMOVE_FOLDER 0x200

struct open_request {
    u64 flags;
    u64 mode;
};

static __always_inline int changes_files(u64 flags)
{
    return !(flags & OPEN_PATH_ONLY)
        && (flags & (OPEN_ACCESS_MODE | OPEN_CREATE | OPEN_TRUNCATE));
}

static __always_inline int remember_open(u32 number, u64 path, u64 flags, u64 mode)
{
    if (!changes_files(flags))
        return 0;
    struct call call = {
        .number = number, .operation = file_operation_open_write,
        .path = path, .flags = (u32)flags, .mode = mode,
    };
    return remember(&call, COUNTER_PENDING_FULL_file);
}

static __always_inline int remember_change(
    u32 number, u32 operation, u64 path, u64 target_path, u64 flags, u64 mode)
{
    struct call call = {
        .number = number, .operation = operation, .path = path, .target_path = target_path,
        .flags = (u32)flags, .mode = mode,
    };
    return remember(&call, COUNTER_PENDING_FULL_file);
}

int enter_open(struct syscall_enter *ctx)
{
    return remember_open(
        ctx->number, ctx->arguments[0], ctx->arguments[1], ctx->arguments[2]);
}

#ifndef CALL_REGISTERS
int enter_openat(struct syscall_enter *ctx)
{
    return remember_open(
        ctx->number, ctx->arguments[1], ctx->arguments[2], ctx->arguments[3]);
}
#endif

/* How it opens stands in memory, which is only sure to be readable once the kernel has read it. */
int enter_openat2(struct syscall_enter *ctx)
{
    struct call call = {
        .number = ctx->number, .operation = file_operation_open_write,
        .path = ctx->arguments[1], .request = ctx->arguments[2],
    };
    return remember(&call, COUNTER_PENDING_FULL_file);
}

int enter_creat(struct syscall_enter *ctx)
{
    u64 flags = OPEN_CREATE | OPEN_TRUNCATE | 1;
    return remember_open(ctx->number, ctx->arguments[0], flags, ctx->arguments[1]);
}

int enter_unlink(struct syscall_enter *ctx)
{
    return remember_change(
        ctx->number, file_operation_unlink, ctx->arguments[0], NOTHING, NOTHING, NOTHING);
}

int enter_unlinkat(struct syscall_enter *ctx)
{
    u64 flags = ctx->arguments[2];
    if (flags & REMOVE_FOLDER)
        return 0;
    return remember_change(
        ctx->number, file_operation_unlink, ctx->arguments[1], NOTHING, flags, NOTHING);
}

int enter_rename(struct syscall_enter *ctx)
{
    return remember_change(ctx->number, file_operation_rename, ctx->arguments[0],
                           ctx->arguments[1], NOTHING, NOTHING);
}

int enter_renameat(struct syscall_enter *ctx)
{
    return remember_change(ctx->number, file_operation_rename, ctx->arguments[1],
                           ctx->arguments[3], NOTHING, NOTHING);
}

int enter_renameat2(struct syscall_enter *ctx)
{
    return remember_change(ctx->number, file_operation_rename, ctx->arguments[1],
                           ctx->arguments[3], ctx->arguments[4], NOTHING);
}

int enter_chmod(struct syscall_enter *ctx)
{
    return remember_change(ctx->number, file_operation_chmod, ctx->arguments[0], NOTHING, NOTHING,
                           ctx->arguments[1]);
}

int enter_fchmod(struct syscall_enter *ctx)
{
    return remember_change(ctx->number, file_operation_chmod, NOTHING, NOTHING, NOTHING,
                           ctx->arguments[1]);
}

int enter_fchmodat(struct syscall_enter *ctx)
{
    return remember_change(ctx->number, file_operation_chmod, ctx->arguments[1], NOTHING, NOTHING,
                           ctx->arguments[2]);
}

int enter_fchmodat2(struct syscall_enter *ctx)
{
    return remember_change(ctx->number, file_operation_chmod, ctx->arguments[1], NOTHING,
                           ctx->arguments[3], ctx->arguments[2]);
}

static __always_inline u32 final_operation(struct actor *actor, struct call *call, s64 result)
{
    if (call->operation != file_operation_open_write || !(call->flags & OPEN_CREATE) || result < 0)
        return call->operation;
    return has_created(actor, call->flags, result) ? file_operation_create : call->operation;
}

/* Only what the caller gave: a mode without O_CREAT is whatever lay in the register. */
static __always_inline int has_mode(struct call *call)
{
    return call->operation == file_operation_chmod || call->flags & OPEN_CREATE
        && call->operation == file_operation_open_write;
}

/* Whether the call is one to report; completes what openat2 asked for. */
static __always_inline int recall_change(struct call *call, u32 number)
{
    struct open_request request = {};
    if (!recall(call, number))
        return 0;
    if (!call->request)
        return 1;
    if (read_user(&request, sizeof(request), (void *)call->request)) {
        count_loss(COUNTER_READ_FAULT_file);
        return 1;
    }
    call->request = 0;
    call->flags = request.flags;
    call->mode = request.mode;
    return changes_files(call->flags);
}

#ifdef CALL_REGISTERS
#define CALL_OPENAT 257

/* Where a seccomp filter sends a signal in the place of a call, its number stands for the result. */
static __always_inline int was_trapped(struct syscall_exit *ctx, u64 task)
{
    return ctx->result == ctx->number && !file_of_task(task, ctx->result);
}

/* openat, the most frequent of these calls by far, has no program at its entry: what it was asked for
 * still lies in the registers with which the kernel was entered.
 */
static __always_inline int read_open(struct call *call, struct syscall_exit *ctx)
{
    u64 task = current_task();
    u64 registers = call_registers(task);
    call->flags = MEMBER(u32, registers, pt_regs_dx);
    if (!changes_files(call->flags) || was_trapped(ctx, task))
        return 0;
    call->operation = file_operation_open_write;
    call->path = MEMBER(u64, registers, pt_regs_si);
    call->mode = MEMBER(u64, registers, pt_regs_r10);
    return 1;
}

static __always_inline int find_change(struct call *call, struct syscall_exit *ctx)
{
    return ctx->number == CALL_OPENAT ? read_open(call, ctx) : recall_change(call, ctx->number);
}
#else
static __always_inline int find_change(struct call *call, struct syscall_exit *ctx)
{
    return recall_change(call, ctx->number);
}
#endif

int exit_file(struct syscall_exit *ctx)
{
    struct actor actor = {};
    struct call call = {};
    if (!find_change(&call, ctx))
        return 0;
    struct file_record *record = reserve_file();
    if (!record)
        return 0;
    find_actor_often(&actor);
    BEGIN(file, record);
    ACTOR(file, record, &actor);
    ACTOR_IMAGE(file, record, &actor);
    NUMBER(file, record, operation, final_operation(&actor, &call, ctx->result));
    if (!call.request)
        NUMBER(file, record, flags, call.flags);
    NUMBER(file, record, result, ctx->result);
    if (has_mode(&call))
        NUMBER(file, record, mode, call.mode & MODE_BITS);
    if (call.path)
        TEXT(file, record, path, copy_user_string, call.path);
    if (call.target_path)
        TEXT(file, record, target_path, copy_user_string, call.target_path);
    file_ring.ringbuf_submit(record, WAKE_IDLE_READER);
    return 0;
}
