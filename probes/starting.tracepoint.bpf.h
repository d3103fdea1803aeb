/* A program that is about to run, without kernel structs: its file, and where its arguments lie.
 *
 * sched_process_exec names the file. The arguments are read when the call returns to the new
 * program, before its first instruction: the stack pointer in the registers (an interface to user
 * space, which doesn't change) shows argument count, arguments and environment as the kernel has
 * just laid them out. So they are those that the program gets, whatever the caller does to its own
 * copy meanwhile, and for a script they name the interpreter, as in the rung above.
 *
 * An exec that succeeds returns 0, and so do others; a note between the two tells them apart. Lineage
 * and Template Type process have each their own, because one may be there without the other.
 */

#define OLDEST_WORD 4
#define AUXILIARY_VALUES 40
#define AUXILIARY_FILE_NAME 31

struct starting {
    s64 image_taken;
    u8 image[LINEAGE_IMAGE_BYTES];
};

/* Room to write a note in. */
BPF_PERCPU_ARRAY(starting_scratch, struct starting, 1);

static __always_inline struct starting *begin_program(struct sched_process_exec *ctx)
{
    u32 only = 0;
    struct starting *started = starting_scratch.lookup(&only);
    if (started)
        started->image_taken = copy_kernel_string(
            started->image, LINEAGE_IMAGE_BYTES, (u64)ctx + (ctx->filename & 0xffff));
    return started;
}

/* Notes are looked for only while there are some: this happens at the end of every call of the host. */
static __always_inline void change_count(u64 *count, s64 change)
{
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
