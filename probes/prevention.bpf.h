/* Stopping a program before its first instruction, because its path stands in a table.
 *
 * The table is written by the supervisor through memory that it shares with the kernel;
 * content/prevention_table.py says how it is laid out and filled, and generates the constants. What
 * is compared, byte by byte and wholly: the path that execve was given (image), and the path of the
 * file that is executed (executable_path).
 *
 * The signal is pending when the exec returns to user space, so that not one instruction of the
 * program is executed. Where the table changes while a path is looked up, nothing is stopped here:
 * the event says so, and the supervisor's verdict does it.
 */

struct prevention_header {
    u64 state;
    u64 sensor;
    u64 spared;
    u64 raced;
    u64 seeds[2];
};

struct prevention_slot {
    u64 tag;
    u32 length;
    u32 compared;
    u64 stopped;
    u64 path[PREVENTION_PATH_BYTES / sizeof(u64)];
};

/* The first element is the header. One element for everything would be simpler here, but BCC's
 * compiler takes seconds for so large a one.
 */
union prevention_element {
    struct prevention_header header;
    struct prevention_slot slot;
};

_Static_assert(sizeof(union prevention_element) == PREVENTION_ELEMENT_BYTES,
               "LAYOUT: size of an element of the table of prevention");

#define PREVENTION_WORDS (PREVENTION_PATH_BYTES / sizeof(u64))
#define PREVENTION_IMAGE 1
#define PREVENTION_EXECUTABLE 2

static __always_inline void *prevention_element(u32 index)
{
    return bpf_map_lookup_elem_(SHARED_MAP(prevention), &index);
}

#define NO_SLOT PREVENTION_SLOTS

/* A path, zeroes behind it, its tag, and the slot that it was found in. All of it lives in memory,
 * where the verifier forgets what it knew: else it would check everything behind a loop once for each
 * number of rounds.
 */
struct prevention_key {
    u64 tag;
    u64 length;
    u64 first; /* element of the bank that counts */
    u64 slot;
    u64 path[PREVENTION_WORDS];
    u8 given[PREVENTION_PATH_BYTES + sizeof(u64)];
};

BPF_PERCPU_ARRAY(prevention_scratch, struct prevention_key, 1);

static long (*send_signal)(u32 signal) = (void *)BPF_FUNC_send_signal;

#define SIGNAL_KILL 9
#define INITIAL_PROCESS 1

#define NOW(word) (*(volatile u64 *)&(word))

static __always_inline void take_key(struct prevention_key *key, u8 *text, u64 seed)
{
    key->tag = seed;
    for (u32 index = 0; index < PREVENTION_WORDS; index++) {
        FORGET();
        u64 length = key->length;
        u64 from = index * sizeof(u64);
        if (from >= length)
            break;
        u64 word = ((u64 *)text)[index];
        if (length - from < sizeof(u64))
            word &= (1ULL << ((length - from) * 8)) - 1;
        key->path[index] = word;
        u64 tag = (key->tag ^ word) * PREVENTION_MULTIPLIER;
        key->tag = tag ^ tag >> PREVENTION_SHIFT;
    }
    key->tag |= 1;
    FORGET();
}

static __always_inline struct prevention_slot *slot_of(struct prevention_key *key)
{
    FORGET();
    if (key->slot == NO_SLOT)
        return NULL;
    u32 index = key->first + key->slot;
    return prevention_element(index);
}

static __always_inline void find_tag(struct prevention_key *key, u32 compared)
{
    for (u32 probe = 0; probe < PREVENTION_PROBES; probe++) {
        FORGET();
        u64 index = ((key->tag >> PREVENTION_INDEX_SHIFT) + probe) & (PREVENTION_SLOTS - 1);
        u32 element = key->first + index;
        struct prevention_slot *slot = prevention_element(element);
        if (!slot || !slot->tag)
            break;
        if (slot->tag == key->tag && slot->compared == compared && slot->length == key->length) {
            key->slot = index;
            break;
        }
    }
    FORGET();
}

static __always_inline void compare_path(struct prevention_key *key)
{
    struct prevention_slot *slot = slot_of(key);
    if (!slot)
        return;
    for (u32 index = 0; index < PREVENTION_WORDS; index++) {
        FORGET();
        if (index * sizeof(u64) >= key->length)
            break;
        if (slot->path[index] != key->path[index]) {
            key->slot = NO_SLOT;
            break;
        }
    }
    FORGET();
}

/* Looks for a path; `taken` is its length as the copy functions return it. */
static __always_inline void find_prevented(
    struct prevention_key *key, u64 seed, u32 compared, u8 *text, s64 taken)
{
    key->slot = NO_SLOT;
    FORGET();
    if (taken <= 0 || taken >= PREVENTION_PATH_BYTES)
        return;
    key->length = taken;
    take_key(key, text, seed ^ compared);
    find_tag(key, compared);
    compare_path(key);
}

/* The first process of the host, and the sensor's own, are never stopped. */
static __always_inline int is_spared(struct prevention_header *table)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u64 parent = MEMBER(u64, current_task(), task_struct_real_parent);
    u32 parent_pid = MEMBER(u32, parent, task_struct_tgid);
    return pid == INITIAL_PROCESS || pid == table->sensor || parent_pid == table->sensor;
}

/* The slot of the program, or NULL; `state` is that of the table. */
static __always_inline struct prevention_slot *find_slot(struct prevention_header *table, u64 state,
    struct prevention_key *key, u64 program, struct directory_walk *walk)
{
    struct directory_path *path = &walk->paths[EXECUTABLE_PATH];
    u64 seed = state & PREVENTION_BANK ? table->seeds[1] : table->seeds[0];
    key->first = state & PREVENTION_BANK ? 1 + PREVENTION_SLOTS : 1;
    /* Longer by one than what is compared, so that a path that was cut is none. */
    s64 taken = read_kernel_string(key->given, PREVENTION_PATH_BYTES + 1,
                                   (void *)read_u64(program + OFFSET_linux_binprm_filename));
    find_prevented(key, seed, PREVENTION_IMAGE, key->given, taken - 1);
    if (key->slot == NO_SLOT)
        find_prevented(key, seed, PREVENTION_EXECUTABLE, path->text, path->taken);
    return slot_of(key);
}

/* Stops the current process if its path is prevented. The path of its file, and what came of it,
 * are left in the walk for the record. This comes before everything else that is done at an exec,
 * so that nothing else has to be checked once for each of the ways through it.
 */
static __always_inline void prevent(u64 program, struct directory_walk *walk, u64 task)
{
    u32 only = 0;
    struct prevention_header *table = prevention_element(0);
    struct prevention_key *key = prevention_scratch.lookup(&only);
    find_paths(walk, task);
    walk->prevention = process_prevention_none;
    FORGET();
    if (!table || !key)
        return;
    u64 state = NOW(table->state);
    if (!(state & PREVENTION_ON))
        return;
    struct prevention_slot *slot = find_slot(table, state, key, program, walk);
    if (!slot)
        return;
    if (NOW(table->state) != state) {
        __sync_fetch_and_add(&table->raced, 1);
    } else if (is_spared(table) || send_signal(SIGNAL_KILL)) {
        __sync_fetch_and_add(&table->spared, 1);
    } else {
        __sync_fetch_and_add(&slot->stopped, 1);
        walk->prevention = process_prevention_kernel;
        FORGET();
    }
}
