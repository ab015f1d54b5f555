/* Faults planted on purpose, to see whether the tests find them. Without GCW_PLANTS, as in every build that is
 * installed, none exists. */
#ifndef GCW_BASE_PLANT_H
#define GCW_BASE_PLANT_H

#ifdef GCW_PLANTS
#include <stdbool.h>
bool planted(const char *name);
#define PLANTED(name) planted(#name)
#else
#define PLANTED(name) false
#endif

#endif
