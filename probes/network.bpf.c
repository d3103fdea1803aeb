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
    find_actor(&actor);
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
    network_ring.ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}
