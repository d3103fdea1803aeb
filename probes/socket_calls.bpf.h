/* The begin of connect, bind and accept: what was asked for is kept until the call returns. */

static __always_inline int remember_socket(
    u32 number, u32 operation, u64 descriptor, u64 address, u64 length)
{
    u16 family = 0;
    struct call call = {
        .number = number, .operation = operation, .descriptor = (u32)descriptor,
        .path = address, .length = (u32)length,
    };
    u64 thread = bpf_get_current_pid_tgid();
    if (!pending.update(&thread, &call))
        return 0;
    read_user(&family, sizeof(family), (void *)address);
    count_loss(operation != SOCKET_ACCEPT && family == FAMILY_UNIX
                   ? COUNTER_PENDING_FULL_ipc : COUNTER_PENDING_FULL_network);
    return 0;
}

int enter_connect(struct syscall_enter *ctx)
{
    return remember_socket(ctx->number, SOCKET_CONNECT, ctx->arguments[0], ctx->arguments[1],
                           ctx->arguments[2]);
}

int enter_bind(struct syscall_enter *ctx)
{
    return remember_socket(ctx->number, SOCKET_BIND, ctx->arguments[0], ctx->arguments[1],
                           ctx->arguments[2]);
}

int enter_accept(struct syscall_enter *ctx)
{
    return remember_socket(ctx->number, SOCKET_ACCEPT, ctx->arguments[0], ctx->arguments[1],
                           offered_bytes(ctx->arguments[2]));
}
