/* What can be said of a file descriptor without looking at kernel objects. */

#define OPEN_EXCLUSIVE 0200

/* Whether an open with O_CREAT that succeeded has surely created the file. */
static __always_inline int has_created(struct actor *actor, u64 flags, s64 descriptor)
{
    return flags & OPEN_EXCLUSIVE;
}
