/* A thread that died inside a call never leaves it. Each load has its own calls, and forgets them. */

int forget_calls(void *ctx)
{
    u64 key = bpf_get_current_pid_tgid();
    bpf_map_delete_elem_(SHARED_MAP(pending), &key);
    if (FORGETS_IPC) {
        key |= OF_IPC;
        bpf_map_delete_elem_(SHARED_MAP(pending), &key);
    }
    return 0;
}
