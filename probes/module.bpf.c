/* Template Type module: code that enters the kernel, and modules that leave it.
 *
 * Modules by init_module, finit_module and delete_module, BPF programs by bpf(BPF_PROG_LOAD). The
 * other commands of bpf end at entry, before anything is stored.
 */

#define LOAD_PROGRAM 5 /* BPF_PROG_LOAD */

/* How union bpf_attr begins for BPF_PROG_LOAD; an old caller may give less. */
struct program_attributes {
    u32 program_type;
    u32 instruction_count;
    u64 instructions;
    u64 license;
    u32 log_level;
    u32 log_bytes;
    u64 log;
    u32 kernel_version;
    u32 flags;
    u8 name[16];
};

int enter_init_module(struct syscall_enter *ctx)
{
    struct call call = {
        .number = ctx->number, .operation = module_operation_init_module,
        .length = ctx->arguments[1], .path = ctx->arguments[2],
    };
    return remember(&call, COUNTER_PENDING_FULL_module);
}

int enter_finit_module(struct syscall_enter *ctx)
{
    struct call call = {
        .number = ctx->number, .operation = module_operation_finit_module,
        .descriptor = (u32)ctx->arguments[0], .path = ctx->arguments[1],
        .flags = (u32)ctx->arguments[2],
    };
    return remember(&call, COUNTER_PENDING_FULL_module);
}

int enter_delete_module(struct syscall_enter *ctx)
{
    struct call call = {
        .number = ctx->number, .operation = module_operation_delete_module,
        .path = ctx->arguments[0], .flags = (u32)ctx->arguments[1],
    };
    return remember(&call, COUNTER_PENDING_FULL_module);
}

int enter_bpf(struct syscall_enter *ctx)
{
    if ((u32)ctx->arguments[0] != LOAD_PROGRAM)
        return 0;
    struct call call = {
        .number = ctx->number, .operation = module_operation_bpf_program_load,
        .path = ctx->arguments[1], .length = (u32)ctx->arguments[2],
    };
    return remember(&call, COUNTER_PENDING_FULL_module);
}

#define PROGRAM(record, call)                                                                \
    do {                                                                                     \
        struct program_attributes attributes = {};                                           \
        u64 length = (call)->length;                                                         \
        BOUND(length);                                                                       \
        if (length > sizeof(attributes))                                                     \
            length = sizeof(attributes);                                                     \
        if (read_user(&attributes, length, (void *)(call)->path)) {                          \
            count_loss(COUNTER_READ_FAULT_module);                                           \
        } else {                                                                             \
            NUMBER(module, record, program_type, attributes.program_type);                   \
            NUMBER(module, record, instruction_count, attributes.instruction_count);         \
            NUMBER(module, record, flags, attributes.flags);                                 \
            TEXT(module, record, program_name, copy_kernel_string, (u64)attributes.name);    \
        }                                                                                    \
    } while (NOTHING)

int exit_module(struct syscall_exit *ctx)
{
    struct actor actor = {};
    struct call call = {};
    if (!recall(&call, ctx->number))
        return 0;
    struct module_record *record = reserve_module();
    if (!record)
        return 0;
    find_actor(&actor);
    BEGIN(module, record);
    ACTOR(module, record, &actor);
    ACTOR_IMAGE(module, record, &actor);
    NUMBER(module, record, operation, call.operation);
    NUMBER(module, record, result, ctx->result);
    if (call.operation == module_operation_bpf_program_load)
        PROGRAM(record, &call);
    else if (call.operation != module_operation_init_module)
        NUMBER(module, record, flags, call.flags);
    if (call.operation == module_operation_delete_module) {
        TEXT(module, record, module_name, copy_user_string, call.path);
    } else if (call.operation == module_operation_finit_module) {
        TEXT(module, record, file_name, copy_file_name,
             file_of_descriptor((s32)call.descriptor));
        TEXT(module, record, parameters, copy_user_string, call.path);
    } else if (call.operation == module_operation_init_module) {
        NUMBER(module, record, image_bytes, call.length);
        TEXT(module, record, parameters, copy_user_string, call.path);
    }
    module_ring.ringbuf_submit(record, WAKE_IDLE_READER);
    return 0;
}
