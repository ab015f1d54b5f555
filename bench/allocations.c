/* See allocations.h. */
#include "allocations.h"

#include <malloc.h>
#include <stdlib.h>

_Thread_local bool counting;
_Thread_local uint64_t allocations;

/* glibc's own, behind the names that a program may take over */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t count, size_t n);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);

void *malloc(size_t n)
{
    allocations += counting;
    return __libc_malloc(n);
}
void *calloc(size_t count, size_t n)
{
    allocations += counting;
    return __libc_calloc(count, n);
}
void *realloc(void *p, size_t n)
{
    allocations += counting;
    return __libc_realloc(p, n);
}
void *aligned_alloc(size_t align, size_t n)
{
    allocations += counting;
    return __libc_memalign(align, n);
}
