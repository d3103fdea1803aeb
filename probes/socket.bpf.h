/* What connect, bind and accept have in common, whichever Template Type they end in. */

#define FAMILY_UNIX 1
#define FAMILY_IPV4 2
#define FAMILY_IPV6 10
#define IPV4_ADDRESS_BYTES 16 /* of struct sockaddr_in */
#define IPV6_ADDRESS_BYTES 24 /* of struct sockaddr_in6 without its scope */

#define ERROR_BAD_DESCRIPTOR (-9)
#define ERROR_NOT_A_SOCKET (-88)

#define SOCKET_CONNECT 1
#define SOCKET_BIND 2
#define SOCKET_ACCEPT 3

struct socket_address {
    u16 family;
    u16 port;
    u32 ipv4;
    u8 ipv6[16];
};

/* struct sock behind a descriptor that is known to be a socket, or 0. */
static __always_inline u64 socket_of_descriptor(s64 descriptor)
{
    u64 file = file_of_descriptor(descriptor);
    u64 socket = file ? read_u64(file + OFFSET_file_private_data) : 0;
    return socket ? read_u64(socket + OFFSET_socket_sk) : 0;
}

static __always_inline u16 socket_family(s64 descriptor)
{
    u64 sock = socket_of_descriptor(descriptor);
    return sock ? read_u16(sock + OFFSET_sock_common_skc_family) : 0;
}

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
    return remember_socket(ctx->number, SOCKET_ACCEPT, ctx->arguments[0], NOTHING, NOTHING);
}
