/* Template Type process: one record per program that was executed.
 *
 * At sched_process_exec the new image is in place and has not run yet: its arguments lie in
 * memory as the kernel has just written them, and nobody can have changed them.
 */

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

/* As lineage has just remembered it: to copy it is cheaper than to read it again. Without an entry,
 * for which no room was left, it is read again.
 */
static __always_inline s64 copy_program_image(
    u8 *destination, u64 capacity, struct lineage *entry, u64 program)
{
    if (!entry)
        return copy_kernel_string(
            destination, capacity, read_u64(program + OFFSET_linux_binprm_filename));
    return entry->image_taken < 0 ? entry->image_taken
                                  : copy_lineage_image(destination, capacity, entry);
}

static __always_inline s64 copy_program_arguments(
    u8 *destination, u64 capacity, struct lineage *entry, struct arguments *arguments)
{
    if (!entry || arguments->length > LINEAGE_COMMAND_LINE_BYTES)
        return copy_user_bytes(destination, capacity, arguments->start, arguments->length);
    if (entry->command_line_taken < 0)
        return entry->command_line_taken;
    return copy_lineage_command_line(destination, LINEAGE_COMMAND_LINE_BYTES, entry);
}

static __always_inline u64 argument_count(struct lineage *entry, u64 program)
{
    return entry ? entry->arguments : read_u32(program + OFFSET_linux_binprm_argc);
}

static __always_inline void report_program(u64 program)
{
    u64 task = current_task();
    u32 only = 0;
    struct directory_walk *walk = directory_scratch.lookup(&only);
    if (!walk)
        return;
    prevent(program, walk, task);
    struct process_record *record = reserve_process();
    if (!record)
        return;
    struct actor actor = {};
    find_actor_of(&actor, task);
    struct arguments arguments = find_arguments(task);
    BEGIN(process, record);
    ACTOR(process, record, &actor);
    TEXT(process, record, image, copy_program_image, actor.self, program);
    ARGUMENTS(process, record, command_line, copy_program_arguments, actor.self, &arguments);
    NUMBER(process, record, argument_count, argument_count(actor.self, program));
    TEXT(process, record, executable_path, copy_path, &walk->paths[EXECUTABLE_PATH]);
    NUMBER(process, record, prevention, walk->prevention);
    NUMBER(process, record, observed, process_observed_exec);
    TEXT(process, record, current_directory, copy_path, &walk->paths[WORKING_FOLDER]);
    TEXT(process, record, cgroup_name, copy_cgroup_name, task);
    add_login(record, task);
    process_ring.ringbuf_submit(record, WAKE_IDLE_READER);
}

/* After lineage's own program on the same tracepoint. */
int on_exec_process(struct bpf_raw_tracepoint_args *ctx)
{
    report_program(ctx->args[2]);
    NEXT_on_exec_process(ctx);
    return 0;
}
