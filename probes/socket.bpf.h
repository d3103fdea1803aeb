/* What calls on sockets have in common, whichever Template Type they end in. */

#define FAMILY_UNIX 1
#define FAMILY_IPV4 2
#define FAMILY_IPV6 10
#define IPV4_ADDRESS_BYTES 16 /* of struct sockaddr_in */
#define IPV6_ADDRESS_BYTES 24 /* of struct sockaddr_in6 without its scope */

#define SOCKET_STREAM 1
#define SOCKET_DATAGRAM 2

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

static __always_inline void map_ipv4(u8 *destination, u32 ipv4)
{
    __builtin_memset(destination, 0, 10);
    destination[10] = 0xff;
    destination[11] = 0xff;
    __builtin_memcpy(destination + 12, &ipv4, sizeof(ipv4));
}

/* Whether the program gave a whole address of its family; `host` gets its 16 bytes. */
static __always_inline int asked_address(
    u64 length, struct socket_address *address, u8 *host)
{
    if (address->family == FAMILY_IPV4 && length >= IPV4_ADDRESS_BYTES)
        map_ipv4(host, address->ipv4);
    else if (address->family == FAMILY_IPV6 && length >= IPV6_ADDRESS_BYTES)
        __builtin_memcpy(host, address->ipv6, sizeof(address->ipv6));
    else
        return 0;
    return 1;
}

static __always_inline void socket_host(
    u64 sock, u16 family, u64 ipv4_offset, u64 ipv6_offset, u8 *host)
{
    if (family == FAMILY_IPV4)
        map_ipv4(host, read_u32(sock + ipv4_offset));
    else
        read_kernel(host, 16, (void *)(sock + ipv6_offset));
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
