/* Bodies: "SIM1", a count, the records' ids, padding that follows from them, a checksum of it all. */
#include <stdlib.h>

#include "world.h"

static uint32_t padding(uint32_t id) { return (id * UINT32_C(2654435761) >> 8) % 160; }

static size_t body_size(const uint32_t *id, uint32_t count)
{
    size_t n = 12 + 4 * (size_t)count;
    for (uint32_t i = 0; i < count; i++)
        n += padding(id[i]);
    return n;
}

struct sealed *body_make(const struct world *w, uint32_t route, const uint32_t *id, uint32_t count)
{
    size_t n = body_size(id, count);
    struct sealed *s = sealed_blank(n);
    ENSURE(s);
    memset(s->body, (int)(id[0] & 0xff), n);
    memcpy(s->body, "SIM1", 4);
    memcpy(s->body + 4, &count, 4);
    memcpy(s->body + 8, id, 4 * (size_t)count);
    uint32_t crc = crc32c(0, s->body, n - 4);
    memcpy(s->body + n - 4, &crc, 4);
    s->route = route;
    s->records = count;
    s->raw_len = count * 20000;
    s->sealed_mono_ms = w->now_ms;
    s->sealed_unix_ms = w->unix_ms;
    s->charge = sizeof *s + n;
    return s;
}

bool body_read(const struct sealed *s, uint32_t *id, uint32_t *count)
{
    uint32_t crc;
    if (s->len < 12 || memcmp(s->body, "SIM1", 4) != 0)
        return false;
    memcpy(count, s->body + 4, 4);
    memcpy(&crc, s->body + s->len - 4, 4);
    if (*count > BODY_RECORDS_MAX || crc != crc32c(0, s->body, s->len - 4))
        return false;
    memcpy(id, s->body + 8, 4 * (size_t)*count);
    return true;
}
