/* Template Type process without kernel structs: one record per program that was executed.
 *
 * Written when the exec returns to the new program (starting.tracepoint.bpf.h). Lineage does the same
 * for itself; the record needs it only for the parent, so that either may come first.
 */

BPF_HASH(reporting, u32, struct starting, STARTING_PROCESSES);
BPF_ARRAY(reporting_count, u64, 1);
static __always_inline void report_process(
    struct actor *actor, struct starting *started, struct new_arguments *arguments)
{
    struct process_record *record = reserve_process();
    if (!record)
        return;
    BEGIN(process, record);
    ACTOR(process, record, actor);
    NUMBER(process, record, observed, process_observed_exec);
    TEXT(process, record, image, copy_starting_image, started);
    ARGUMENTS(process, record, command_line, copy_new_arguments, arguments);
    if (arguments->found)
        NUMBER(process, record, argument_count, arguments->count);
    process_ring.ringbuf_submit(record, WAKE_IDLE_READER);
}

static __always_inline void finish_report(u32 pid, struct starting *started, u64 registers)
{
    u32 only = 0;
    struct actor actor = {};
    struct new_arguments arguments = {};
    find_actor(&actor);
    if (registers)
        find_arguments(registers, &arguments);
    report_process(&actor, started, &arguments);
    reporting.delete(&pid);
    change_count(reporting_count.lookup(&only), -1);
}

int on_exec_process(struct sched_process_exec *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u32 only = 0;
    struct starting *started = begin_program(ctx);
    int known = reporting.lookup(&pid) != NULL;
    if (!started)
        return 0;
    if (reporting.update(&pid, started))
        count_loss(COUNTER_PENDING_FULL_process);
    else if (!known)
        change_count(reporting_count.lookup(&only), 1);
    return 0;
}

int on_return_process(struct bpf_raw_tracepoint_args *ctx)
{
    u32 only = 0;
    u64 *count = reporting_count.lookup(&only);
    if (ctx->args[1] || !count || !*count)
        return 0;
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    struct starting *started = reporting.lookup(&pid);
    if (started)
        finish_report(pid, started, ctx->args[0]);
    return 0;
}

/* A debugger has kept the return from being seen. */
int on_exit_process(void *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    struct starting *started = reporting.lookup(&pid);
    if (started)
        finish_report(pid, started, NOTHING);
    return 0;
}
