/* Members of the kernel's structs, found through offsets from BTF.
 *
 * The current task is where every way to them begins.
 */

/* A member of a kernel struct behind current_task(), or behind a pointer that was reached from it
 * in this way: MEMBER(u64, task, task_struct_mm). Kernels since 5.11 know the type of what
 * current_task() returns, check the load when the program is loaded, and make it a load that reads
 * 0 where the pointer leads nowhere: a nanosecond or two, where a helper takes 26. Addresses from
 * elsewhere (tracepoint arguments, memory read by a helper) can only be read through a helper.
 */
#ifdef TYPED_TASK
static u64 (*current_task)(void) = (void *)BPF_FUNC_get_current_task_btf;
#define MEMBER(type, address, member)                                                        \
    ({                                                                                       \
        u64 value;                                                                           \
        asm volatile("%0 = *(" #type " *)(%1 + %2)"                                          \
                     : "=r"(value)                                                           \
                     : "r"(address), "i"(OFFSET_##member));                                  \
        (type)value;                                                                         \
    })
#else
static u64 (*current_task)(void) = (void *)BPF_FUNC_get_current_task;
#define MEMBER(type, address, member) read_##type((address) + OFFSET_##member)
#endif
