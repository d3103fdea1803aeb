/* System calls under way: what sys_enter saw, kept until sys_exit tells the result.
 *
 * Texts are read at exit: the kernel has just used them, so their pages are there. A thread that
 * shares the memory may change them in between; docs/probes.md says what that means.
 */

struct credentials {
    u64 effective_capabilities;
    u32 user_id;
    u32 effective_user_id;
    u32 group_id;
    u32 effective_group_id;
};

struct call {
    u32 number;    /* of the system call: an exit only takes what its own entry left */
    u32 operation; /* of the Template Type */
    union {
        struct {
            u64 path; /* or a socket address, or attributes of a BPF program */
            u64 target_path;
            u64 flags;
        };
        struct credentials before; /* what the caller had, for Template Type privilege */
    };
    u64 mode;
    u64 descriptor;
    u64 length;  /* of what `path` names, or an id asked for */
    u64 request; /* address of openat2's flags and mode, while they are not known */
};

BPF_HASH(pending, u64, struct call, PENDING_CALLS);

static __always_inline int remember(struct call *call, u32 full_counter)
{
    u64 thread = bpf_get_current_pid_tgid();
    if (pending.update(&thread, call))
        count_loss(full_counter);
    return 0;
}

static __always_inline int recall(struct call *call, u32 number)
{
    u64 thread = bpf_get_current_pid_tgid();
    struct call *found = pending.lookup(&thread);
    if (!found || found->number != number)
        return 0;
    *call = *found;
    pending.delete(&thread);
    return 1;
}

/* struct file behind a descriptor of the current process, or 0. */
static __always_inline u64 file_of_descriptor(s64 descriptor)
{
    u64 files = MEMBER(u64, current_task(), task_struct_files);
    u64 table = MEMBER(u64, files, files_struct_fdt);
    if (descriptor < 0 || descriptor >= MEMBER(u32, table, fdtable_max_fds))
        return 0;
    return read_u64(MEMBER(u64, table, fdtable_fd) + descriptor * sizeof(u64));
}

/* The name of an open file without its folders; UNKNOWN where there is no file. */
static __always_inline s64 copy_file_name(u8 *destination, u64 capacity, u64 file)
{
    if (!file)
        return UNKNOWN;
    u64 entry = read_u64(file + OFFSET_file_f_path + OFFSET_path_dentry);
    u64 name = read_u64(entry + OFFSET_dentry_d_name + OFFSET_qstr_name);
    return copy_kernel_string(destination, capacity, name);
}
