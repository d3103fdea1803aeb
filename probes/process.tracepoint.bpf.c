/* Template Type process without kernel structs: one record per program that was executed.
 *
 * sched_process_exec names the file. The arguments are read when the call returns to the new
 * program, before its first instruction: the stack pointer in the registers (an interface to user
 * space, which doesn't change) shows argument count, arguments and environment as the kernel has
 * just laid them out. So they are those that the program gets, whatever the caller does to its own
 * copy meanwhile, and for a script they name the interpreter, as in the rung above.
 *
 * An exec that succeeds returns 0, and so do others; `starting` tells them apart. It is looked into
 * only while there is something in it, for this happens at the end of every call of the host.
 */

#define OLDEST_WORD 4
#define AUXILIARY_VALUES 40
#define AUXILIARY_FILE_NAME 31

struct starting {
    s64 image_taken;
    u8 image[LINEAGE_IMAGE_BYTES];
};

BPF_HASH(starting, u32, struct starting, STARTING_PROCESSES);
BPF_PERCPU_ARRAY(starting_scratch, struct starting, 1);
BPF_ARRAY(starting_count, u64, 1);

static __always_inline void change_starting_count(s64 change)
{
    u32 only = 0;
    u64 *count = starting_count.lookup(&only);
    if (count)
        __sync_fetch_and_add(count, change);
}

/* Where the arguments of a new program lie; `found` is 0 where its stack could not be read. */
struct new_arguments {
    u64 stack;
    u64 count;
    u64 start;
    u64 end;
    int word; /* bytes of a pointer of that program */
    int found;
};

static __always_inline int read_word(struct new_arguments *arguments, u64 index, u64 *value)
{
    *value = 0;
    if (arguments->word == sizeof(u64))
        return read_user(value, sizeof(u64), (void *)(arguments->stack + index * sizeof(u64)));
    return read_user(value, OLDEST_WORD, (void *)(arguments->stack + index * OLDEST_WORD));
}

/* Without an environment the arguments end where the file's name begins. */
static __always_inline u64 address_of_file_name(struct new_arguments *arguments)
{
    u64 first = arguments->count + 3;
    for (u64 pair = 0; pair < AUXILIARY_VALUES; pair++) {
        u64 key = 0, value = 0;
        if (read_word(arguments, first + 2 * pair, &key) || !key)
            return 0;
        if (key == AUXILIARY_FILE_NAME && !read_word(arguments, first + 2 * pair + 1, &value))
            return value;
    }
    return 0;
}

static __always_inline void find_arguments(u64 registers, struct new_arguments *arguments)
{
    u64 environment = 0;
    arguments->stack = read_u64(registers + REGISTER_STACK_POINTER);
    arguments->word = RUNS_32_BIT(registers) ? OLDEST_WORD : sizeof(u64);
    if (read_word(arguments, 0, &arguments->count)
        || read_word(arguments, 1, &arguments->start)
        || read_word(arguments, arguments->count + 2, &environment))
        return;
    arguments->end = environment ? environment : address_of_file_name(arguments);
    arguments->found = arguments->count == 0 || arguments->end > arguments->start;
}

/* Without the NUL behind the last one. */
static __always_inline s64 copy_new_arguments(
    u8 *destination, u64 capacity, struct new_arguments *arguments)
{
    if (!arguments->found)
        return -1;
    if (!arguments->count)
        return 0;
    return copy_user_bytes(
        destination, capacity, arguments->start, arguments->end - arguments->start - 1);
}

static __always_inline s64 copy_starting_image(
    u8 *destination, u64 capacity, struct starting *started)
{
    return copy_remembered(destination, capacity, started->image, started->image_taken);
}

#ifdef SUPPLY_process
static __always_inline void report_process(
    struct actor *actor, struct starting *started, struct new_arguments *arguments)
{
    struct process_record *record = reserve_process();
    if (!record)
        return;
    BEGIN(process, record);
    ACTOR(process, record, actor);
    TEXT(process, record, image, copy_starting_image, started);
    ARGUMENTS(process, record, command_line, copy_new_arguments, arguments);
    if (arguments->found)
        NUMBER(process, record, argument_count, arguments->count);
    process_ring.ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}
#endif

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
    if (lineage.update(&pid, entry))
        count_loss(COUNTER_LINEAGE_FULL);
}

int on_exec(struct sched_process_exec *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u32 only = 0;
    struct starting *started = starting_scratch.lookup(&only);
    if (!started)
        return 0;
    started->image_taken = copy_kernel_string(
        started->image, LINEAGE_IMAGE_BYTES, (u64)ctx + (ctx->filename & 0xffff));
    int known = starting.lookup(&pid) != NULL;
    if (starting.update(&pid, started))
        count_loss(COUNTER_PENDING_FULL_process);
    else if (!known)
        change_starting_count(1);
    return 0;
}

static __always_inline void finish_exec(u32 pid, struct starting *started, u64 registers)
{
    struct actor actor = {};
    struct new_arguments arguments = {};
    find_actor(&actor);
    if (registers)
        find_arguments(registers, &arguments);
#ifdef SUPPLY_process
    report_process(&actor, started, &arguments);
#endif
    replace_lineage(&actor, started, &arguments);
    starting.delete(&pid);
    change_starting_count(-1);
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
#ifdef PENDING_CALLS
    pending.delete(&pid_and_thread); /* a thread that died inside a call */
#endif
    forget_thread(pid_and_thread);
    return 0;
}
