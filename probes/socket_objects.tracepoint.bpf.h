/* Sockets without the kernel's own objects: only what the caller gave and what it was given.
 *
 * An accepted connection is known by the address that the kernel writes for the caller, in the
 * room that the caller offers. A caller that offers none can't be told from one on a UNIX socket:
 * it is no event, and counted. Failed accepts have no address and are no events.
 */

static __always_inline u64 offered_bytes(u64 length_address)
{
    u32 length = 0;
    read_user(&length, sizeof(length), (void *)length_address);
    return length;
}

/* The family of a socket whose address can't be read. */
static __always_inline u16 socket_family(s64 descriptor)
{
    count_loss(COUNTER_FAMILY_UNKNOWN);
    return NOTHING;
}

static __always_inline void find_accepted(
    struct call *call, s64 result, struct socket_address *address)
{
    u64 length = call->length;
    if (result < 0)
        return;
    BOUND(length);
    if (length > sizeof(*address))
        length = sizeof(*address);
    if (!call->path || length < sizeof(address->family)
        || read_user(address, length, (void *)call->path)) {
        __builtin_memset(address, 0, sizeof(*address));
        count_loss(COUNTER_FAMILY_UNKNOWN);
    }
}

#define ENDS_OF_ACCEPTED(record, call, address, result)                                      \
    do {                                                                                     \
        u8 peer[16] = {};                                                                    \
        if (asked_address((call)->length, address, peer)) {                                            \
            ADDRESS(network, record, remote_address, peer);                                  \
            NUMBER(network, record, remote_port, __builtin_bswap16((address)->port));        \
        }                                                                                    \
    } while (NOTHING)
