/*
 * Reads byte strings from standard input, each behind its length (4 bytes, little end first), with
 * the Channel File's reader; each lies in memory of exactly its size. Prints a result per string.
 */
#include <stdio.h>
#include <stdlib.h>

#include "reader.h"

void *bulkhead_allocate(uint64_t bytes)
{
	return malloc(bytes);
}

static void *room_for(uint32_t count, size_t size)
{
	return malloc(count ? count * size : 1);
}

static int read_with_room(const uint8_t *bytes, uint32_t length, struct bulkhead_file *file)
{
	const struct bulkhead_counts most = file->counts;
	struct bulkhead_room room = {
		.identities = room_for(most.instances, sizeof(*room.identities)),
		.instances = room_for(most.instances, sizeof(*room.instances)),
		.clauses = room_for(most.clauses, sizeof(*room.clauses)),
		.criteria = room_for(most.criteria, sizeof(*room.criteria)),
		.values = room_for(most.values, sizeof(*room.values)),
		.most = most,
	};
	int result = bulkhead_read(bytes, length, &room, file);

	free(room.identities);
	free(room.instances);
	free(room.clauses);
	free(room.criteria);
	free(room.values);
	return result;
}

int main(void)
{
	uint32_t length;

	while (fread(&length, sizeof(length), 1, stdin) == 1) {
		uint8_t *bytes = malloc(length ? length : 1);
		struct bulkhead_value payload;
		struct bulkhead_file file;
		int result;

		if (fread(bytes, 1, length, stdin) != length)
			return 2;
		bulkhead_payload(bytes, length, &payload);
		result = bulkhead_read(bytes, length, NULL, &file);
		if (!result)
			result = read_with_room(bytes, length, &file);
		printf("%d\n", result);
		free(bytes);
	}
	return 0;
}
