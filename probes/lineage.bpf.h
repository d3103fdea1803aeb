/* How what is remembered of a process, in the lineage map, gets into a record.
 *
 * Who keeps the map depends on the rung: lineage.bpf.c or lineage.tracepoint.bpf.c.
 */

/* What the process was started as, for records that are not of its start. */
#define ACTOR_IMAGE(type, record, actor)                                                     \
    do {                                                                                     \
        if ((actor)->self) {                                                                 \
            TEXT(type, record, image, copy_lineage_image, (actor)->self);                    \
            ARGUMENTS(type, record, command_line, copy_lineage_command_line, (actor)->self); \
        }                                                                                    \
    } while (NOTHING)

static __always_inline s64 copy_remembered(
    u8 *destination, u64 capacity, void *text, s64 remembered)
{
    if (remembered < 0)
        return UNKNOWN;
    s64 taken = copy_words(destination, capacity, text, (u32)remembered);
    return taken | (remembered & TRUNCATED);
}

static __always_inline s64 copy_lineage_image(u8 *destination, u64 capacity, struct lineage *from)
{
    return copy_remembered(destination, capacity, from->image, from->image_taken);
}

static __always_inline s64 copy_lineage_command_line(
    u8 *destination, u64 capacity, struct lineage *from)
{
    return copy_remembered(destination, capacity, from->command_line, from->command_line_taken);
}
