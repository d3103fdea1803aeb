/* Template Type process: one record per program that was executed.
 *
 * At sched_process_exec the new image is in place and has not run yet: its arguments lie in
 * memory as the kernel has just written them, and nobody can have changed them.
 */

#ifdef SUPPLY_process
BPF_RINGBUF_OUTPUT(process_ring, RING_PAGES_process);

static __always_inline void report_process(struct actor *actor, u64 program)
{
    struct process_record *record = process_ring.ringbuf_reserve(sizeof(struct process_record));
    if (!record) {
        count_loss(COUNTER_RING_FULL_process);
        return;
    }
    BEGIN(process, record);
    ACTOR(process, record, actor);
    TEXT(process, record, image, copy_kernel_string,
         read_u64(program + OFFSET_linux_binprm_filename));
    ARGUMENTS(process, record, command_line, copy_arguments, actor->task);
    NUMBER(process, record, argument_count, read_u32(program + OFFSET_linux_binprm_argc));
    process_ring.ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}
#endif

int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
    u64 program = ctx->args[2];
    struct actor actor = {};
    find_actor(&actor);
#ifdef SUPPLY_process
    report_process(&actor, program);
#endif
    replace_lineage(&actor, read_u64(program + OFFSET_linux_binprm_filename));
#ifdef SUPPLY_privilege
    report_exec_privilege(&actor, program);
#endif
#ifdef SUPPLY_memory
    report_execution(&actor, program);
#endif
    return 0;
}
