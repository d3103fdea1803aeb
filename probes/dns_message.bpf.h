/* What a DNS message says: what it is, and which name its first question asks for.
 *
 * All of it is read from the memory of the process that sent it. What is known of a message is kept
 * in a map, not on the stack, so that the verifier has one state to follow and not one for each way
 * in which the values can have come about.
 */

#define DNS_PORT 53
#define DNS_LENGTH_BYTES 2
#define DNS_HEADER_BYTES 12
#define DNS_TYPE_BYTES 2
#define DNS_LABEL_BYTES 63
#define DNS_NAME_BYTES 254 /* on the wire, behind the length of the first label */
#define DNS_LABELS 127

#define DNS_RESPONSE 0x80
#define DNS_OPCODE 0x78
#define DNS_OPCODE_QUERY 0x00
#define DNS_OPCODE_INVERSE_QUERY 0x08
#define DNS_OPCODE_STATUS 0x10
#define DNS_OPCODE_NOTIFY 0x20
#define DNS_OPCODE_UPDATE 0x28

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

static __always_inline u16 read_user_u16(u64 address)
{
    u16 value = 0;
    read_user(&value, sizeof(value), (void *)address);
    return value;
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
