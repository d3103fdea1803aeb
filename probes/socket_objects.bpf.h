/* Sockets as the kernel's own objects show them, found through offsets from BTF.
 *
 * The peer of an accepted connection is read from the new socket: a program that wants no peer
 * address hides nothing.
 */

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

static __always_inline void socket_host(
    u64 sock, u16 family, u64 ipv4_offset, u64 ipv6_offset, u8 *host)
{
    if (family == FAMILY_IPV4)
        map_ipv4(host, read_u32(sock + ipv4_offset));
    else
        read_kernel(host, 16, (void *)(sock + ipv6_offset));
}

#define ENDS_OF_SOCKET(record, sock, family)                                                 \
    do {                                                                                     \
        u8 host[16] = {};                                                                    \
        socket_host(sock, family, OFFSET_sock_common_skc_daddr,                              \
                    OFFSET_sock_common_skc_v6_daddr, host);                                  \
        ADDRESS(network, record, remote_address, host);                                      \
        NUMBER(network, record, remote_port,                                                 \
               __builtin_bswap16(read_u16((sock) + OFFSET_sock_common_skc_dport)));          \
        socket_host(sock, family, OFFSET_sock_common_skc_rcv_saddr,                          \
                    OFFSET_sock_common_skc_v6_rcv_saddr, host);                              \
        ADDRESS(network, record, local_address, host);                                       \
        NUMBER(network, record, local_port, read_u16((sock) + OFFSET_sock_common_skc_num));  \
    } while (NOTHING)

/* Addresses that the kernel writes for the caller are not looked at here. */
static __always_inline u64 offered_bytes(u64 length_address)
{
    return NOTHING;
}

static __always_inline void find_accepted(
    struct call *call, s64 result, struct socket_address *address)
{
    if (result != ERROR_BAD_DESCRIPTOR && result != ERROR_NOT_A_SOCKET)
        address->family = socket_family(result < 0 ? call->descriptor : result);
}

#define ENDS_OF_ACCEPTED(record, call, address, result)                                      \
    do {                                                                                     \
        u64 sock = socket_of_descriptor(result);                                             \
        if (sock)                                                                            \
            ENDS_OF_SOCKET(record, sock, (address)->family);                                 \
    } while (NOTHING)
