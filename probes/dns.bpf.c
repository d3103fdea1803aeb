/* Template Type dns: messages that are sent to port 53, by what they ask.
 *
 * Only calls that can carry a datagram or the beginning of a stream's message are watched, and
 * they end at entry unless the address that is given, or the socket's peer, has port 53. The
 * message is read at exit, from the caller's memory.
 *
 * Where a message comes in pieces (an iovec), the first piece is taken, or the second where the
 * first holds no more than a stream's length of two bytes. That is how resolvers send.
 */

#define DNS_MESSAGES 4 /* of one sendmmsg, the rest is counted as lost; resolvers send two */

#define SEND_BUFFER 1
#define SEND_VECTOR 2
#define SEND_MESSAGE 3
#define SEND_MESSAGES 4

struct vector {
    u64 base;
    u64 length;
};

struct message_header {
    u64 address;
    u32 address_length;
    u32 padding;
    u64 vectors;
    u64 vector_count;
    u64 control;
    u64 control_length;
    u64 flags;
};

/* Of several messages, each has behind its header how many bytes were sent, in eight bytes. */
#define SENT_OFFSET sizeof(struct message_header)
#define SEVERAL_STRIDE (SENT_OFFSET + 8)

/* The port of a socket's peer as the network writes it, or 0. */
static __always_inline u16 peer_port(u64 sock)
{
    u16 family = sock ? read_u16(sock + OFFSET_sock_common_skc_family) : 0;
    if (family != FAMILY_IPV4 && family != FAMILY_IPV6)
        return 0;
    return read_u16(sock + OFFSET_sock_common_skc_dport);
}

/* Whether an address that was given has port 53, or can't be read before the kernel has. */
static __always_inline int may_be_dns_address(u64 address, u64 length)
{
    struct socket_address given = {};
    if (!address || length < IPV4_ADDRESS_BYTES)
        return 0;
    return read_user(&given, 4, (void *)address) || is_dns_port(given.port);
}

static __always_inline int may_be_dns(s64 descriptor, u64 address, u64 length)
{
    return may_be_dns_address(address, length)
        || is_dns_port(peer_port(socket_of_descriptor(descriptor)));
}

static __always_inline int remember_send(
    u32 number, u32 form, u64 descriptor, u64 data, u64 length, u64 address, u64 address_length)
{
    struct call call = {
        .number = number, .operation = form, .descriptor = (u32)descriptor,
        .path = data, .length = length, .target_path = address, .mode = (u32)address_length,
    };
    return remember(&call, COUNTER_PENDING_FULL_dns);
}

int enter_sendto(struct syscall_enter *ctx)
{
    u64 *given = ctx->arguments;
    if (!may_be_dns((s32)given[0], given[4], (u32)given[5]))
        return 0;
    return remember_send(ctx->number, SEND_BUFFER, given[0], given[1], given[2], given[4], given[5]);
}

int enter_writev(struct syscall_enter *ctx)
{
    u64 *given = ctx->arguments;
    if (!may_be_dns((s32)given[0], NOTHING, NOTHING))
        return 0;
    return remember_send(
        ctx->number, SEND_VECTOR, given[0], given[1], given[2], NOTHING, NOTHING);
}

static __always_inline int may_be_dns_message(u64 header)
{
    struct message_header given = {};
    return read_user(&given, 16, (void *)header)
        || may_be_dns_address(given.address, given.address_length);
}

int enter_sendmsg(struct syscall_enter *ctx)
{
    u64 *given = ctx->arguments;
    if (!may_be_dns_message(given[1]) && !may_be_dns((s32)given[0], NOTHING, NOTHING))
        return 0;
    return remember_send(ctx->number, SEND_MESSAGE, given[0], given[1], 1, NOTHING, NOTHING);
}

int enter_sendmmsg(struct syscall_enter *ctx)
{
    u64 *given = ctx->arguments;
    int wanted = may_be_dns((s32)given[0], NOTHING, NOTHING);
#pragma clang loop unroll(disable)
    for (u32 index = 0; index < DNS_MESSAGES; index++) {
        if (wanted || index >= (u32)given[2])
            break;
        wanted = may_be_dns_message(given[1] + index * SEVERAL_STRIDE);
    }
    if (!wanted)
        return 0;
    return remember_send(
        ctx->number, SEND_MESSAGES, given[0], given[1], (u32)given[2], NOTHING, NOTHING);
}

static __always_inline int find_data(struct dns_message *message, u64 vectors, u64 count)
{
    struct vector piece = {};
    if (!count || read_user(&piece, sizeof(piece), (void *)vectors))
        return 0;
    if (count > 1 && piece.length <= DNS_LENGTH_BYTES
        && read_user(&piece, sizeof(piece), (void *)(vectors + sizeof(piece))))
        return 0;
    message->data = piece.base;
    message->length = piece.length;
    return 1;
}

