/* Private to model/: what a log line says of its level. */
#ifndef GCW_MODEL_LEVEL_LINE_H
#define GCW_MODEL_LEVEL_LINE_H

#include "model/model.h"

/* In the order they are asked for. */
#define LEVEL_KEYS 14
extern const char *const level_keys[LEVEL_KEYS];

/* One of the levels; {0} for another word. */
struct view level_known(struct view word);
/* The level a line tells, or "unknown": never empty. */
struct view level_in_line(struct view line);

#endif
