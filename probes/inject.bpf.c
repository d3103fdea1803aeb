/* Puts a record that user space has prepared into the ring of Template Type process.
 *
 * Only the kernel writes to a BPF ring, and what was found in /proc has to go the way of all events:
 * through the same ring, with a sequence number of its own, to the same evaluator. The collector runs
 * this program by BPF_PROG_TEST_RUN, once for each process that ran already (probes/injection.py); it
 * is attached to nothing. Room is left for what happens meanwhile: without enough of it nothing is
 * written, and the collector tries again.
 */

#define WRITTEN 0
#define NO_ROOM 1
#define NOTHING_PREPARED 2

struct prepared {
    u64 truncated_fields;
    struct process_record record;
};

static void *(*reserve)(void *ring, u64 size, u64 flags) = (void *)BPF_FUNC_ringbuf_reserve;
static void (*submit)(void *record, u64 flags) = (void *)BPF_FUNC_ringbuf_submit;

int on_order(void *ctx)
{
    u32 only = 0;
    struct prepared *prepared = bpf_map_lookup_elem_(SHARED_MAP(prepared), &only);
    if (!prepared)
        return NOTHING_PREPARED;
    if (ask_ring((void *)SHARED_MAP(process_ring), BPF_RB_AVAIL_DATA) > MOST_WAITING_BYTES)
        return NO_ROOM;
    struct process_record *record
        = reserve((void *)SHARED_MAP(process_ring), sizeof(struct process_record), NOTHING);
    if (!record)
        return NO_ROOM;
    read_kernel(record, sizeof(struct process_record), &prepared->record);
    record->processor = bpf_get_smp_processor_id();
    record->time_ns = bpf_ktime_get_boot_ns();
    if (prepared->truncated_fields)
        count_losses(COUNTER_FIELD_TRUNCATED_process, prepared->truncated_fields);
    submit(record, WAKE_IDLE_READER);
    return WRITTEN;
}
