/* Template Type network: connect, bind and accept on IP addresses.
 *
 * connect and bind tell what the program asked for, from its own memory. accept tells what the
 * kernel did; socket_objects*.bpf.h says how, which depends on the rung.
 */

static __always_inline void report_network(
    struct call *call, s64 result, struct socket_address *address)
{
    struct network_record *record = reserve_network();
    if (!record)
        return;
    struct actor actor = {};
    u8 host[16] = {};
    u16 family = address->family;
    find_actor_often(&actor);
    BEGIN(network, record);
    ACTOR(network, record, &actor);
    ACTOR_IMAGE(network, record, &actor);
    NUMBER(network, record, result, result);
    NUMBER(network, record, family,
           family == FAMILY_IPV4 ? network_family_ipv4 : network_family_ipv6);
    if (call->operation == SOCKET_CONNECT) {
        NUMBER(network, record, operation, network_operation_connect);
        if (asked_address(call->length, address, host)) {
            ADDRESS(network, record, remote_address, host);
            NUMBER(network, record, remote_port, __builtin_bswap16(address->port));
        }
    } else if (call->operation == SOCKET_BIND) {
        NUMBER(network, record, operation, network_operation_bind);
        if (asked_address(call->length, address, host)) {
            ADDRESS(network, record, local_address, host);
            NUMBER(network, record, local_port, __builtin_bswap16(address->port));
        }
    } else {
        NUMBER(network, record, operation, network_operation_accept);
        ENDS_OF_ACCEPTED(record, call, address, result);
    }
    network_ring.ringbuf_submit(record, WAKE_IDLE_READER);
}

static __always_inline int remember_ip(struct syscall_enter *ctx, u32 operation, u64 length)
{
    return remember_socket(
        NOTHING, ctx->number, operation, ctx->arguments[0], ctx->arguments[1], length);
}

#ifndef CALL_REGISTERS
int enter_connect(struct syscall_enter *ctx)
{
    return remember_ip(ctx, SOCKET_CONNECT, ctx->arguments[2]);
}

int enter_bind(struct syscall_enter *ctx)
{
    return remember_ip(ctx, SOCKET_BIND, ctx->arguments[2]);
}
#endif

int enter_accept(struct syscall_enter *ctx)
{
    return remember_ip(ctx, SOCKET_ACCEPT, offered_bytes(ctx->arguments[2]));
}

int exit_network(struct syscall_exit *ctx)
{
    struct call call = {};
    struct socket_address address = {};
    s64 result = ctx->result;
    int readable = 1;
    if (!find_socket_call(NOTHING, &call, ctx))
        return 0;
    if (call.operation == SOCKET_ACCEPT)
        find_accepted(&call, result, &address);
    else
        readable = asked_family(&call, result, &address);
    if (!is_ip(address.family))
        return 0;
    if (!readable)
        count_loss(COUNTER_READ_FAULT_network);
    report_network(&call, result, &address);
    return 0;
}
