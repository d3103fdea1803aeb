/* What keeps the lineage map: image and command line of every process, by pid.
 *
 * fork copies the entry and exec replaces it. Processes older than the sensor are added from /proc by
 * probes/seed.py once these programs are attached, and only where the kernel has not written an
 * entry meanwhile. They are the first on their tracepoints, and the programs of a raw tracepoint run
 * in the order in which they were attached: whatever reports an exec, and was attached at the start or
 * much later, finds the entry of the new program.
 *
 * An entry is removed when the kernel frees the process, after its parent has taken note of its end:
 * whatever reports an exit still finds it, in whichever order. By then the pid may be another's, who
 * has an entry already, and whole ticks don't tell two apart that lived within 10 ms: so entries that
 * the kernel wrote have the exact moment as well.
 *
 * Start times are in the value and not in the key: there is one living process of a pid, so what a
 * seeding left behind is overwritten by the next process of that pid, and never fills the map.
 */

BPF_PERCPU_ARRAY(lineage_scratch, struct lineage, 1);

static __always_inline void begin_lineage(struct lineage *entry, u64 start_boottime)
{
    entry->start_time = whole_ticks(start_boottime);
    entry->start_boottime = start_boottime;
}

int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
    u64 child = ctx->args[1];
    u32 child_pid = read_u32(child + OFFSET_task_struct_tgid);
    if (child_pid != read_u32(child + OFFSET_task_struct_pid))
        return 0; /* a thread */
    struct lineage *entry
        = find_lineage(bpf_get_current_pid_tgid() >> 32, process_start_time(current_task()));
    if (!entry)
        return 0;
    if (update_lineage(child_pid, entry)) {
        count_loss(COUNTER_LINEAGE_FULL);
        return 0;
    }
    entry = lookup_lineage(child_pid);
    if (entry)
        begin_lineage(entry, read_u64(child + OFFSET_task_struct_start_boottime));
    return 0;
}

/* What struct linux_binprm says of a program, which lies side by side unless somebody has shuffled it. */
struct program {
    u32 argument_count;
    u32 environment_count;
    u64 file_name;
};

static __always_inline void read_program(struct program *program, u64 from)
{
#if OFFSET_linux_binprm_filename == OFFSET_linux_binprm_argc + 8
    read_kernel(program, sizeof(*program), (void *)(from + OFFSET_linux_binprm_argc));
#else
    program->argument_count = read_u32(from + OFFSET_linux_binprm_argc);
    program->file_name = read_u64(from + OFFSET_linux_binprm_filename);
#endif
}

static __always_inline void remember_program(
    struct lineage *entry, struct program *program, struct arguments *arguments)
{
    entry->arguments = program->argument_count;
    entry->image_taken
        = copy_kernel_string(entry->image, LINEAGE_IMAGE_BYTES, program->file_name);
    entry->command_line_taken = copy_user_bytes(entry->command_line, LINEAGE_COMMAND_LINE_BYTES,
                                                arguments->start, arguments->length);
}

/* A process without an entry: no room was left when it was forked, or it is older than the sensor. */
static __always_inline void add_lineage(
    u32 pid, u64 start_boottime, struct program *program, struct arguments *arguments)
{
    u32 only = 0;
    struct lineage *entry = lineage_scratch.lookup(&only);
    if (!entry)
        return;
    remember_program(entry, program, arguments);
    begin_lineage(entry, start_boottime);
    if (update_lineage(pid, entry))
        count_loss(COUNTER_LINEAGE_FULL);
}

/* What was forked before our eyes has an entry, which is written in place: that spares two copies of
 * 800 bytes. Who reads it on another processor at that moment, for an event of a child, may get a
 * text that is half of the program before.
 */
int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
    u64 task = current_task();
    u64 leader = MEMBER(u64, task, task_struct_group_leader);
    u64 start_boottime = MEMBER(u64, leader, task_struct_start_boottime);
    u32 pid = pid_and_thread_of(task) >> 32;
    struct program program = {};
    read_program(&program, ctx->args[2]);
    struct arguments arguments = find_arguments(task);
    struct lineage *entry = find_lineage(pid, whole_ticks(start_boottime));
    if (entry)
        remember_program(entry, &program, &arguments);
    else
        add_lineage(pid, start_boottime, &program, &arguments);
    NEXT_on_exec(ctx);
    return 0;
}

static __always_inline int is_of(struct lineage *entry, u64 start_boottime)
{
    return entry->start_boottime ? entry->start_boottime == start_boottime
                                 : entry->start_time == whole_ticks(start_boottime);
}

/* Some time after a task has ended, in the name of whoever the processor runs just then. */
int on_free(struct bpf_raw_tracepoint_args *ctx)
{
    u64 task = ctx->args[0];
    u32 pid = read_u32(task + OFFSET_task_struct_tgid);
    if (pid != read_u32(task + OFFSET_task_struct_pid))
        return 0; /* a thread */
    struct lineage *entry = lookup_lineage(pid);
    if (entry && is_of(entry, read_u64(task + OFFSET_task_struct_start_boottime)))
        delete_lineage(pid);
    return 0;
}
