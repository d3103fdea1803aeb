/* Template Type network: connect, bind and accept on IP addresses.
 *
 * connect and bind tell what the program asked for, from its own memory. accept tells what the
 * kernel did, from the new socket: a program that wants no peer address hides nothing.
 */

BPF_RINGBUF_OUTPUT(network_ring, RING_PAGES_network);

static __always_inline void map_ipv4(u8 *destination, u32 ipv4)
{
    __builtin_memset(destination, 0, 10);
    destination[10] = 0xff;
    destination[11] = 0xff;
    __builtin_memcpy(destination + 12, &ipv4, sizeof(ipv4));
}

/* Whether the program gave a whole address of its family; `host` gets its 16 bytes. */
static __always_inline int asked_address(
    struct call *call, struct socket_address *address, u8 *host)
{
    if (address->family == FAMILY_IPV4 && call->length >= IPV4_ADDRESS_BYTES)
        map_ipv4(host, address->ipv4);
    else if (address->family == FAMILY_IPV6 && call->length >= IPV6_ADDRESS_BYTES)
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

#define ENDS_OF_ACCEPTED(record, sock, family)                                               \
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

static __always_inline void report_network(
    struct call *call, s64 result, struct socket_address *address)
{
    struct network_record *record = network_ring.ringbuf_reserve(sizeof(struct network_record));
    if (!record) {
        count_loss(COUNTER_RING_FULL_network);
        return;
    }
    struct actor actor = {};
    u8 host[16] = {};
    u16 family = address->family;
    find_actor(&actor);
    BEGIN(network, record);
    ACTOR(network, record, &actor);
    ACTOR_IMAGE(network, record, &actor);
    NUMBER(network, record, result, result);
    NUMBER(network, record, family,
           family == FAMILY_IPV4 ? network_family_ipv4 : network_family_ipv6);
    if (call->operation == SOCKET_CONNECT) {
        NUMBER(network, record, operation, network_operation_connect);
        if (asked_address(call, address, host)) {
            ADDRESS(network, record, remote_address, host);
            NUMBER(network, record, remote_port, __builtin_bswap16(address->port));
        }
    } else if (call->operation == SOCKET_BIND) {
        NUMBER(network, record, operation, network_operation_bind);
        if (asked_address(call, address, host)) {
            ADDRESS(network, record, local_address, host);
            NUMBER(network, record, local_port, __builtin_bswap16(address->port));
        }
    } else {
        NUMBER(network, record, operation, network_operation_accept);
        u64 sock = socket_of_descriptor(result);
        if (sock)
            ENDS_OF_ACCEPTED(record, sock, family);
    }
    network_ring.ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}
