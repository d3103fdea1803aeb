/*
 * The sensor of July 2024 as a kernel module: reads its Channel Files at boot, evaluates each exec
 * and each FIFO that is made, where it happens, and says detections in the kernel's log.
 *
 * Parameters: `folder` has process.channel and ipc.channel; writing to `reload` reads them again. A
 * file that can't be read leaves what was in force before.
 */
#include <linux/binfmts.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include <linux/uidgid.h>
#include <asm/syscall.h>
#include <asm/unistd.h>

#include "content.h"
#include "faults.h"
#include "inputs.h"
#include "supplied.h"

#define PATH_BYTES 256
#define PERMISSION "bulkhead.disposable"
#define COMMAND_LINE_BYTES 4096
#define FIFO_CREATE 3 /* content/definitions/ipc.yaml */

static char *folder = "/var/lib/bulkhead";
module_param(folder, charp, 0444);

static struct content __rcu *process_content;
static struct content __rcu *ipc_content;
static DEFINE_MUTEX(reading);

void *bulkhead_allocate(uint64_t bytes)
{
	return kmalloc(bytes, GFP_ATOMIC | __GFP_NOWARN);
}

static void evaluate(struct content __rcu **in_force, const struct inputs *inputs,
		     const char *what)
{
	const struct content *content;

	rcu_read_lock();
	content = rcu_dereference(*in_force);
	for (uint32_t i = 0; content && i < content->file.counts.instances; i++) {
		const struct bulkhead_identity *identity = &content->room.identities[i];

		if (!identity->supported ||
		    bulkhead_evaluate(&content->compiled, i, inputs->block) < 0)
			continue;
		pr_info("bulkhead: detection %.*s %s\n", (int)identity->id.length,
			identity->id.text, what);
	}
	rcu_read_unlock();
}

static void actor(struct inputs *inputs, uint32_t name, uint32_t pid, uint32_t user)
{
	inputs_text(inputs, name, current->comm);
	inputs_number(inputs, pid, (uint64_t)task_tgid_nr(current));
	inputs_number(inputs, user, from_kuid(&init_user_ns, current_uid()));
}

static void on_exec(void *data, struct task_struct *task, pid_t old_pid,
		    struct linux_binprm *program)
{
	struct inputs inputs;

	if (inputs_make(&inputs, PROCESS_ARITY))
		return;
	inputs_text(&inputs, PROCESS_IMAGE, program->filename);
	actor(&inputs, PROCESS_NAME, PROCESS_PID, PROCESS_USER_ID);
	evaluate(&process_content, &inputs, program->filename);
	inputs_free(&inputs);
}

static void on_system_call(void *data, struct pt_regs *registers, long number)
{
	unsigned long arguments[6];
	struct inputs inputs;
	int first = number == __NR_mknodat; /* a folder stands before the path */

	if (number != __NR_mknod && number != __NR_mknodat)
		return;
	syscall_get_arguments(current, registers, arguments);
	if (!S_ISFIFO(arguments[first + 1]) || inputs_make(&inputs, IPC_ARITY))
		return;
	inputs_number(&inputs, IPC_OPERATION, FIFO_CREATE);
	inputs_user_text(&inputs, IPC_PATH, (const char __user *)arguments[first], PATH_BYTES);
	inputs_number(&inputs, IPC_MODE, arguments[first + 1] & 07777);
	actor(&inputs, IPC_NAME, IPC_PID, IPC_USER_ID);
	evaluate(&ipc_content, &inputs, (const char *)inputs.block[IPC_PATH - 1].text);
	inputs_free(&inputs);
}

/* The names are those of the kernel's own tracepoints. */
static struct {
	const char *name;
	void *probe;
	struct tracepoint *found;
} probes[] = {
	{ "sched_process_exec", on_exec, NULL },
	{ "sys_enter", on_system_call, NULL },
};

static void look(struct tracepoint *tracepoint, void *unused)
{
	for (size_t i = 0; i < ARRAY_SIZE(probes); i++)
		if (!strcmp(tracepoint->name, probes[i].name))
			probes[i].found = tracepoint;
}

static void replace(struct content __rcu **in_force, const char *name)
{
	char path[PATH_BYTES];
	struct content *next, *last;

	snprintf(path, sizeof(path), "%s/%s.channel", folder, name);
	next = content_read(path);
	if (!next)
		return;
	last = rcu_replace_pointer(*in_force, next, lockdep_is_held(&reading));
	synchronize_rcu();
	content_free(last);
}

static int reload(const char *value, const struct kernel_param *parameter)
{
	mutex_lock(&reading);
	replace(&process_content, "process");
	replace(&ipc_content, "ipc");
	mutex_unlock(&reading);
	return 0;
}

static const struct kernel_param_ops reload_operations = { .set = reload };
module_param_cb(reload, &reload_operations, NULL, 0200);

/* Whether this kernel was told at its start that nobody misses it. */
static int permitted(void)
{
	struct file *file = filp_open("/proc/cmdline", O_RDONLY, 0);
	char *line = kzalloc(COMMAND_LINE_BYTES, GFP_KERNEL);
	loff_t at = 0;
	int found = 0;

	if (line && !IS_ERR(file) && kernel_read(file, line, COMMAND_LINE_BYTES - 1, &at) > 0)
		found = strstr(line, PERMISSION) != NULL;
	if (!IS_ERR(file))
		filp_close(file, NULL);
	kfree(line);
	return found;
}

static void leave(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(probes); i++)
		if (probes[i].found)
			tracepoint_probe_unregister(probes[i].found, probes[i].probe, NULL);
	tracepoint_synchronize_unregister();
	content_free(rcu_dereference_protected(process_content, 1));
	content_free(rcu_dereference_protected(ipc_content, 1));
}

static int __init enter(void)
{
	int result = 0;

	if (!permitted()) {
		pr_err("bulkhead: NOT_A_LABORATORY_GUEST\n");
		return -EPERM;
	}
	for_each_kernel_tracepoint(look, NULL);
	reload(NULL, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(probes) && !result; i++)
		result = probes[i].found ? tracepoint_probe_register(probes[i].found,
								      probes[i].probe, NULL) :
					   -ENOENT;
	if (result)
		leave();
	return result;
}

module_init(enter);
module_exit(leave);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Laboratory of Bulkhead: the unchecked interpreter of July 2024");
