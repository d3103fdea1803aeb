/*
 * Faults of the laboratory that content as such cannot cause in this interpreter, beyond the one of
 * 2024: they are put in on purpose, and wait for a value that says so.
 *
 * Why a marked value and no operator number: a file with a value is valid content in every respect,
 * so that the same file passes every check of the product and reaches every placement. An unknown
 * operator would be refused by the first strict reader, and only the crudest placements would show
 * anything.
 */
#ifndef BULKHEAD_UNCHECKED_FAULTS_H
#define BULKHEAD_UNCHECKED_FAULTS_H

#include "interpreter.h"

#define BULKHEAD_MARK "bulkhead-laboratory:"

/* Commits the fault that a value names, if it is marked; most of them never return. */
void bulkhead_fault(const struct bulkhead_value *value);

/* Memory from whoever runs the interpreter, or NULL; never given back. */
void *bulkhead_allocate(uint64_t bytes);

#endif
