/* The end of connect, bind and accept: find the family, then report to network or to ipc.
 *
 * The address is the caller's memory. Where it can't be read although the kernel could, the
 * socket tells the family and the record goes out without an address, if the rung can ask it.
 */

static __always_inline int is_ip(u16 family)
{
    return family == FAMILY_IPV4 || family == FAMILY_IPV6;
}

/* Whether the caller's address could be read; if not, the family is the socket's, or 0. */
static __always_inline int asked_family(
    struct call *call, s64 result, struct socket_address *address)
{
    u64 length = call->length;
    BOUND(length);
    if (length > sizeof(*address))
        length = sizeof(*address);
    if (!read_user(address, length, (void *)call->path))
        return 1;
    __builtin_memset(address, 0, sizeof(*address));
    if (result != ERROR_BAD_DESCRIPTOR && result != ERROR_NOT_A_SOCKET)
        address->family = socket_family(call->descriptor);
    call->length = 0;
    return 0;
}

int exit_socket(struct syscall_exit *ctx)
{
    struct call call = {};
    struct socket_address address = {};
    s64 result = ctx->result;
    int readable = 1;
    if (!recall(&call, ctx->number))
        return 0;
    if (call.operation == SOCKET_ACCEPT)
        find_accepted(&call, result, &address);
    else
        readable = asked_family(&call, result, &address);
#ifdef SUPPLY_network
    if (is_ip(address.family)) {
        if (!readable)
            count_loss(COUNTER_READ_FAULT_network);
        report_network(&call, result, &address);
    }
#endif
#ifdef SUPPLY_ipc
    if (address.family == FAMILY_UNIX && call.operation != SOCKET_ACCEPT) {
        if (!readable)
            count_loss(COUNTER_READ_FAULT_ipc);
        report_unix(&call, result, readable);
    }
#endif
    return 0;
}
