/* Template Type ipc: connect and bind on UNIX sockets, and FIFOs that are made.
 *
 * A pathname ends at its first NUL or with the address; an abstract name begins with a NUL, is
 * exactly as long as the address says and may hold any byte.
 */

#define FILE_TYPE_BITS 0170000
#define FILE_TYPE_FIFO 0010000
#define UNIX_PATH_OFFSET 2
#define UNIX_PATH_BYTES 108

static __always_inline s64 copy_unix_path(u8 *destination, u64 capacity, struct call *call)
{
    u64 length = call->length - UNIX_PATH_OFFSET;
    u64 source = call->path + UNIX_PATH_OFFSET;
    u8 name[UNIX_PATH_BYTES + 1] = {};
    BOUND(length);
    if (length > UNIX_PATH_BYTES)
        length = UNIX_PATH_BYTES;
    if (read_user(name, length, (void *)source))
        return -1;
    return copy_kernel_string(destination, capacity, (u64)name);
}

static __always_inline s64 copy_abstract_name(u8 *destination, u64 capacity, struct call *call)
{
    return copy_user_bytes(destination, capacity, call->path + UNIX_PATH_OFFSET + 1,
                           call->length - UNIX_PATH_OFFSET - 1);
}

#define BEGIN_IPC(record, actor)                                                             \
    do {                                                                                     \
        find_actor(actor);                                                                   \
        BEGIN(ipc, record);                                                                  \
        ACTOR(ipc, record, actor);                                                           \
        ACTOR_IMAGE(ipc, record, actor);                                                     \
    } while (NOTHING)

static __always_inline void report_unix(struct call *call, s64 result, int readable)
{
    struct actor actor = {};
    u8 first = 0;
    struct ipc_record *record = reserve_ipc();
    if (!record)
        return;
    BEGIN_IPC(record, &actor);
    NUMBER(ipc, record, operation,
           call->operation == SOCKET_BIND ? ipc_operation_bind : ipc_operation_connect);
    NUMBER(ipc, record, descriptor, call->descriptor);
    NUMBER(ipc, record, result, result);
    /* A length of 2 is an address without a name: bind makes one up. */
    if (readable && call->length > UNIX_PATH_OFFSET) {
        read_user(&first, 1, (void *)(call->path + UNIX_PATH_OFFSET));
        NUMBER(ipc, record, abstract, first == 0);
        if (first)
            TEXT(ipc, record, path, copy_unix_path, call);
        else
            TEXT(ipc, record, path, copy_abstract_name, call);
    }
    ipc_ring.ringbuf_submit(record, WAKE_IDLE_READER);
}

#ifndef CALL_REGISTERS
static __always_inline int remember_unix(struct syscall_enter *ctx, u32 operation)
{
    return remember_socket(
        OF_IPC, ctx->number, operation, ctx->arguments[0], ctx->arguments[1], ctx->arguments[2]);
}

int enter_connect_unix(struct syscall_enter *ctx)
{
    return remember_unix(ctx, SOCKET_CONNECT);
}

int enter_bind_unix(struct syscall_enter *ctx)
{
    return remember_unix(ctx, SOCKET_BIND);
}
#endif

int exit_unix(struct syscall_exit *ctx)
{
    struct call call = {};
    struct socket_address address = {};
    if (!find_socket_call(OF_IPC, &call, ctx))
        return 0;
    int readable = asked_family(&call, ctx->result, &address);
    if (address.family != FAMILY_UNIX)
        return 0;
    if (!readable)
        count_loss(COUNTER_READ_FAULT_ipc);
    report_unix(&call, ctx->result, readable);
    return 0;
}

static __always_inline int remember_fifo(u32 number, u64 path, u64 mode)
{
    if ((mode & FILE_TYPE_BITS) != FILE_TYPE_FIFO)
        return 0;
    struct call call = {
        .number = number, .operation = ipc_operation_fifo_create, .path = path, .mode = mode,
    };
    return remember(&call, COUNTER_PENDING_FULL_ipc);
}

int enter_mknod(struct syscall_enter *ctx)
{
    return remember_fifo(ctx->number, ctx->arguments[0], ctx->arguments[1]);
}

int enter_mknodat(struct syscall_enter *ctx)
{
    return remember_fifo(ctx->number, ctx->arguments[1], ctx->arguments[2]);
}

int exit_fifo(struct syscall_exit *ctx)
{
    struct actor actor = {};
    struct call call = {};
    if (!recall(&call, ctx->number))
        return 0;
    struct ipc_record *record = reserve_ipc();
    if (!record)
        return 0;
    BEGIN_IPC(record, &actor);
    NUMBER(ipc, record, operation, ipc_operation_fifo_create);
    NUMBER(ipc, record, mode, call.mode & MODE_BITS);
    NUMBER(ipc, record, result, ctx->result);
    NUMBER(ipc, record, abstract, 0);
    TEXT(ipc, record, path, copy_user_string, call.path);
    ipc_ring.ringbuf_submit(record, WAKE_IDLE_READER);
    return 0;
}