/* Where the message with this index lies; 0 if that can't be read. */
static __always_inline int find_message(struct call *call, u32 index, struct dns_message *message)
{
    struct message_header header = {};
    u32 sent = 0;
    u64 place = call->path + (u64)index * SEVERAL_STRIDE;
    if (call->operation == SEND_BUFFER) {
        message->data = call->path;
        message->length = call->length;
        message->address = call->target_path;
        message->address_length = call->mode;
        return 1;
    }
    if (call->operation == SEND_VECTOR)
        return find_data(message, call->path, call->length);
    if (read_user(&header, sizeof(header), (void *)place))
        return 0;
    message->address = header.address;
    message->address_length = header.address_length;
    if (call->operation == SEND_MESSAGES && message->result >= 0) {
        read_user(&sent, sizeof(sent), (void *)(place + SENT_OFFSET));
        message->result = sent;
    }
    return find_data(message, header.vectors, header.vector_count);
}

/* Where it went: a stream to its peer, a datagram to the address that was given, else its peer. */
static __always_inline void find_server(struct dns_message *message, u64 sock)
{
    struct socket_address address = {};
    u64 length = message->address_length;
    u16 port = peer_port(sock);
    message->socket_type = read_u16(sock + OFFSET_sock_sk_type);
    if (message->address && (message->socket_type == SOCKET_DATAGRAM || !port)) {
        BOUND(length);
        if (length > sizeof(address))
            length = sizeof(address);
        if (read_user(&address, length, (void *)message->address))
            return;
        if (!address.family)
            address.family = FAMILY_IPV4; /* a datagram's address may leave it out */
        if (asked_address(length, &address, message->host))
            message->port = address.port;
        return;
    }
    if (port)
        socket_host(sock, read_u16(sock + OFFSET_sock_common_skc_family),
                    OFFSET_sock_common_skc_daddr, OFFSET_sock_common_skc_v6_daddr, message->host);
    message->port = port;
}

static __always_inline void report_message(struct dns_message *message)
{
    struct actor actor = {};
    struct dns_record *record = reserve_dns();
    if (!record)
        return;
    find_actor(&actor);
    BEGIN(dns, record);
    ACTOR(dns, record, &actor);
    ACTOR_IMAGE(dns, record, &actor);
    NUMBER(dns, record, transport,
           message->socket_type == SOCKET_STREAM ? dns_transport_tcp : dns_transport_udp);
    ADDRESS(dns, record, remote_address, message->host);
    NUMBER(dns, record, remote_port, __builtin_bswap16(message->port));
    NUMBER(dns, record, result, message->result);
    message->operation = dns_operation(message);
    FORGET();
    if (message->operation != dns_operation_malformed)
        TEXT(dns, record, query_name, copy_query_name, message);
    FORGET();
    NUMBER(dns, record, operation, message->operation);
    if (message->operation != dns_operation_malformed
        && message->type_place + DNS_TYPE_BYTES <= message->data + message->length)
        NUMBER(dns, record, query_type, __builtin_bswap16(read_user_u16(message->type_place)));
    dns_ring.ringbuf_submit(record, WAKE_IDLE_READER);
}

/* How many messages the call handled: one, but for sendmmsg those that it says were sent. */
static __always_inline u64 handled_messages(struct call *call, s64 result)
{
    return call->operation == SEND_MESSAGES && result > 1 ? result : 1;
}

int exit_send(struct syscall_exit *ctx)
{
    struct call call = {};
    s64 result = ctx->result;
    if (!recall(&call, ctx->number) || result == ERROR_BAD_DESCRIPTOR
        || result == ERROR_NOT_A_SOCKET)
        return 0;
    u32 only = 0;
    struct dns_message *message = dns_scratch.lookup(&only);
    u64 sock = socket_of_descriptor((s32)call.descriptor);
    u64 handled = handled_messages(&call, result);
    if (!message)
        return 0;
#pragma clang loop unroll(disable)
    for (u32 index = 0; index < DNS_MESSAGES; index++) {
        if (index >= handled)
            break;
        __builtin_memset(message, 0, sizeof(*message));
        message->result = result;
        if (!find_message(&call, index, message)) {
            count_loss(COUNTER_READ_FAULT_dns);
            continue;
        }
        FORGET();
        find_server(message, sock);
        FORGET();
        if (message->socket_type != SOCKET_STREAM && message->socket_type != SOCKET_DATAGRAM)
            continue;
        if (is_dns_port(message->port) && skip_length(message))
            report_message(message);
    }
    if (handled > DNS_MESSAGES && is_dns_port(message->port))
        count_losses(COUNTER_PENDING_FULL_dns, handled - DNS_MESSAGES);
    return 0;
}
