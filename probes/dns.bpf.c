/* Template Type dns: messages that are sent to port 53, by what they ask.
 *
 * Only calls that can carry a datagram or the beginning of a stream's message are watched, and
 * they end at entry unless the address that is given, or the socket's peer, has port 53. The
 * message is read at exit, from the caller's memory.
 *
 * Where a message comes in pieces (an iovec), the first piece is taken, or the second where the
 * first holds no more than a stream's length of two bytes. That is how resolvers send.
 */

BPF_RINGBUF_OUTPUT(dns_ring, RING_PAGES_dns);

#define DNS_PORT 53
#define DNS_LENGTH_BYTES 2
#define DNS_HEADER_BYTES 12
#define DNS_TYPE_BYTES 2
#define DNS_LABEL_BYTES 63
#define DNS_NAME_BYTES 254 /* on the wire, behind the length of the first label */
#define DNS_LABELS 127
#define DNS_MESSAGES 4 /* of one sendmmsg, the rest is counted as lost; resolvers send two */

#define DNS_RESPONSE 0x80
#define DNS_OPCODE 0x78
#define DNS_OPCODE_QUERY 0x00
#define DNS_OPCODE_INVERSE_QUERY 0x08
#define DNS_OPCODE_STATUS 0x10
#define DNS_OPCODE_NOTIFY 0x20
#define DNS_OPCODE_UPDATE 0x28

#define SOCKET_STREAM 1
#define SOCKET_DATAGRAM 2

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

struct dns_header {
    u16 id;
    u8 flags;
    u8 more_flags;
    u16 questions;
    u16 answers;
    u16 authorities;
    u16 additional;
};

struct dns_message {
    u64 data;
    u64 length;
    u64 address;
    u64 address_length;
    s64 result;
    u64 type_place;  /* where the type of the question stands */
    u32 name_length; /* 0 while no name was found */
    u32 there;       /* bytes of the name, and perhaps of what is behind it */
    u32 place;       /* in the name: where the next label's length is */
    u32 operation;
    u16 port;
    u16 socket_type;
    u8 host[16];
};

BPF_PERCPU_ARRAY(dns_scratch, struct dns_message, 1);

/* What is read from memory again is one unknown value to the verifier. Without this it would follow
 * each way in which a value can have come about to the end of the program, and give up.
 */
#define FORGET() asm volatile("" ::: "memory")

static __always_inline int is_dns_port(u16 port)
{
    return __builtin_bswap16(port) == DNS_PORT;
}

/* The port of a socket's peer as the network writes it, or 0. */
static __always_inline u16 peer_port(u64 sock)
{
    u16 family = sock ? read_u16(sock + OFFSET_sock_common_skc_family) : 0;
    if (family != FAMILY_IPV4 && family != FAMILY_IPV6)
        return 0;
    return read_u16(sock + OFFSET_sock_common_skc_dport);
}

static __always_inline u16 read_user_u16(u64 address)
{
    u16 value = 0;
    read_user(&value, sizeof(value), (void *)address);
    return value;
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

/* Skip the length before a message in a stream; 0 if there is nothing behind it. */
static __always_inline int skip_length(struct dns_message *message)
{
    u16 length;
    if (message->socket_type != SOCKET_STREAM)
        return 1;
    if (message->length <= DNS_LENGTH_BYTES)
        return 0;
    length = __builtin_bswap16(read_user_u16(message->data));
    if (length < DNS_HEADER_BYTES || length > message->length - DNS_LENGTH_BYTES)
        return 1;
    message->data += DNS_LENGTH_BYTES;
    message->length = length;
    return 1;
}

static __always_inline u32 dns_operation(struct dns_message *message)
{
    struct dns_header header = {};
    if (message->length <= DNS_HEADER_BYTES
        || read_user(&header, DNS_HEADER_BYTES, (void *)message->data) || !header.questions)
        return dns_operation_malformed;
    if (header.flags & DNS_RESPONSE)
        return dns_operation_response;
    u8 code = header.flags & DNS_OPCODE;
    if (code == DNS_OPCODE_QUERY)
        return dns_operation_query;
    if (code == DNS_OPCODE_INVERSE_QUERY)
        return dns_operation_inverse_query;
    if (code == DNS_OPCODE_STATUS)
        return dns_operation_status;
    if (code == DNS_OPCODE_NOTIFY)
        return dns_operation_notify;
    return code == DNS_OPCODE_UPDATE ? dns_operation_update : dns_operation_other;
}

/* Put dots where labels' lengths are, and find out how long the name is. Where the next length is
 * stays in memory, so that all turns of the loop, and all ways out of it, look alike to the verifier.
 */
static __always_inline void put_dots(u8 *name, struct dns_message *message)
{
#pragma clang loop unroll(disable)
    for (int label = 0; label < DNS_LABELS; label++) {
        FORGET();
        u64 place = message->place;
        if (place >= DNS_NAME_BYTES || place >= message->there)
            break;
        u8 length = name[place];
        if (!length)
            message->name_length = place;
        if (!length || length > DNS_LABEL_BYTES)
            break;
        name[place] = '.';
        message->place = place + length + 1;
    }
    FORGET();
}

/* The name of the first question; finds out where its type stands, and whether it is well formed. */
static __always_inline s64 copy_query_name(
    u8 *destination, u64 capacity, struct dns_message *message)
{
    u64 source = message->data + DNS_HEADER_BYTES;
    u64 there = message->length - DNS_HEADER_BYTES - 1;
    u8 first = 0;
    message->type_place = source + 1;
    if (read_user(&first, 1, (void *)source))
        return -1;
    if (!first) {
        destination[0] = '.';
        return 1;
    }
    BOUND(there);
    if (there > DNS_NAME_BYTES)
        there = DNS_NAME_BYTES;
    if (read_user(destination, there, (void *)(source + 1)))
        return -1;
    message->there = there;
    message->place = first;
    if (message->place <= DNS_LABEL_BYTES)
        put_dots(destination, message);
    if (!message->name_length) {
        message->operation = dns_operation_malformed;
        return UNKNOWN;
    }
    message->type_place += message->name_length + 1;
    return message->name_length;
}

static __always_inline void report_message(struct dns_message *message)
{
    struct actor actor = {};
    struct dns_record *record = dns_ring.ringbuf_reserve(sizeof(struct dns_record));
    if (!record) {
        count_loss(COUNTER_RING_FULL_dns);
        return;
    }
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
    dns_ring.ringbuf_submit(record, BPF_RB_NO_WAKEUP);
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
