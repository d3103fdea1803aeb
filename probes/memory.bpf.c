/* Template Type memory: what becomes executable without a file that a scanner could look at.
 *
 * mmap is one of the most frequent calls: all but PROT_EXEC ends after one comparison, and of the
 * rest only what can be written to, is shared, or has no name in any folder is remembered.
 * Of executions, only those of a file that no folder has are reported.
 */

#define PROTECTION_WRITE 2
#define PROTECTION_EXECUTE 4
#define MAPPING_SHARED 0x01
#define MAPPING_ANONYMOUS 0x20

/* Whether no folder has the file any more, or ever had it. */
static __always_inline int is_unlinked(u64 file)
{
    u64 inode = file ? read_u64(file + OFFSET_file_f_inode) : 0;
    return inode && !read_u32(inode + OFFSET_inode_i_nlink);
}

static __always_inline int is_dubious_mapping(u64 protection, u64 flags, s32 descriptor)
{
    if (!(protection & PROTECTION_EXECUTE))
        return 0;
    if (protection & PROTECTION_WRITE || flags & MAPPING_SHARED)
        return 1;
    return !(flags & MAPPING_ANONYMOUS) && is_unlinked(file_of_descriptor(descriptor));
}

int enter_memfd_create(struct syscall_enter *ctx)
{
    struct call call = {
        .number = ctx->number, .operation = memory_operation_memory_file,
        .flags = (u32)ctx->arguments[1],
    };
    return remember(&call, COUNTER_PENDING_FULL_memory);
}

#ifdef CALL_REGISTERS
#define CALL_MMAP 9
#define CALL_MPROTECT 10
#define CALL_PKEY_MPROTECT 329

/* The frequent ones have no program at their entry: what they were asked for still lies in the
 * registers. None of them returns its own number, but where a seccomp filter sends a signal in its place.
 */
static __always_inline int read_range(struct call *call, struct syscall_exit *ctx)
{
    u64 registers = call_registers(current_task());
    call->mode = MEMBER(u32, registers, pt_regs_dx);
    if (!(call->mode & PROTECTION_EXECUTE) || ctx->result == ctx->number)
        return 0;
    call->path = MEMBER(u64, registers, pt_regs_di);
    call->length = MEMBER(u64, registers, pt_regs_si);
    call->operation = memory_operation_protect;
    if (ctx->number != CALL_MMAP)
        return 1;
    call->operation = memory_operation_map;
    call->flags = MEMBER(u32, registers, pt_regs_r10);
    call->descriptor = MEMBER(u32, registers, pt_regs_r8);
    return is_dubious_mapping(call->mode, call->flags, (s32)call->descriptor);
}

static __always_inline int find_range(struct call *call, struct syscall_exit *ctx)
{
    int by_registers = ctx->number == CALL_MMAP || ctx->number == CALL_MPROTECT
        || ctx->number == CALL_PKEY_MPROTECT;
    return by_registers ? read_range(call, ctx) : recall(call, ctx->number);
}
#else
static __always_inline int remember_range(
    u32 number, u32 operation, u64 *arguments, u64 flags, u64 descriptor)
{
    struct call call = {
        .number = number, .operation = operation, .path = arguments[0], .length = arguments[1],
        .mode = (u32)arguments[2], .flags = (u32)flags, .descriptor = (u32)descriptor,
    };
    return remember(&call, COUNTER_PENDING_FULL_memory);
}

int enter_mmap(struct syscall_enter *ctx)
{
    u64 flags = ctx->arguments[3];
    if (!is_dubious_mapping(ctx->arguments[2], flags, (s32)ctx->arguments[4]))
        return 0;
    return remember_range(
        ctx->number, memory_operation_map, ctx->arguments, flags, ctx->arguments[4]);
}

/* mprotect and pkey_mprotect. */
int enter_mprotect(struct syscall_enter *ctx)
{
    if (!(ctx->arguments[2] & PROTECTION_EXECUTE))
        return 0;
    return remember_range(
        ctx->number, memory_operation_protect, ctx->arguments, NOTHING, NOTHING);
}

static __always_inline int find_range(struct call *call, struct syscall_exit *ctx)
{
    return recall(call, ctx->number);
}
#endif

/* struct file that a call is about, or 0. */
static __always_inline u64 file_of_call(struct call *call, s64 result)
{
    if (call->operation == memory_operation_memory_file)
        return result < 0 ? 0 : file_of_descriptor(result);
    if (call->operation == memory_operation_protect || call->flags & MAPPING_ANONYMOUS)
        return 0;
    return file_of_descriptor((s32)call->descriptor);
}

#define BACKING(type, record, file)                                                          \
    do {                                                                                     \
        NUMBER(type, record, backing,                                                        \
               is_unlinked(file) ? type##_backing_unlinked_file : type##_backing_file);      \
        TEXT(type, record, file_name, copy_file_name, file);                                 \
    } while (NOTHING)

int exit_memory(struct syscall_exit *ctx)
{
    struct actor actor = {};
    struct call call = {};
    s64 result = ctx->result;
    if (!find_range(&call, ctx))
        return 0;
    u64 file = file_of_call(&call, result);
    struct memory_record *record = reserve_memory();
    if (!record)
        return 0;
    find_actor(&actor);
    BEGIN(memory, record);
    ACTOR(memory, record, &actor);
    ACTOR_IMAGE(memory, record, &actor);
    NUMBER(memory, record, operation, call.operation);
    NUMBER(memory, record, result, result);
    if (call.operation != memory_operation_protect)
        NUMBER(memory, record, flags, call.flags);
    if (call.operation != memory_operation_memory_file) {
        int moved = call.operation == memory_operation_map && result >= 0;
        NUMBER(memory, record, address, moved ? result : call.path);
        NUMBER(memory, record, length, call.length);
        NUMBER(memory, record, protection, call.mode);
    }
    if (file)
        BACKING(memory, record, file);
    else if (call.operation == memory_operation_map && call.flags & MAPPING_ANONYMOUS)
        NUMBER(memory, record, backing, memory_backing_anonymous);
    memory_ring.ringbuf_submit(record, WAKE_IDLE_READER);
    return 0;
}

/* A program that was executed; lineage, which was attached before, has it already. Each exec of the
 * host pays for the look at its file, so that one takes the way that is the cheapest.
 */
int on_exec_memory(struct bpf_raw_tracepoint_args *ctx)
{
    struct actor actor = {};
    u64 memory = MEMBER(u64, current_task(), task_struct_mm);
    u64 file = MEMBER(u64, memory, mm_struct_exe_file);
    u64 inode = MEMBER(u64, file, file_f_inode);
    if (MEMBER(u32, inode, inode_i_nlink) || !inode)
        return 0;
    struct memory_record *record = reserve_memory();
    if (!record)
        return 0;
    find_actor(&actor);
    BEGIN(memory, record);
    ACTOR(memory, record, &actor);
    ACTOR_IMAGE(memory, record, &actor);
    NUMBER(memory, record, operation, memory_operation_execute);
    BACKING(memory, record, file);
    memory_ring.ringbuf_submit(record, WAKE_IDLE_READER);
    return 0;
}
