/* What the interpreter asks of whoever runs it, in a process. */
#include <stdlib.h>

#include "faults.h"

void *bulkhead_allocate(uint64_t bytes)
{
	return malloc(bytes);
}
