/* Channel Files of the module: read from disk, kept until newer ones are read. */
#ifndef BULKHEAD_MODULE_CONTENT_H
#define BULKHEAD_MODULE_CONTENT_H

#include "reader.h"

/* One Channel File in force. Texts lie in the envelope's bytes. */
struct content {
	void *envelope;
	void *arrays;
	struct bulkhead_room room;
	struct bulkhead_file file;
	struct bulkhead_content compiled;
};

/* Reads an envelope; NULL, and a line in the kernel's log, where that can't be done. */
struct content *content_read(const char *path);

void content_free(struct content *content);

#endif
