/*
 * The unchecked interpreter of July 2024.
 *
 * What was wrong with the one of 2024, in the terms of its root cause analysis (docs/incident.md),
 * is wrong here, and nothing else but what waits for a marked value (faults.h):
 *
 *   Finding 1: the number of fields of the Template Type was not validated. The Definition has 21,
 *   the integration code supplies 20; nothing here knows either number.
 *
 *   Finding 2: the Content Interpreter had no run-time bounds check. See input_of().
 */
#include "interpreter.h"
#include "faults.h"

/*
 * The fault. A criterion names its field, and the field is taken from the input array as it is.
 * With 20 inputs and a criterion on field 21 this reads past the end of the array. The check that
 * is missing is one line: field >= 1 && field <= supplied.
 */
static const struct bulkhead_value *input_of(const struct bulkhead_value *inputs, uint32_t field)
{
	return &inputs[field - 1];
}

static uint8_t folded(uint8_t byte, int case_sensitive)
{
	if (!case_sensitive && byte >= 'A' && byte <= 'Z')
		return byte + ('a' - 'A');
	return byte;
}

static int same(const uint8_t *one, const uint8_t *other, uint64_t length, int case_sensitive)
{
	for (uint64_t i = 0; i < length; i++)
		if (folded(one[i], case_sensitive) != folded(other[i], case_sensitive))
			return 0;
	return 1;
}

static int contains(const struct bulkhead_value *input, const struct bulkhead_value *wanted,
		    int case_sensitive)
{
	for (uint64_t at = 0; at + wanted->length <= input->length; at++)
		if (same(input->text + at, wanted->text, wanted->length, case_sensitive))
			return 1;
	return 0;
}

static int text_compares(const struct bulkhead_criterion *criterion,
			 const struct bulkhead_value *input, const struct bulkhead_value *wanted)
{
	const int exact = criterion->case_sensitive;

	/* A text that starts otherwise is the usual case. An empty one starts with its NUL. */
	if ((criterion->operator_number == BULKHEAD_EQUALS ||
	     criterion->operator_number == BULKHEAD_STARTS_WITH) &&
	    folded(input->text[0], exact) != folded(wanted->text[0], exact) && wanted->length)
		return 0;
	if (wanted->length > input->length)
		return 0;
	switch (criterion->operator_number) {
	case BULKHEAD_EQUALS:
		return wanted->length == input->length &&
		       same(input->text, wanted->text, wanted->length, exact);
	case BULKHEAD_STARTS_WITH:
		return same(input->text, wanted->text, wanted->length, exact);
	case BULKHEAD_ENDS_WITH:
		return same(input->text + (input->length - wanted->length), wanted->text,
			    wanted->length, exact);
	case BULKHEAD_CONTAINS:
		return contains(input, wanted, exact);
	}
	return 0;
}

/* -1, 0 or 1 as the input is less than, equal to or greater than the value. */
static int order(const struct bulkhead_criterion *criterion, const struct bulkhead_value *input,
		 const struct bulkhead_value *wanted)
{
	if (input->number == wanted->number)
		return 0;
	if (criterion->kind == BULKHEAD_SIGNED)
		return (int64_t)input->number < (int64_t)wanted->number ? -1 : 1;
	return input->number < wanted->number ? -1 : 1;
}

static int number_compares(const struct bulkhead_criterion *criterion,
			   const struct bulkhead_value *input, const struct bulkhead_value *wanted)
{
	const int found = order(criterion, input, wanted);

	switch (criterion->operator_number) {
	case BULKHEAD_EQUALS:
		return found == 0;
	case BULKHEAD_LESS:
		return found < 0;
	case BULKHEAD_LESS_OR_EQUAL:
		return found <= 0;
	case BULKHEAD_GREATER:
		return found > 0;
	case BULKHEAD_GREATER_OR_EQUAL:
		return found >= 0;
	}
	return 0;
}

static int any_value_compares(const struct bulkhead_content *content,
			      const struct bulkhead_criterion *criterion,
			      const struct bulkhead_value *input)
{
	const struct bulkhead_value *values = content->values + criterion->first_value;

	if (criterion->operator_number == BULKHEAD_EXISTS)
		return 1;
	for (uint32_t i = 0; i < criterion->value_count; i++) {
		if (criterion->kind == BULKHEAD_TEXT) {
			bulkhead_fault(&values[i]);
			if (text_compares(criterion, input, &values[i]))
				return 1;
		} else if (number_compares(criterion, input, &values[i])) {
			return 1;
		}
	}
	return 0;
}

static int holds(const struct bulkhead_content *content,
		 const struct bulkhead_criterion *criterion, const struct bulkhead_value *inputs)
{
	const struct bulkhead_value *input = input_of(inputs, criterion->field);
	int compares = 0;

	if (input->length != BULKHEAD_ABSENT)
		compares = any_value_compares(content, criterion, input);
	return compares != criterion->negated;
}

static int all_hold(const struct bulkhead_content *content, const struct bulkhead_range *clause,
		    const struct bulkhead_value *inputs)
{
	for (uint32_t i = 0; i < clause->count; i++)
		if (!holds(content, &content->criteria[clause->first + i], inputs))
			return 0;
	return 1;
}

int bulkhead_evaluate(const struct bulkhead_content *content, uint32_t instance,
		      const struct bulkhead_value *inputs)
{
	const struct bulkhead_range *clauses = &content->instances[instance];

	for (uint32_t i = 0; i < clauses->count; i++)
		if (all_hold(content, &content->clauses[clauses->first + i], inputs))
			return (int)i;
	return -1;
}
