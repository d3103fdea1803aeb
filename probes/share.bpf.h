/* A share of each ring for every process, so that a flood from one can't blind the sensor to others.
 *
 * Below CROWDED whoever comes first is served, and nobody counts. Above it a process may put so many
 * records into a ring as make up one SHARE_PARTS-th of the room that is left: the fuller the ring,
 * the smaller the share. One flood stops where the room left is SHARE_PARTS times what it has taken,
 * n floods where it is SHARE_PARTS / n times that; so some room is always left to who has taken
 * nothing yet, and a first record is refused only by a ring that has no room at all.
 *
 * A share lasts for one turn of the ring: once everything that was in it when the count began has
 * been read, the count begins again. Two processors that count for one process at the same time may
 * let a record too many through. What is refused is counted, exactly.
 *
 * Who was refused stands behind the loss counters: for each Template Type FLOODER_PLACES places of
 * FLOODER_WORDS words (content/flooders.py has the same). A place passes to another process, and
 * counts anew, once its own was not refused for FLOODER_NS; the reader looks more often.
 */

struct share_of {
    u64 process; /* as own_process() says it, so that a pid used again is another one */
    u64 template_type;
};

struct share {
    u64 began; /* position of the ring at which the count began */
    u64 taken; /* records since then */
};

BPF_TABLE("lru_hash", struct share_of, struct share, shares, SHARES);

struct filling {
    u64 template_type;
    u64 process;
    u64 stride;
    u64 room;    /* bytes */
    u64 read;    /* position up to which the ring was read */
    u64 written; /* position up to which it was written */
};

/* Whether the share is used up; if not, another record is taken from it. Where the map has no room
 * for another share, nothing is refused.
 */
static __always_inline int is_beyond_share(struct filling *ring)
{
    struct share_of key = {.process = ring->process, .template_type = ring->template_type};
    struct share *share = shares.lookup(&key);
    if (!share || ring->read > share->began) {
        struct share first = {.began = ring->written, .taken = 1};
        shares.update(&key, &first);
        return 0;
    }
    if (share->taken * ring->stride * SHARE_PARTS >= ring->room)
        return 1;
    __sync_fetch_and_add(&share->taken, 1);
    return 0;
}

static __always_inline void name_flooder(u32 places, u64 process)
{
    u64 now = bpf_ktime_get_boot_ns();
#pragma clang loop unroll(disable)
    for (u32 place = 0; place < FLOODER_PLACES; place++) {
        u32 slot = places + place * FLOODER_WORDS;
        u64 *named = counter_word(slot);
        u64 *refused = counter_word(slot + 1);
        u64 *last = counter_word(slot + 2);
        if (!named || !refused || !last)
            return;
        if (*named != process && now - *last < FLOODER_NS)
            continue;
        if (*named && *named != process)
            *refused = 0;
        *named = process;
        *last = now;
        __sync_fetch_and_add(refused, 1);
        return;
    }
}
