/* Template Type process: one record per program that was executed.
 *
 * At sched_process_exec the new image is in place and has not run yet: its arguments lie in
 * memory as the kernel has just written them, and nobody can have changed them.
 */

#ifdef SUPPLY_process
BPF_RINGBUF_OUTPUT(process_ring, RING_PAGES_process);

/* What audit gives a process that belongs to no login. */
#define NO_LOGIN 0xffffffff

static __always_inline s64 copy_cgroup_name(u8 *destination, u64 capacity, u64 task)
{
#if OFFSET_task_struct_cgroups
    u64 set = MEMBER(u64, task, task_struct_cgroups);
    u64 group = MEMBER(u64, set, css_set_dfl_cgrp);
    u64 node = MEMBER(u64, group, cgroup_kn);
    return copy_kernel_string(destination, capacity, MEMBER(u64, node, kernfs_node_name));
#else
    return UNKNOWN;
#endif
}

static __always_inline void add_login(struct process_record *record, u64 task)
{
#if OFFSET_task_struct_loginuid
    u32 user = MEMBER(u32, task, task_struct_loginuid);
    u32 session = MEMBER(u32, task, task_struct_sessionid);
    if (user != NO_LOGIN)
        NUMBER(process, record, login_user_id, user);
    if (session != NO_LOGIN)
        NUMBER(process, record, session_id, session);
#endif
}

/* As it was just remembered: to copy it is cheaper than to read it again. */
static __always_inline s64 copy_program_image(u8 *destination, u64 capacity, struct lineage *entry)
{
    return entry->image_taken < 0 ? entry->image_taken
                                  : copy_lineage_image(destination, capacity, entry);
}

static __always_inline s64 copy_program_arguments(
    u8 *destination, u64 capacity, struct lineage *entry, struct arguments *arguments)
{
    if (entry->command_line_taken < 0)
        return entry->command_line_taken;
    if (arguments->length > LINEAGE_COMMAND_LINE_BYTES)
        return copy_user_bytes(destination, capacity, arguments->start, arguments->length);
    return copy_lineage_command_line(destination, LINEAGE_COMMAND_LINE_BYTES, entry);
}

static __always_inline void report_process(
    struct actor *actor, u64 program, struct lineage *entry, struct arguments *arguments)
{
    u32 only = 0;
    struct directory_walk *walk = directory_scratch.lookup(&only);
    if (!walk)
        return;
    struct process_record *record = process_ring.ringbuf_reserve(sizeof(struct process_record));
    if (!record) {
        count_loss(COUNTER_RING_FULL_process);
        return;
    }
    BEGIN(process, record);
    ACTOR(process, record, actor);
    TEXT(process, record, image, copy_program_image, entry);
    ARGUMENTS(process, record, command_line, copy_program_arguments, entry, arguments);
    NUMBER(process, record, argument_count, read_u32(program + OFFSET_linux_binprm_argc));
    TEXT(process, record, executable_path, copy_executable_path, walk);
    NUMBER(process, record, prevention, walk->prevention);
    TEXT(process, record, current_directory, copy_current_directory, actor->task);
    TEXT(process, record, cgroup_name, copy_cgroup_name, actor->task);
    add_login(record, actor->task);
    process_ring.ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}
#endif

int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
    u64 program = ctx->args[2];
#ifdef SUPPLY_process
    prevent(program);
#endif
    struct actor actor = {};
    find_actor(&actor);
    struct arguments arguments = find_arguments(actor.task);
    u64 file_name = read_u64(program + OFFSET_linux_binprm_filename);
    struct lineage *entry = replace_lineage(&actor, file_name, &arguments);
#ifdef SUPPLY_process
    if (entry)
        report_process(&actor, program, entry, &arguments);
#endif
#ifdef SUPPLY_privilege
    report_exec_privilege(&actor, program);
#endif
#ifdef SUPPLY_memory
    report_execution(&actor, program);
#endif
    return 0;
}
