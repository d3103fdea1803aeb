/* A thread that died inside a call never leaves it. Each load has its own calls, and forgets them.
 *
 * Hardly any thread does, and to look takes no lock.
 */

static __always_inline void forget(u64 key)
{
    if (bpf_map_lookup_elem_(SHARED_MAP(pending), &key))
        bpf_map_delete_elem_(SHARED_MAP(pending), &key);
}

int forget_calls(void *ctx)
{
    u64 thread = bpf_get_current_pid_tgid();
    forget(thread);
    if (FORGETS_IPC)
        forget(thread | OF_IPC);
    return 0;
}
