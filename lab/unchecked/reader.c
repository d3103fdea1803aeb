/*
 * A Channel File's messages, from the outside in. Numbers of fields are those of
 * proto/bulkhead/v1/channel_file.proto.
 */
#include "reader.h"
#include "wire.h"

#define NUMBER_BYTES 8

enum { ENVELOPE_PAYLOAD = 1 };
enum { FILE_TEMPLATE_TYPE = 1, FILE_VERSION = 2, FILE_INSTANCE = 3 };
enum { REFERENCE_NUMBER = 1, REFERENCE_ARITY = 4 };
enum { INSTANCE_ID = 1, INSTANCE_CLAUSE = 8 };
enum { CLAUSE_CRITERION = 1 };
enum {
	CRITERION_FIELD = 1,
	CRITERION_OPERATOR = 2,
	CRITERION_VALUE = 3,
	CRITERION_NEGATED = 4,
	CRITERION_CASE_SENSITIVE = 5,
};
enum { VALUE_TEXT = 1, VALUE_UNSIGNED = 2, VALUE_SIGNED = 3 };

struct reading {
	const struct bulkhead_room *room;
	struct bulkhead_file *file;
	int supported; /* of the instance that is being read */
};

struct value {
	struct bulkhead_value value;
	int kind; /* 0: none that the interpreter knows */
};

static int take_value(void *context, const struct field *field, void *into)
{
	struct value *value = into;
	int wire = field->number == VALUE_UNSIGNED || field->number == VALUE_SIGNED ? VARINT : BYTES;

	(void)context;
	if (field->wire != wire)
		return BULKHEAD_MALFORMED;
	value->kind = 0;
	value->value.number = field->varint;
	value->value.length = NUMBER_BYTES;
	if (field->number == VALUE_TEXT) {
		value->kind = BULKHEAD_TEXT;
		value->value.text = field->bytes.at;
		value->value.length = field->bytes.left;
	} else if (field->number == VALUE_UNSIGNED) {
		value->kind = BULKHEAD_UNSIGNED;
	} else if (field->number == VALUE_SIGNED) {
		value->kind = BULKHEAD_SIGNED;
		value->value.number = (uint64_t)bulkhead_zigzag(field->varint);
	}
	return BULKHEAD_READ;
}

static int add_value(struct reading *reading, struct bytes message,
		     struct bulkhead_criterion *criterion)
{
	const struct bulkhead_room *room = reading->room;
	struct bulkhead_counts *counts = &reading->file->counts;
	struct value value = { .value = { .length = 0 }, .kind = 0 };
	int result = bulkhead_each_field(reading, message, take_value, &value);

	if (result)
		return result;
	if (counts->values == (room ? room->most.values : ~0u))
		return BULKHEAD_TOO_MANY;
	if (!criterion->value_count++)
		criterion->kind = (uint8_t)value.kind;
	/* A text that is compared as a number, or the other way round, is no fault of 2024. */
	if (!value.kind || (value.kind == BULKHEAD_TEXT) != (criterion->kind == BULKHEAD_TEXT))
		reading->supported = 0;
	if (room)
		room->values[counts->values] = value.value;
	counts->values++;
	return BULKHEAD_READ;
}

static int knows(uint64_t operator_number)
{
	switch (operator_number) {
	case BULKHEAD_EQUALS:
	case BULKHEAD_STARTS_WITH:
	case BULKHEAD_ENDS_WITH:
	case BULKHEAD_CONTAINS:
	case BULKHEAD_LESS:
	case BULKHEAD_LESS_OR_EQUAL:
	case BULKHEAD_GREATER:
	case BULKHEAD_GREATER_OR_EQUAL:
	case BULKHEAD_EXISTS:
		return 1;
	}
	return 0;
}

static int take_of_criterion(void *context, const struct field *field, void *into)
{
	struct reading *reading = context;
	struct bulkhead_criterion *criterion = into;

	if (field->number == CRITERION_VALUE)
		return field->wire == BYTES ? add_value(reading, field->bytes, criterion) :
					      BULKHEAD_MALFORMED;
	if (field->number > CRITERION_CASE_SENSITIVE)
		return BULKHEAD_READ;
	if (field->wire != VARINT)
		return BULKHEAD_MALFORMED;
	if (field->number == CRITERION_FIELD)
		criterion->field = (uint32_t)field->varint;
	else if (field->number == CRITERION_OPERATOR)
		criterion->operator_number = knows(field->varint) ? (uint8_t)field->varint : 0;
	else if (field->number == CRITERION_NEGATED)
		criterion->negated = field->varint != 0;
	else
		criterion->case_sensitive = field->varint != 0;
	return BULKHEAD_READ;
}

