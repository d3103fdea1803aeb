/* What goes wrong, by name; see faults.h. */
#include "faults.h"

/* Not canonical on x86-64: no mapping can be there, neither for a program nor for the kernel. */
#define WILD_ADDRESS 0x6b61657262646c69ul
#define FRAME_BYTES 512
#define HOG_BYTES (1u << 20)
#define HOG_LEAST_BYTES 64u
#define PAGE_BYTES 4096
#define SUBJECT "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"

static int named(const struct bulkhead_value *value, const char *name)
{
	uint64_t at = sizeof(BULKHEAD_MARK) - 1;

	for (; at < value->length && *name; at++, name++)
		if (value->text[at] != (uint8_t)*name)
			return 0;
	return at == value->length && !*name;
}

static int marked(const struct bulkhead_value *value)
{
	for (uint64_t i = 0; i < sizeof(BULKHEAD_MARK) - 1; i++)
		if (i >= value->length || value->text[i] != (uint8_t)BULKHEAD_MARK[i])
			return 0;
	return 1;
}

static void write_to(uint64_t address)
{
	/* Or the compiler would see what comes, and do as it pleases. */
	__asm__ volatile("" : "+r"(address));
	*(volatile uint8_t *)address = 1;
}

/* No depth is reached that is less than none; the compiler need not know. */
static volatile int deepest = -1;

static int recurse(int depth)
{
	volatile uint8_t frame[FRAME_BYTES];

	if (depth == deepest)
		return 0;
	frame[0] = (uint8_t)depth;
	__asm__ volatile("" : : "r"(frame) : "memory");
	return recurse(depth + 1) + frame[0];
}

/* As much as there is, to the last small piece: what is left decides whether others can go on. */
static void hog(void)
{
	uint8_t *block;

	for (uint32_t bytes = HOG_BYTES; bytes >= HOG_LEAST_BYTES; bytes /= 2)
		while ((block = bulkhead_allocate(bytes)))
			for (uint32_t at = 0; at < bytes; at += PAGE_BYTES)
				((volatile uint8_t *)block)[at] = 1;
}

/* (a+)+$ as a matcher with backtracking goes about it: in each of the 2^n ways to part n letters. */
static int backtrack(const char *text)
{
	int letters = 0;

	while (text[letters] == 'a')
		letters++;
	if (!letters)
		return 0;
	for (; letters; letters--) {
		__asm__ volatile("" : : : "memory");
		if (!text[letters] || backtrack(text + letters))
			return 1;
	}
	return 0;
}

void bulkhead_fault(const struct bulkhead_value *value)
{
	if (!marked(value))
		return;
	if (named(value, "null-pointer"))
		write_to(0);
	else if (named(value, "wild-pointer"))
		write_to(WILD_ADDRESS);
	else if (named(value, "endless-loop"))
		for (;;)
			__asm__ volatile("" : : : "memory");
	else if (named(value, "deep-recursion"))
		recurse(0);
	else if (named(value, "memory-hog"))
		hog();
	else if (named(value, "catastrophic-expression"))
		backtrack(SUBJECT);
}
