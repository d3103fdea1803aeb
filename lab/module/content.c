/*
 * Reads a Channel File from disk, as a driver of 2024 did: whatever lies there is taken.
 */
#include <linux/fs.h>
#include <linux/kernel_read_file.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "content.h"

#define MOST_BYTES (17u << 20) /* an envelope, content.limits */

static int make_room(struct content *content, const struct bulkhead_counts *counts)
{
	struct bulkhead_room *room = &content->room;
	size_t instances = (size_t)counts->instances * sizeof(*room->instances);
	size_t identities = (size_t)counts->instances * sizeof(*room->identities);
	size_t clauses = (size_t)counts->clauses * sizeof(*room->clauses);
	size_t criteria = (size_t)counts->criteria * sizeof(*room->criteria);
	size_t values = (size_t)counts->values * sizeof(*room->values);
	void *at = vzalloc(identities + values + instances + clauses + criteria + 1);

	if (!at)
		return -ENOMEM;
	content->arrays = at;
	room->most = *counts;
	room->identities = at;
	room->values = at + identities;
	room->instances = at + identities + values;
	room->clauses = at + identities + values + instances;
	room->criteria = at + identities + values + instances + clauses;
	return 0;
}

static int compile(struct content *content, const struct bulkhead_value *payload)
{
	struct bulkhead_room *room = &content->room;
	int result = bulkhead_read(payload->text, payload->length, NULL, &content->file);
	struct bulkhead_counts counts = content->file.counts;

	if (result)
		return result;
	result = make_room(content, &counts);
	if (result)
		return result;
	content->compiled = (struct bulkhead_content){
		.instances = room->instances,
		.clauses = room->clauses,
		.criteria = room->criteria,
		.values = room->values,
	};
	return bulkhead_read(payload->text, payload->length, room, &content->file);
}

/* What the reader says, in the laboratory's words. */
static const char *reason_name(int result)
{
	switch (result) {
	case BULKHEAD_TRUNCATED:
		return "TRUNCATED";
	case BULKHEAD_MALFORMED:
		return "MALFORMED";
	case BULKHEAD_TOO_MANY:
		return "TOO_MANY";
	default:
		return "NO_MEMORY";
	}
}

struct content *content_read(const char *path)
{
	struct content *content = kzalloc(sizeof(*content), GFP_KERNEL);
	struct bulkhead_value payload;
	int result;
	ssize_t bytes;

	if (!content)
		return NULL;
	bytes = kernel_read_file_from_path(path, 0, &content->envelope, MOST_BYTES, NULL,
					   READING_UNKNOWN);
	if (bytes < 0) {
		pr_warn("bulkhead: refused %s: %s (%zd)\n", path,
			bytes == -ENOENT ? "MISSING" : "UNREADABLE", bytes);
		content_free(content);
		return NULL;
	}
	result = bulkhead_payload(content->envelope, (uint64_t)bytes, &payload);
	if (!result)
		result = compile(content, &payload);
	if (result) {
		pr_warn("bulkhead: refused %s: %s (%d)\n", path, reason_name(result), result);
		content_free(content);
		return NULL;
	}
	pr_info("bulkhead: in force %s version %llu\n", path, content->file.version);
	return content;
}

void content_free(struct content *content)
{
	if (!content)
		return;
	vfree(content->envelope);
	vfree(content->arrays);
	kfree(content);
}