static int take_of_clause(void *context, const struct field *field, void *into)
{
	struct reading *reading = context;
	const struct bulkhead_room *room = reading->room;
	struct bulkhead_counts *counts = &reading->file->counts;
	struct bulkhead_range *clause = into;
	struct bulkhead_criterion criterion = { .first_value = counts->values,
						.kind = BULKHEAD_TEXT };
	int result = bulkhead_is(field, CLAUSE_CRITERION, BYTES);

	if (result <= 0)
		return result;
	if (counts->criteria == (room ? room->most.criteria : ~0u))
		return BULKHEAD_TOO_MANY;
	result = bulkhead_each_field(reading, field->bytes, take_of_criterion, &criterion);
	if (!criterion.operator_number)
		reading->supported = 0;
	if (room)
		room->criteria[counts->criteria] = criterion;
	counts->criteria++;
	clause->count++;
	return result;
}

static int add_clause(struct reading *reading, struct bytes message, struct bulkhead_range *clauses)
{
	const struct bulkhead_room *room = reading->room;
	struct bulkhead_counts *counts = &reading->file->counts;
	struct bulkhead_range clause = { .first = counts->criteria, .count = 0 };
	int result;

	if (counts->clauses == (room ? room->most.clauses : ~0u))
		return BULKHEAD_TOO_MANY;
	result = bulkhead_each_field(reading, message, take_of_clause, &clause);
	if (room)
		room->clauses[counts->clauses] = clause;
	counts->clauses++;
	clauses->count++;
	return result;
}

struct instance {
	struct bulkhead_value id;
	struct bulkhead_range clauses;
};

static int take_of_instance(void *context, const struct field *field, void *into)
{
	struct reading *reading = context;
	struct instance *instance = into;

	if (field->number != INSTANCE_ID && field->number != INSTANCE_CLAUSE)
		return BULKHEAD_READ;
	if (field->wire != BYTES)
		return BULKHEAD_MALFORMED;
	if (field->number == INSTANCE_CLAUSE)
		return add_clause(reading, field->bytes, &instance->clauses);
	instance->id.text = field->bytes.at;
	instance->id.length = field->bytes.left;
	return BULKHEAD_READ;
}

static int add_instance(struct reading *reading, struct bytes message)
{
	const struct bulkhead_room *room = reading->room;
	struct bulkhead_counts *counts = &reading->file->counts;
	struct instance instance = { .id = { .text = bulkhead_empty, .length = 0 },
				     .clauses = { counts->clauses, 0 } };
	int result;

	if (counts->instances == (room ? room->most.instances : ~0u))
		return BULKHEAD_TOO_MANY;
	reading->supported = 1;
	result = bulkhead_each_field(reading, message, take_of_instance, &instance);
	if (room) {
		room->instances[counts->instances] = instance.clauses;
		room->identities[counts->instances].id = instance.id;
		room->identities[counts->instances].supported = (uint64_t)reading->supported;
	}
	counts->instances++;
	return result;
}

static int take_of_reference(void *context, const struct field *field, void *into)
{
	struct reading *reading = context;
	(void)into;
	if (field->number != REFERENCE_NUMBER && field->number != REFERENCE_ARITY)
		return BULKHEAD_READ;
	if (field->wire != VARINT)
		return BULKHEAD_MALFORMED;
	if (field->number == REFERENCE_NUMBER)
		reading->file->template_type = (uint32_t)field->varint;
	else
		reading->file->arity = (uint32_t)field->varint;
	return BULKHEAD_READ;
}

static int take_of_file(void *context, const struct field *field, void *into)
{
	struct reading *reading = context;
	(void)into;
	if (field->number > FILE_INSTANCE)
		return BULKHEAD_READ;
	if (field->wire != (field->number == FILE_VERSION ? VARINT : BYTES))
		return BULKHEAD_MALFORMED;
	if (field->number == FILE_VERSION)
		reading->file->version = field->varint;
	else if (field->number == FILE_INSTANCE)
		return add_instance(reading, field->bytes);
	else
		return bulkhead_each_field(reading, field->bytes, take_of_reference, 0);
	return BULKHEAD_READ;
}

static int take_payload(void *context, const struct field *field, void *into)
{
	struct bulkhead_value *payload = into;
	int result = bulkhead_is(field, ENVELOPE_PAYLOAD, BYTES);

	(void)context;
	if (result <= 0)
		return result;
	payload->text = field->bytes.at;
	payload->length = field->bytes.left;
	return BULKHEAD_READ;
}

int bulkhead_payload(const uint8_t *envelope, uint64_t length, struct bulkhead_value *payload)
{
	const struct bytes message = { envelope, length };

	payload->text = bulkhead_empty;
	payload->length = 0;
	return bulkhead_each_field(0, message, take_payload, payload);
}

int bulkhead_read(const uint8_t *payload, uint64_t length, const struct bulkhead_room *room,
		  struct bulkhead_file *file)
{
	const struct bytes message = { payload, length };
	struct reading reading = { .room = room, .file = file, .supported = 1 };

	*file = (struct bulkhead_file){ .version = 0 };
	return bulkhead_each_field(&reading, message, take_of_file, 0);
}
