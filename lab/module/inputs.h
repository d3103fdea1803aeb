/*
 * The integration code: what the module knows of an event, as the input block that the interpreter
 * reads. It supplies as many inputs as the Definition has, 20 for ipc; behind the last one stand the
 * texts.
 */
#ifndef BULKHEAD_MODULE_INPUTS_H
#define BULKHEAD_MODULE_INPUTS_H

#include "interpreter.h"

#define TEXT_BYTES 2048

struct inputs {
	struct bulkhead_value *block; /* inputs, then texts */
	uint8_t *texts;
	uint32_t arity;
	uint32_t used;
};

/* Room for an event of that arity, all inputs absent; 0, or -ENOMEM. */
int inputs_make(struct inputs *inputs, uint32_t arity);
void inputs_free(struct inputs *inputs);

void inputs_number(struct inputs *inputs, uint32_t field, uint64_t number);
void inputs_text(struct inputs *inputs, uint32_t field, const char *text);
/* A text in a process's memory, as far as it can be read at once. */
void inputs_user_text(struct inputs *inputs, uint32_t field, const char __user *text,
		      uint32_t capacity);

#endif
