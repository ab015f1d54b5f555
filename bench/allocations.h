/* Calls of malloc and its kin, counted on the threads that ask for it. */
#ifndef GCW_BENCH_ALLOCATIONS_H
#define GCW_BENCH_ALLOCATIONS_H

#include <stdbool.h>
#include <stdint.h>

extern _Thread_local bool counting;
extern _Thread_local uint64_t allocations;

#endif
