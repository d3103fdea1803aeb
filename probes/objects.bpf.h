/* What the kernel's own objects tell of a file descriptor, found through offsets from BTF. */

#define FILE_MODE_CREATED 0x100000

/* struct file behind a descriptor of the current process, or 0. */
static __always_inline u64 file_of_descriptor(s64 descriptor)
{
    u64 files = read_u64(bpf_get_current_task() + OFFSET_task_struct_files);
    u64 table = read_u64(files + OFFSET_files_struct_fdt);
    if (descriptor < 0 || descriptor >= read_u32(table + OFFSET_fdtable_max_fds))
        return 0;
    return read_u64(read_u64(table + OFFSET_fdtable_fd) + descriptor * sizeof(u64));
}

/* Whether an open that succeeded has created the file; O_CREAT alone does not tell. */
static __always_inline int has_created(u64 flags, s64 descriptor)
{
    u64 file = file_of_descriptor(descriptor);
    return file && read_u32(file + OFFSET_file_f_mode) & FILE_MODE_CREATED;
}
