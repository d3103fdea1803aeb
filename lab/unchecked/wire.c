/* See wire.h. */
#include "wire.h"

#define VARINT_BITS 64

const uint8_t bulkhead_empty[1] = { 0 };

static int read_varint(struct bytes *from, uint64_t *value)
{
	*value = 0;
	for (int shift = 0; shift < VARINT_BITS; shift += 7) {
		uint8_t byte;

		if (!from->left)
			return BULKHEAD_TRUNCATED;
		byte = *from->at++;
		from->left--;
		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return BULKHEAD_READ;
	}
	return BULKHEAD_MALFORMED;
}

static int read_bytes(struct bytes *from, uint64_t length, struct bytes *bytes)
{
	if (length > from->left)
		return BULKHEAD_TRUNCATED;
	bytes->at = length ? from->at : bulkhead_empty;
	bytes->left = length;
	from->at += length;
	from->left -= length;
	return BULKHEAD_READ;
}

static int read_value(struct bytes *from, struct field *field)
{
	uint64_t length;
	int result;

	switch (field->wire) {
	case VARINT:
		return read_varint(from, &field->varint);
	case EIGHT_BYTES:
		return read_bytes(from, 8, &field->bytes);
	case FOUR_BYTES:
		return read_bytes(from, 4, &field->bytes);
	case BYTES:
		result = read_varint(from, &length);
		return result ? result : read_bytes(from, length, &field->bytes);
	}
	return BULKHEAD_MALFORMED;
}

int bulkhead_each_field(void *context, struct bytes message, bulkhead_take take, void *into)
{
	while (message.left) {
		struct field field = { .varint = 0, .bytes = { bulkhead_empty, 0 } };
		uint64_t tag;
		int result = read_varint(&message, &tag);

		if (result)
			return result;
		field.number = tag >> 3;
		field.wire = (int)(tag & 7);
		if (!field.number)
			return BULKHEAD_MALFORMED;
		result = read_value(&message, &field);
		if (!result)
			result = take(context, &field, into);
		if (result)
			return result;
	}
	return BULKHEAD_READ;
}

int bulkhead_is(const struct field *field, uint64_t number, int wire)
{
	if (field->number != number)
		return 0;
	return field->wire == wire ? 1 : BULKHEAD_MALFORMED;
}

int64_t bulkhead_zigzag(uint64_t encoded)
{
	return (int64_t)(encoded >> 1) ^ -(int64_t)(encoded & 1);
}
