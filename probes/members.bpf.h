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

/* What helpers say of the current task, for fewer nanoseconds where loads are typed: a helper takes
 * about 13, of which half is the mitigated return.
 */
static __always_inline u64 pid_and_thread_of(u64 task)
{
#ifdef TYPED_TASK
    return (u64)MEMBER(u32, task, task_struct_tgid) << 32 | MEMBER(u32, task, task_struct_pid);
#else
    return bpf_get_current_pid_tgid();
#endif
}

static __always_inline u64 user_and_group_of(u64 task)
{
#ifdef TYPED_TASK
    u64 credentials = MEMBER(u64, task, task_struct_cred);
    return (u64)MEMBER(u32, credentials, cred_gid) << 32 | MEMBER(u32, credentials, cred_uid);
#else
    return bpf_get_current_uid_gid();
#endif
}

static __always_inline u64 cgroup_id_of(u64 task)
{
#if defined(TYPED_TASK) && OFFSET_task_struct_cgroups
    u64 set = MEMBER(u64, task, task_struct_cgroups);
    u64 group = MEMBER(u64, set, css_set_dfl_cgrp);
    u64 node = MEMBER(u64, group, cgroup_kn);
    return MEMBER(u64, node, kernfs_node_id);
#else
    return bpf_get_current_cgroup_id();
#endif
}
