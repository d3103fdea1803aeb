/* What keeps the lineage map, from tracepoints and helpers alone.
 *
 * The same as lineage.bpf.c without a look into kernel structs. A process is gone when all its threads
 * are. They are counted for processes that began or were executed under our eyes; an older one counts
 * as gone when its first thread is.
 */

#define CLONE_PARENT 0x8000
#define CLONE_THREAD 0x10000

BPF_PERCPU_ARRAY(lineage_scratch, struct lineage, 1);
BPF_HASH(starting, u32, struct starting, STARTING_PROCESSES);
BPF_ARRAY(starting_count, u64, 1);

int on_new_task(struct task_newtask *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u32 child = ctx->pid;
    struct lineage *entry = lookup_lineage(pid);
    if (!entry)
        return 0; /* older than the sensor: both are added from /proc */
    if (ctx->clone_flags & CLONE_THREAD) {
        if (entry->threads)
            __sync_fetch_and_add(&entry->threads, 1);
        return 0;
    }
    u64 parent_start_time = entry->start_time;
    if (update_lineage(child, entry)) {
        count_loss(COUNTER_LINEAGE_FULL);
        return 0;
    }
    entry = lookup_lineage(child);
    if (!entry)
        return 0;
    entry->start_time = bpf_ktime_get_boot_ns();
    entry->threads = 1;
    if (!(ctx->clone_flags & CLONE_PARENT)) {
        entry->parent_pid = pid;
        entry->parent_start_time = parent_start_time;
    }
    return 0;
}

static __always_inline void forget_thread(u64 pid_and_thread)
{
    u32 pid = pid_and_thread >> 32;
    struct lineage *entry = lookup_lineage(pid);
    if (!entry)
        return;
    if (entry->threads) {
        __sync_fetch_and_add(&entry->threads, -1);
        if (!entry->threads)
            delete_lineage(pid);
    } else if (pid == (u32)pid_and_thread) {
        delete_lineage(pid);
    }
}

static __always_inline void replace_lineage(
    struct actor *actor, struct starting *started, struct new_arguments *arguments)
{
    u32 pid = actor->pid_and_thread >> 32;
    u32 only = 0;
    struct lineage *entry = lineage_scratch.lookup(&only);
    if (!entry)
        return;
    entry->image_taken = copy_starting_image(entry->image, LINEAGE_IMAGE_BYTES, started);
    entry->command_line_taken
        = copy_new_arguments(entry->command_line, LINEAGE_COMMAND_LINE_BYTES, arguments);
    entry->threads = 1; /* an exec ends all others */
    if (actor->self) {
        entry->start_time = actor->self->start_time;
        entry->parent_pid = actor->self->parent_pid;
        entry->parent_start_time = actor->self->parent_start_time;
    } else {
        entry->start_time = bpf_ktime_get_boot_ns();
        entry->parent_pid = 0;
        entry->parent_start_time = 0;
    }
    if (update_lineage(pid, entry))
        count_loss(COUNTER_LINEAGE_FULL);
}

int on_exec(struct sched_process_exec *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u32 only = 0;
    struct starting *started = begin_program(ctx);
    int known = starting.lookup(&pid) != NULL;
    if (!started)
        return 0;
    if (starting.update(&pid, started))
        count_loss(COUNTER_LINEAGE_FULL);
    else if (!known)
        change_count(starting_count.lookup(&only), 1);
    return 0;
}

static __always_inline void finish_exec(u32 pid, struct starting *started, u64 registers)
{
    u32 only = 0;
    struct actor actor = {};
    struct new_arguments arguments = {};
    find_actor(&actor);
    if (registers)
        find_arguments(registers, &arguments);
    replace_lineage(&actor, started, &arguments);
    starting.delete(&pid);
    change_count(starting_count.lookup(&only), -1);
}

int on_return(struct bpf_raw_tracepoint_args *ctx)
{
    u32 only = 0;
    u64 *count = starting_count.lookup(&only);
    if (ctx->args[1] || !count || !*count)
        return 0;
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    struct starting *started = starting.lookup(&pid);
    if (started)
        finish_exec(pid, started, ctx->args[0]);
    return 0;
}

int on_exit(void *ctx)
{
    u64 pid_and_thread = bpf_get_current_pid_tgid();
    u32 pid = pid_and_thread >> 32;
    struct starting *started = starting.lookup(&pid);
    if (started) /* a debugger has kept the return from being seen */
        finish_exec(pid, started, NOTHING);
    forget_thread(pid_and_thread);
    return 0;
}
