/* System calls under way: what sys_enter saw, kept until sys_exit tells the result.
 *
 * Texts are read at exit: the kernel has just used them, so their pages are there. A thread that
 * shares the memory may change them in between; docs/probes.md says what that means.
 */

struct credentials {
    u64 effective_capabilities;
    u32 user_id;
    u32 effective_user_id;
    u32 group_id;
    u32 effective_group_id;
};

struct call {
    u32 number;    /* of the system call: an exit only takes what its own entry left */
    u32 operation; /* of the Template Type */
    union {
        struct {
            u64 path; /* or a socket address, or attributes of a BPF program */
            u64 target_path;
            u64 flags;
        };
        struct credentials before; /* what the caller had, for Template Type privilege */
    };
    u64 mode;
    u64 descriptor;
    u64 length;  /* of what `path` names, or an id asked for */
    u64 request; /* address of openat2's flags and mode, while they are not known */
};

_Static_assert(sizeof(struct call) == CALL_BYTES, "size of a pending call");

#ifdef CALL_REGISTERS
/* With what a task entered the kernel, which lies there until it leaves it. Numbers of calls that are
 * read so are those of x86-64, whose registers these are.
 */
static u64 (*call_registers)(u64 task) = (void *)BPF_FUNC_task_pt_regs;
#endif

/* Network and ipc watch the same calls, each with programs of its own, so that one can be attached or
 * detached without the other: what they remember of one thread's call must not be mixed up. A process
 * id leaves the uppermost bits of the key free.
 */
#define OF_IPC (1ULL << 63)

static __always_inline int update_pending(u64 key, struct call *call)
{
    return bpf_map_update_elem_(SHARED_MAP(pending), &key, call, BPF_ANY);
}

static __always_inline int remember(struct call *call, u32 full_counter)
{
    if (update_pending(bpf_get_current_pid_tgid(), call))
        count_loss(full_counter);
    return 0;
}

static __always_inline int recall_of(u64 owner, struct call *call, u32 number)
{
    u64 key = bpf_get_current_pid_tgid() | owner;
    struct call *found = bpf_map_lookup_elem_(SHARED_MAP(pending), &key);
    if (!found || found->number != number)
        return 0;
    *call = *found;
    bpf_map_delete_elem_(SHARED_MAP(pending), &key);
    return 1;
}

static __always_inline int recall(struct call *call, u32 number)
{
    return recall_of(NOTHING, call, number);
}
