/* Maps that outlive one compilation: those that all loads of a collection share, and those that the
 * parts of one load share.
 *
 * They are made by probes/shared_maps.py before anything is compiled, or come from a collection that
 * runs. SHARED_name is the descriptor that the compiling process has of one: BCC passes a number
 * that is none of its own on to the kernel, which looks it up when the program is loaded.
 */

#define SHARED_MAP(name) bpf_pseudo_fd(1, SHARED_##name)

/* Runs the program in a map of programs for what is left of this one; goes on if there is none. */
#define TAIL_CALL(ctx, name) bpf_tail_call_(SHARED_MAP(name), ctx, 0)

static __always_inline struct lineage *lookup_lineage(u32 pid)
{
    return bpf_map_lookup_elem_(SHARED_MAP(lineage), &pid);
}

static __always_inline int update_lineage(u32 pid, struct lineage *entry)
{
    return bpf_map_update_elem_(SHARED_MAP(lineage), &pid, entry, BPF_ANY);
}

static __always_inline void delete_lineage(u32 pid)
{
    bpf_map_delete_elem_(SHARED_MAP(lineage), &pid);
}

static __always_inline u64 *counter_word(u32 slot)
{
    return bpf_map_lookup_elem_(SHARED_MAP(loss_counters), &slot);
}

static __always_inline void count_losses(u32 slot, u64 lost)
{
    u64 *counter = counter_word(slot);
    if (counter)
        __sync_fetch_and_add(counter, lost);
}

static __always_inline void count_loss(u32 slot)
{
    count_losses(slot, 1);
}
