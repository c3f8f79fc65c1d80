/* Preloaded into the child: memory that is freed stays as it was and is never used again, so that the scan finds what was left in
 * it. Else it would be chance: whoever is given that memory next may overwrite it first. */
#include <malloc.h>
#include <stddef.h>
#include <string.h>

void free(void *memory) { (void)memory; }

void *realloc(void *memory, size_t size) {
    void *larger = malloc(size);
    if (larger && memory) {
        size_t held = malloc_usable_size(memory);
        memcpy(larger, memory, held < size ? held : size);
    }
    return larger;
}
