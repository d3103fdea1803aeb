/* What every BPF program of the sensor shares: records, texts, loss counters.
 *
 * Compiled by BCC without kernel headers. Before this file come, all generated at start:
 * the records (probes/layout.py), RUNG, the sizes of maps, and where things lie: offsets of kernel
 * structs (probes/btf.py) as OFFSET_struct_member, or arguments of tracepoints (probes/formats.py).
 * Kernel memory is only read through helpers, so nothing here depends on how a kernel was built.
 *
 * A field is supplied through NUMBER, TEXT, ARGUMENTS or ADDRESS and through nothing else:
 * probes/supply.py reads these words in the sources and compares them with the Definitions. Each
 * of them needs the field's KIND_… constant, so that a wrong kind does not compile.
 */

#define MODE_BITS 07777
#define NOTHING 0

/* How records are submitted: a reader that sleeps is woken by the first record after all that it has
 * committed, and by no other (agent/evaluator/waiting.py). So events that come in quick succession,
 * which its readers look for by time, don't wake anybody one by one.
 */
#define WAKE_IDLE_READER 0

/* A text's length is a u32; this bit above it says that the source was longer. */
#define TRUNCATED (1LL << 32)

/* Returned instead of a length where nobody knows the text; a failed read is any other negative. */
#define UNKNOWN (-1000LL)

/* Keeps the compiler from moving a bound to another register, where the verifier loses it. */
#define BOUND(variable) asm volatile("" : "+r"(variable))

/* Keeps the compiler from holding a record's members in registers: in memory the verifier forgets
 * them, so that it need not check what follows once for every way in which they came about.
 */
#define FORGET() asm volatile("" ::: "memory")

/* The helpers under names of ours: BCC looks each of its own names up among all symbols of the
 * kernel while it compiles, which takes longer than everything else together.
 */
static long (*read_user)(void *destination, u32 size, const void *source)
    = (void *)BPF_FUNC_probe_read_user;
static long (*read_user_string)(void *destination, u32 size, const void *source)
    = (void *)BPF_FUNC_probe_read_user_str;
static long (*read_kernel)(void *destination, u32 size, const void *source)
    = (void *)BPF_FUNC_probe_read_kernel;
static long (*read_kernel_string)(void *destination, u32 size, const void *source)
    = (void *)BPF_FUNC_probe_read_kernel_str;

static u64 (*ask_ring)(void *ring, u64 question) = (void *)BPF_FUNC_ringbuf_query;

/* BCC knows which map a ring is, and has no word for asking it. So ringbuf_output, which is not used
 * for what its name says, asks: this is what BCC writes in the place of RING.ringbuf_output(…).
 */
#define bpf_ringbuf_output(ring, unused, question, flags) ask_ring(ring, question)

struct syscall_enter {
    u64 common;
    u32 number;
    u32 padding;
    u64 arguments[6];
};

struct syscall_exit {
    u64 common;
    u32 number;
    u32 padding;
    s64 result;
};

static __always_inline u64 read_u64(u64 address)
{
    u64 value = 0;
    read_kernel(&value, sizeof(value), (void *)address);
    return value;
}

static __always_inline u32 read_u32(u64 address)
{
    u32 value = 0;
    read_kernel(&value, sizeof(value), (void *)address);
    return value;
}

static __always_inline u16 read_u16(u64 address)
{
    u16 value = 0;
    read_kernel(&value, sizeof(value), (void *)address);
    return value;
}

/* The string helpers end what they copy with a NUL, and so hold one byte less than the record.
 * Where the string may be longer, the last byte and the one after it are read by themselves.
 * `read` and `read_string` are the helpers for user or for kernel memory.
 */
#define COPY_STRING(read_string, read, destination, capacity, source)                        \
    ({                                                                                       \
        u8 tail = 0;                                                                         \
        s64 taken = read_string(destination, capacity, (void *)(source));                    \
        if (taken > 0)                                                                       \
            taken -= 1;                                                                      \
        if (taken == (capacity) - 1 && !read(&tail, 1, (void *)((source) + (capacity) - 1))  \
            && tail) {                                                                       \
            (destination)[(capacity) - 1] = tail;                                            \
            taken = (capacity);                                                              \
            if (read(&tail, 1, (void *)((source) + (capacity))) || tail)                     \
                taken |= TRUNCATED;                                                          \
        }                                                                                    \
        taken;                                                                               \
    })

