#include <stddef.h>

void *hostMalloc(size_t size);
void *hostRealloc(void *memory, size_t size);
void hostFree(void *memory);
