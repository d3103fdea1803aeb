/*
 * The unchecked interpreter of July 2024: what goes in and what comes out.
 *
 * Freestanding: no C library, no allocation, no state. The same two files are built as a library
 * for user space and into a kernel module. `reader.h` makes their arrays from a Channel File.
 *
 * An event arrives as an input block, written by the sensor's integration code:
 *
 *     | input 1 | input 2 | ... | input 20 | texts, each with a NUL behind it |
 *
 * Input n stands at inputs[n - 1]. What lies behind the last input is the first text, so whoever
 * reads input 21 takes eight bytes of text for a pointer.
 */
#ifndef BULKHEAD_UNCHECKED_INTERPRETER_H
#define BULKHEAD_UNCHECKED_INTERPRETER_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
#endif

enum bulkhead_operator {
	BULKHEAD_EQUALS = 1,
	BULKHEAD_STARTS_WITH = 2,
	BULKHEAD_ENDS_WITH = 3,
	BULKHEAD_CONTAINS = 4,
	BULKHEAD_LESS = 8,
	BULKHEAD_LESS_OR_EQUAL = 9,
	BULKHEAD_GREATER = 10,
	BULKHEAD_GREATER_OR_EQUAL = 11,
	BULKHEAD_EXISTS = 12,
};

enum bulkhead_kind {
	BULKHEAD_TEXT = 1,
	BULKHEAD_UNSIGNED = 2,
	BULKHEAD_SIGNED = 3,
};

/* Length of an input that was not supplied for this event. */
#define BULKHEAD_ABSENT (~(uint64_t)0)

/* One input or one value of a criterion: a number, or a text with its length in bytes. */
struct bulkhead_value {
	union {
		const uint8_t *text;
		uint64_t number;
	};
	uint64_t length;
};

struct bulkhead_criterion {
	uint32_t field; /* counts from 1 */
	uint32_t first_value;
	uint32_t value_count;
	uint8_t operator_number;
	uint8_t kind;
	uint8_t negated;
	uint8_t case_sensitive;
};

/* A run of criteria that must all hold, or of clauses of which any may. */
struct bulkhead_range {
	uint32_t first;
	uint32_t count;
};

/* Compiled content: instances of clauses of criteria of values, each an array. */
struct bulkhead_content {
	const struct bulkhead_range *instances;
	const struct bulkhead_range *clauses;
	const struct bulkhead_criterion *criteria;
	const struct bulkhead_value *values;
};

/* The first clause of an instance that matches the event, counted from 0, or -1. */
int bulkhead_evaluate(const struct bulkhead_content *content, uint32_t instance,
		      const struct bulkhead_value *inputs);

#endif
