/*
 * The wire format of protocol buffers, as far as a Channel File needs it: a message is a sequence of
 * tags and values; a value is a varint, 4 or 8 bytes, or bytes with their length before them.
 * Every bound is checked.
 */
#ifndef BULKHEAD_UNCHECKED_WIRE_H
#define BULKHEAD_UNCHECKED_WIRE_H

#include "reader.h"

enum { VARINT = 0, EIGHT_BYTES = 1, BYTES = 2, FOUR_BYTES = 5 };

/* What is left of a message. */
struct bytes {
	const uint8_t *at;
	uint64_t left;
};

/* One field of a message: a varint's number, or the bytes. */
struct field {
	uint64_t number;
	int wire;
	uint64_t varint;
	struct bytes bytes;
};

/* Called for each field of a message; anything but BULKHEAD_READ ends the reading. */
typedef int (*bulkhead_take)(void *context, const struct field *field, void *into);

int bulkhead_each_field(void *context, struct bytes message, bulkhead_take take, void *into);

/* Whether a field is the wanted one, and of its wire type: 1, 0, or BULKHEAD_MALFORMED. */
int bulkhead_is(const struct field *field, uint64_t number, int wire);

/* What a varint of a signed number says. */
int64_t bulkhead_zigzag(uint64_t encoded);

/* Where a text without bytes lies: whoever reads its first byte finds a NUL. */
extern const uint8_t bulkhead_empty[1];

#endif
