/* What the kernel's own objects tell of a file descriptor, found through offsets from BTF. */

#define FILE_MODE_CREATED 0x100000

/* struct file behind a descriptor of the current task, or 0. */
static __always_inline u64 file_of_task(u64 task, s64 descriptor)
{
    u64 files = MEMBER(u64, task, task_struct_files);
    u64 table = MEMBER(u64, files, files_struct_fdt);
    if (descriptor < 0 || descriptor >= MEMBER(u32, table, fdtable_max_fds))
        return 0;
    return read_u64(MEMBER(u64, table, fdtable_fd) + descriptor * sizeof(u64));
}

static __always_inline u64 file_of_descriptor(s64 descriptor)
{
    return file_of_task(current_task(), descriptor);
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

/* Whether an open that succeeded has created the file; O_CREAT alone does not tell. */
static __always_inline int has_created(struct actor *actor, u64 flags, s64 descriptor)
{
    u64 file = file_of_task(actor->task, descriptor);
    return file && read_u32(file + OFFSET_file_f_mode) & FILE_MODE_CREATED;
}
