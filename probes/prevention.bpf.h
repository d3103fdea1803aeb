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

struct prevention_slot {
    u64 tag;
    u32 length;
    u32 compared;
    u64 stopped;
    u64 path[PREVENTION_PATH_BYTES / sizeof(u64)];
};

struct prevention_bank {
    u64 seed;
    struct prevention_slot slots[PREVENTION_SLOTS];
};

struct prevention_table {
    u64 state;
    u64 sensor;
    u64 spared;
    u64 raced;
    struct prevention_bank banks[2];
};

_Static_assert(sizeof(struct prevention_table) == PREVENTION_TABLE_BYTES,
               "LAYOUT: size of the table of prevention");

#define PREVENTION_WORDS (PREVENTION_PATH_BYTES / sizeof(u64))
#define PREVENTION_IMAGE 1
#define PREVENTION_EXECUTABLE 2

BPF_F_TABLE("array", u32, struct prevention_table, prevention, 1, BPF_F_MMAPABLE);

#define NO_SLOT PREVENTION_SLOTS

/* A path, zeroes behind it, its tag, and the slot that it was found in. All of it lives in memory,
 * where the verifier forgets what it knew: else it would check everything behind a loop once for each
 * number of rounds.
 */
struct prevention_key {
    u64 tag;
    u64 length;
    u64 slot;
    u64 path[PREVENTION_WORDS];
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

static __always_inline struct prevention_slot *slot_of(
    struct prevention_bank *bank, struct prevention_key *key)
{
    FORGET();
    if (key->slot == NO_SLOT)
        return NULL;
    FORGET();
    u64 index = key->slot & (PREVENTION_SLOTS - 1);
    BOUND(index);
    return &bank->slots[index & (PREVENTION_SLOTS - 1)];
}

static __always_inline void find_tag(
    struct prevention_bank *bank, struct prevention_key *key, u32 compared)
{
    key->slot = NO_SLOT;
    for (u32 probe = 0; probe < PREVENTION_PROBES; probe++) {
        FORGET();
        u64 index = ((key->tag >> PREVENTION_INDEX_SHIFT) + probe) & (PREVENTION_SLOTS - 1);
        BOUND(index);
        struct prevention_slot *slot = &bank->slots[index & (PREVENTION_SLOTS - 1)];
        if (!slot->tag)
            break;
        if (slot->tag == key->tag && slot->compared == compared && slot->length == key->length) {
            key->slot = index;
            break;
        }
    }
    FORGET();
}

static __always_inline void compare_path(struct prevention_bank *bank, struct prevention_key *key)
{
    struct prevention_slot *slot = slot_of(bank, key);
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
    struct prevention_bank *bank, struct prevention_key *key, u32 compared, u8 *text, s64 taken)
{
    key->slot = NO_SLOT;
    FORGET();
    if (taken <= 0 || taken >= PREVENTION_PATH_BYTES)
        return;
    key->length = taken;
    take_key(key, text, bank->seed ^ compared);
    find_tag(bank, key, compared);
    compare_path(bank, key);
}

/* The first process of the host, and the sensor's own, are never stopped. */
static __always_inline int is_spared(struct prevention_table *table, struct actor *actor)
{
    u32 pid = actor->pid_and_thread >> 32;
    return pid == INITIAL_PROCESS || pid == table->sensor || actor->parent_pid == table->sensor;
}

/* Stops the current process if its path is prevented; what came of it, for the record. */
static __always_inline u64 prevent(
    struct actor *actor, struct lineage *entry, u8 *executable, s64 executable_taken)
{
    u32 only = 0;
    struct prevention_table *table = prevention.lookup(&only);
    struct prevention_key *key = prevention_scratch.lookup(&only);
    if (!table || !key)
        return process_prevention_none;
    u64 state = NOW(table->state);
    if (!(state & PREVENTION_ON))
        return process_prevention_none;
    struct prevention_bank *bank = &table->banks[state & PREVENTION_BANK ? 1 : 0];
    find_prevented(bank, key, PREVENTION_IMAGE, entry->image, entry->image_taken);
    if (key->slot == NO_SLOT)
        find_prevented(bank, key, PREVENTION_EXECUTABLE, executable, executable_taken);
    struct prevention_slot *slot = slot_of(bank, key);
    if (!slot)
        return process_prevention_none;
    if (NOW(table->state) != state) {
        __sync_fetch_and_add(&table->raced, 1);
        return process_prevention_none;
    }
    if (is_spared(table, actor) || send_signal(SIGNAL_KILL)) {
        __sync_fetch_and_add(&table->spared, 1);
        return process_prevention_none;
    }
    __sync_fetch_and_add(&slot->stopped, 1);
    return process_prevention_kernel;
}
