#include <stddef.h>

void *countedMalloc(size_t size);
void *countedRealloc(void *memory, size_t size);
void countedFree(void *memory);
