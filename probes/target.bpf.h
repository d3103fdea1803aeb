/* Which process a number or a pidfd means, as the kernel would find it for the caller.
 *
 * A number counts in the caller's own pid namespace. It is looked up there as the kernel does it:
 * in the radix tree (xarray) that the namespace keeps of its pids. What is found is used only if
 * it bears that number, and a task only if it says that it has that pid; so memory that is
 * something else is never taken for a process.
 */

#define UPID_BYTES 16

#define ENTRY_KIND 3
#define ENTRY_NODE 2
#define NODE_SLOT_BITS 6
#define NODE_LEVELS 4 /* 4 times 6 bits: pids have 22 at most */
#define SHIFT_BITS 31

#define PIDFD_SELF_THREAD (-10000)
#define PIDFD_SELF_THREAD_GROUP (-10001)

static __always_inline u64 entry_of_number(u64 namespace, u32 number)
{
    u64 entry = read_u64(namespace + OFFSET_pid_namespace_idr + OFFSET_idr_idr_rt
                         + OFFSET_xarray_xa_head);
    u64 slot;
#pragma clang loop unroll(disable)
    for (int level = 0; level < NODE_LEVELS; level++) {
        if ((entry & ENTRY_KIND) != ENTRY_NODE)
            break;
        u64 node = entry - ENTRY_NODE;
        u8 shift = 0;
        read_kernel(&shift, sizeof(shift), (void *)(node + OFFSET_xa_node_shift));
        slot = number >> (shift & SHIFT_BITS) & ((1 << NODE_SLOT_BITS) - 1);
        entry = read_u64(node + OFFSET_xa_node_slots + slot * sizeof(u64));
    }
    return entry & ENTRY_KIND ? 0 : entry;
}

/* struct pid that a number means to the current process, or 0. */
static __always_inline u64 pid_of_number(u32 number)
{
    u64 own = read_u64(bpf_get_current_task() + OFFSET_task_struct_thread_pid);
    u64 place = OFFSET_pid_numbers + (u64)read_u32(own + OFFSET_pid_level) * UPID_BYTES;
    u64 pid = entry_of_number(read_u64(own + place + OFFSET_upid_ns), number);
    if (!pid || read_u32(pid + place + OFFSET_upid_nr) != number)
        return 0;
    return pid;
}

/* The task that has a pid, or 0 if it is gone, or if this is no struct pid. */
static __always_inline u64 task_of_pid(u64 pid)
{
    u64 link = pid ? read_u64(pid + OFFSET_pid_tasks) : 0;
    u64 task = link - OFFSET_task_struct_pid_links;
    if (!link || read_u64(task + OFFSET_task_struct_thread_pid) != pid)
        return 0;
    return task;
}

/* The task that a pidfd means, or 0. From 6.9 on the pid is in the inode, before in the file. */
static __always_inline u64 task_of_pidfd(s64 descriptor)
{
    u64 file = file_of_descriptor(descriptor);
    u64 task = file ? task_of_pid(read_u64(file + OFFSET_file_private_data)) : 0;
    if (!file || task)
        return task;
    u64 inode = read_u64(file + OFFSET_file_f_inode);
    return task_of_pid(read_u64(inode + OFFSET_inode_i_private));
}
