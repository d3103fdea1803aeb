/* See inputs.h. */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "inputs.h"

int inputs_make(struct inputs *inputs, uint32_t arity)
{
	size_t bytes = arity * sizeof(*inputs->block);

	/* Events come where nobody may sleep. */
	inputs->block = kzalloc(bytes + TEXT_BYTES, GFP_ATOMIC | __GFP_NOWARN);
	if (!inputs->block)
		return -ENOMEM;
	inputs->texts = (uint8_t *)inputs->block + bytes;
	inputs->arity = arity;
	inputs->used = 0;
	for (uint32_t i = 0; i < arity; i++)
		inputs->block[i].length = BULKHEAD_ABSENT;
	return 0;
}

void inputs_free(struct inputs *inputs)
{
	kfree(inputs->block);
}

void inputs_number(struct inputs *inputs, uint32_t field, uint64_t number)
{
	inputs->block[field - 1].number = number;
	inputs->block[field - 1].length = sizeof(number);
}

static void place(struct inputs *inputs, uint32_t field, uint32_t length)
{
	uint8_t *text = inputs->texts + inputs->used;

	text[length] = 0;
	inputs->block[field - 1].text = text;
	inputs->block[field - 1].length = length;
	inputs->used += length + 1;
}

void inputs_text(struct inputs *inputs, uint32_t field, const char *text)
{
	uint32_t room = TEXT_BYTES - inputs->used - 1;
	uint32_t length = (uint32_t)strnlen(text, room);

	memcpy(inputs->texts + inputs->used, text, length);
	place(inputs, field, length);
}

void inputs_user_text(struct inputs *inputs, uint32_t field, const char __user *text,
		      uint32_t capacity)
{
	uint32_t most = min(capacity, TEXT_BYTES - inputs->used - 1);
	uint8_t *into = inputs->texts + inputs->used;
	uint32_t length = 0;

	/* Page by page: what lies behind the text's last page may not be there. */
	while (length < most) {
		uint32_t left = (uint32_t)(PAGE_SIZE - offset_in_page(text + length));
		uint32_t part = min(left, most - length);
		uint32_t found;

		if (copy_from_user_nofault(into + length, text + length, part))
			break;
		found = (uint32_t)strnlen((char *)into + length, part);
		length += found;
		if (found < part)
			break;
	}
	place(inputs, field, length);
}
