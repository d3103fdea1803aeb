/* The ring of Template Type ${type}, and the only way to a record in it (see share.bpf.h).
 *
 * probes/program.py writes this file once for every Template Type wanted: BCC finds a map only where
 * its name stands in the text itself, not in a macro.
 */

BPF_RINGBUF_OUTPUT(${type}_ring, RING_BYTES_${type} / PAGE_SIZE);

/* Room for a record; NULL if there was none for this process, which then has been counted. */
static __always_inline struct ${type}_record *reserve_${type}(void)
{
    u64 waiting = ${type}_ring.ringbuf_output(NULL, BPF_RB_AVAIL_DATA, NOTHING);
    if (waiting > CROWDED(RING_BYTES_${type}) && waiting < RING_BYTES_${type} - STRIDE_${type}) {
        struct filling ring = {
            .template_type = TEMPLATE_TYPE_${type},
            .process = own_process(),
            .stride = STRIDE_${type},
            .room = RING_BYTES_${type} - waiting,
            .read = ${type}_ring.ringbuf_output(NULL, BPF_RB_CONS_POS, NOTHING),
            .written = ${type}_ring.ringbuf_output(NULL, BPF_RB_PROD_POS, NOTHING),
        };
        if (is_beyond_share(&ring)) {
            count_loss(COUNTER_FLOOD_${type});
            name_flooder(FLOODERS_${type}, ring.process);
            return NULL;
        }
    }
    struct ${type}_record *record = ${type}_ring.ringbuf_reserve(sizeof(struct ${type}_record));
    if (!record)
        count_loss(COUNTER_RING_FULL_${type});
    return record;
}
