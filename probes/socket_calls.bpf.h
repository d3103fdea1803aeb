/* connect, bind and accept: what was asked for is kept until the call returns, or read from the call's
 * registers then; the family decides whether it is an event of network or of ipc.
 *
 * Each of them has its own programs on connect and bind. The address is the caller's memory. Where it
 * can't be read although the kernel could, the socket tells the family and the record goes out
 * without an address, if the rung can ask it.
 */

#ifdef CALL_REGISTERS
#define CALL_CONNECT 42
#define CALL_BIND 49
#endif

static __always_inline int is_ip(u16 family)
{
    return family == FAMILY_IPV4 || family == FAMILY_IPV6;
}

/* owner: 0 or OF_IPC. What finds no room is counted under that of the two to which its address says
 * that it belongs; where it says nothing, under each that is attached.
 */
static __always_inline int remember_socket(
    u64 owner, u32 number, u32 operation, u64 descriptor, u64 address, u64 length)
{
    u16 family = 0;
    struct call call = {
        .number = number, .operation = operation, .descriptor = (u32)descriptor,
        .path = address, .length = (u32)length,
    };
    if (!update_pending(bpf_get_current_pid_tgid() | owner, &call))
        return 0;
    if (operation != SOCKET_ACCEPT)
        read_user(&family, sizeof(family), (void *)address);
#ifdef SUPPLY_ipc
    if (owner == OF_IPC && !is_ip(family))
        count_loss(COUNTER_PENDING_FULL_ipc);
#endif
#ifdef SUPPLY_network
    if (owner != OF_IPC && family != FAMILY_UNIX)
        count_loss(COUNTER_PENDING_FULL_network);
#endif
    return 0;
}

/* Whether there is a call to look at. */
static __always_inline int find_socket_call(u64 owner, struct call *call, struct syscall_exit *ctx)
{
#ifdef CALL_REGISTERS
    if (ctx->number == CALL_CONNECT || ctx->number == CALL_BIND) {
        /* Neither returns more than 0: a seccomp filter has sent a signal in the call's place. */
        if (ctx->result > 0)
            return 0;
        u64 registers = call_registers(current_task());
        call->operation = ctx->number == CALL_CONNECT ? SOCKET_CONNECT : SOCKET_BIND;
        call->descriptor = MEMBER(u32, registers, pt_regs_di);
        call->path = MEMBER(u64, registers, pt_regs_si);
        call->length = MEMBER(u32, registers, pt_regs_dx);
        return 1;
    }
#endif
    return recall_of(owner, call, ctx->number);
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
