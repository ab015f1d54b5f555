/* The structured metadata detected_level of a log entry, as Loki's distributor would set it (pkg/distributor,
 * field_detection.go): from a label, else from metadata, else from severity_number, else from the line. */
#include "model/level_line.h"

const char *const level_keys[LEVEL_KEYS] = {"level",    "LEVEL",         "Level",         "log.level",    "severity",
                                            "SEVERITY", "Severity",      "SeverityText",  "lvl",          "LVL",
                                            "Lvl",      "severity_text", "Severity_Text", "SEVERITY_TEXT"};

/* The value of the key that stands first in the list. */
static struct view level_in_block(struct view block)
{
    size_t best = LEVEL_KEYS;
    struct view name, value, level = {0};
    while (block_next(&block, &name, &value)) {
        if (name.n < 3 || !strchr("lLsS", name.p[0]))
            continue;
        for (size_t i = 0; i < best; i++)
            if (view_is(name, level_keys[i]))
                best = i, level = value;
    }
    return level;
}

/* By OpenTelemetry's numbers. */
static struct view level_of_severity(struct view number)
{
    static const char *const names[] = {"trace", "debug", "info", "warn", "error", "fatal"};
    int64_t n;
    if (!parse_i64(number, &n))
        return view_of("info");
    if (n == 0 || n > 24)
        return view_of("unknown");
    return view_of(names[n < 0 ? 0 : (n - 1) / 4]);
}

static bool pair_find(struct view metadata, const char *wanted, struct view *value)
{
    struct view name;
    while (block_next(&metadata, &name, value))
        if (view_is(name, wanted))
            return true;
    return false;
}

struct view level_detect(struct view labels, struct view metadata, struct view line)
{
    struct view level;
    if (pair_find(metadata, LEVEL_NAME, &level))
        return view_make(NULL, 0); /* it is said already */
    if ((level = level_in_block(labels)).n > 0 || (level = level_in_block(metadata)).n > 0) {
        struct view known = level_known(level);
        return known.n ? known : level;
    }
    return pair_find(metadata, "severity_number", &level) ? level_of_severity(level) : level_in_line(line);
}