static __always_inline s64 copy_user_string(u8 *destination, u64 capacity, u64 source)
{
    return COPY_STRING(read_user_string, read_user, destination, capacity, source);
}

static __always_inline s64 copy_kernel_string(u8 *destination, u64 capacity, u64 source)
{
    return COPY_STRING(
        read_kernel_string, read_kernel, destination, capacity, source);
}

static __always_inline s64 copy_user_bytes(u8 *destination, u64 capacity, u64 source, u64 length)
{
    s64 longer = length > capacity ? TRUNCATED : 0;
    BOUND(length);
    if (length > capacity)
        length = capacity;
    if (read_user(destination, length, (void *)source))
        return -1;
    return length | longer;
}

/* From memory of ours, in blocks: texts are short, and a helper takes as long as five blocks. What is
 * copied beyond the length is as stale as what it replaces. A capacity is whole words.
 */
#define BLOCK_WORDS 4

static __always_inline s64 copy_words(u8 *destination, u64 capacity, u8 *source, u64 length)
{
    u64 words = capacity / sizeof(u64);
    u64 block = words % BLOCK_WORDS ? 1 : BLOCK_WORDS;
    for (u64 first = 0; first < words; first += block) {
        if (first * sizeof(u64) >= length)
            return length;
#pragma unroll
        for (u64 word = 0; word < BLOCK_WORDS; word++)
            if (word < block)
                ((u64 *)destination)[first + word] = ((u64 *)source)[first + word];
        BOUND(length); /* else the compiler makes it a memcpy, which BPF has not */
    }
    return length > capacity ? capacity | TRUNCATED : length;
}

/* Begin a record that was just reserved: its header, and nothing present yet. */
#define BEGIN(type, record)                                                                  \
    do {                                                                                     \
        (record)->template_type = TEMPLATE_TYPE_##type;                                      \
        (record)->schema_major = SCHEMA_MAJOR_##type;                                        \
        (record)->schema_minor = SCHEMA_MINOR_##type;                                        \
        (record)->arity = ARITY_##type;                                                      \
        (record)->rung = RUNG;                                                               \
        (record)->processor = bpf_get_smp_processor_id();                                    \
        (record)->time_ns = bpf_ktime_get_boot_ns();                                         \
        (record)->present = 0;                                                               \
        (record)->truncated = 0;                                                             \
    } while (NOTHING)

#define NUMBER(type, record, field, value)                                                   \
    do {                                                                                     \
        enum { kind = KIND_NUMBER_##type##_##field };                                        \
        (record)->field = (value);                                                           \
        (record)->present |= PRESENT_##type##_##field;                                       \
    } while (NOTHING)

/* `taken` is what one of the copy functions returned for that field. */
#define TAKE(type, record, field, taken)                                                     \
    do {                                                                                     \
        s64 got = (taken);                                                                   \
        FORGET();                                                                            \
        if (got >= 0) {                                                                      \
            (record)->field##_length = (u32)got;                                             \
            (record)->present |= PRESENT_##type##_##field;                                   \
            if (got & TRUNCATED) {                                                           \
                (record)->truncated |= PRESENT_##type##_##field;                             \
                count_loss(COUNTER_FIELD_TRUNCATED_##type);                                  \
            }                                                                                \
            FORGET();                                                                        \
        } else {                                                                             \
            (record)->field##_length = 0;                                                    \
            if (got != UNKNOWN)                                                              \
                count_loss(COUNTER_READ_FAULT_##type);                                       \
        }                                                                                    \
    } while (NOTHING)

#define TEXT(type, record, field, copy, ...)                                                 \
    do {                                                                                     \
        enum { kind = KIND_TEXT_##type##_##field };                                          \
        TAKE(type, record, field,                                                            \
             copy((record)->field, CAPACITY_##type##_##field, __VA_ARGS__));                 \
    } while (NOTHING)

#define ARGUMENTS(type, record, field, copy, ...)                                            \
    do {                                                                                     \
        enum { kind = KIND_ARGUMENTS_##type##_##field };                                     \
        TAKE(type, record, field,                                                            \
             copy((record)->field, CAPACITY_##type##_##field, __VA_ARGS__));                 \
    } while (NOTHING)

#define ADDRESS(type, record, field, source)                                                 \
    do {                                                                                     \
        enum { kind = KIND_ADDRESS_##type##_##field };                                       \
        __builtin_memcpy((record)->field, source, CAPACITY_##type##_##field);                \
        (record)->present |= PRESENT_##type##_##field;                                       \
    } while (NOTHING)
