/*
 * Reads a Channel File, as the product writes it, into the arrays that the interpreter takes.
 *
 * Freestanding, like the interpreter: no C library, no allocation, no state. Texts are not copied;
 * they lie in the bytes that were read, which have to outlive the arrays.
 *
 * The reader itself checks every bound. What it does not do, as nobody did in 2024, is compare what
 * content claims with what the sensor supplies: field numbers, arity, fingerprint and schema
 * version are taken as they come.
 */
#ifndef BULKHEAD_UNCHECKED_READER_H
#define BULKHEAD_UNCHECKED_READER_H

#include "interpreter.h"

enum bulkhead_reason {
	BULKHEAD_READ = 0,
	BULKHEAD_TRUNCATED = -1, /* something ends behind the end of what it is in */
	BULKHEAD_MALFORMED = -2, /* no field begins so, or it is of another wire type */
	BULKHEAD_TOO_MANY = -3, /* more than there is room for */
};

struct bulkhead_counts {
	uint32_t instances;
	uint32_t clauses;
	uint32_t criteria;
	uint32_t values;
};

/* Who an instance is, and whether the interpreter knows all of its operators and values. */
struct bulkhead_identity {
	struct bulkhead_value id;
	uint64_t supported;
};

/* Where to write, and how much of each there is room for. */
struct bulkhead_room {
	struct bulkhead_identity *identities;
	struct bulkhead_range *instances;
	struct bulkhead_range *clauses;
	struct bulkhead_criterion *criteria;
	struct bulkhead_value *values;
	struct bulkhead_counts most;
};

struct bulkhead_file {
	uint64_t version;
	uint32_t template_type;
	uint32_t arity; /* as the author claims it */
	struct bulkhead_counts counts;
};

/* The payload of an envelope; its signatures are somebody else's to check. */
int bulkhead_payload(const uint8_t *envelope, uint64_t length, struct bulkhead_value *payload);

/* Read a payload. Without room (NULL) nothing is written but the file's own facts and counts. */
int bulkhead_read(const uint8_t *payload, uint64_t length, const struct bulkhead_room *room,
		  struct bulkhead_file *file);

#endif
