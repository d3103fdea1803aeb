/*
 * The interpreter of 2024 as a BPF program: criteria in a map, an input block in another, and an index
 * from the content into it. SLOTS is how many inputs the block has room for: 20 as supplied, or 32
 * as one pads it so that an index can be masked.
 *
 * Inputs are the first 16 bytes of a text, or a number. The block is one per processor, as a BPF
 * program's scratch memory is, and serves events of both Template Types: what an exec event has left
 * behind the 20th slot is still there when a pipe is made.
 */
#define INPUT_BYTES 16
#define EXEC_INPUTS 22 /* more than 20: process has more fields than ipc */
#define NAME_INPUT 21

struct input {
	char bytes[INPUT_BYTES];
};

struct block {
	struct input inputs[SLOTS];
};

struct criterion {
	u32 field; /* counts from 1; 0: no criterion */
	u32 length;
	char text[INPUT_BYTES];
};

struct detection {
	char text[256];
};

BPF_PERCPU_ARRAY(blocks, struct block, 1);
BPF_HASH(criteria, u32, struct criterion, 1);
BPF_RINGBUF_OUTPUT(detections, 64);

/* As the kernel lays out sched/sched_process_exec. */
struct executed {
	u64 common;
	u32 filename; /* offset in the low half, length in the high one */
	int pid;
	int old_pid;
};

/* As the kernel lays out syscalls/sys_enter_mknodat. */
struct made {
	u64 common;
	u64 number;
	u64 folder;
	const char *path;
	u64 mode;
	u64 device;
};

static void say(char kind, const void *text, int of_user)
{
	struct detection *one = detections.ringbuf_reserve(sizeof(*one));

	if (!one)
		return;
	one->text[0] = kind;
	if (of_user)
		bpf_probe_read_user_str(one->text + 1, sizeof(one->text) - 1, text);
	else
		bpf_probe_read_kernel_str(one->text + 1, sizeof(one->text) - 1, text);
	detections.ringbuf_submit(one, 0);
}

/* Exec events: the canary is looked for by whoever reads; here they only leave their inputs. */
int on_exec(struct executed *event)
{
	const char *name = (const char *)event + (event->filename & 0xffff);
	u32 zero = 0;
	struct block *block = blocks.lookup(&zero);

	say('x', name, 0);
	if (!block)
		return 0;
#if SLOTS >= EXEC_INPUTS
	bpf_get_current_comm(block->inputs[NAME_INPUT - 1].bytes, INPUT_BYTES);
#endif
	return 0;
}

int on_make(struct made *event)
{
	u32 zero = 0;
	struct block *block = blocks.lookup(&zero);
	struct criterion *criterion = criteria.lookup(&zero);
	u32 field;

	if (!block || !criterion || !criterion->field)
		return 0;
	bpf_probe_read_user_str(block->inputs[1].bytes, INPUT_BYTES, event->path);
	field = criterion->field - 1;
#if SLOTS == 32
	field &= SLOTS - 1;
#endif
	for (u32 i = 0; i < INPUT_BYTES; i++) {
		if (i >= criterion->length)
			break;
		if (block->inputs[field].bytes[i] != criterion->text[i])
			return 0;
	}
	say('p', event->path, 1);
	return 0;
}
