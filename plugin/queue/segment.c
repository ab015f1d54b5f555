/* Segment files: bytes <-> structs, and the walk that finds records among damage. No state. */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "queue/segment.h"

#define HEAD_MAGIC    "GCWQUEUE"
#define RECORD_MAGIC  UINT32_C(0x53514347) /* "GCQS" */
#define RECORD_MAGIC1 UINT32_C(0x52514347) /* "GCQR", of version 1 */
#define RECORD_HEAD1  80u
#define TRAILER_MAGIC UINT32_C(0x54514347) /* "GCQT" */
#define MARK_MAGIC    UINT32_C(0x4d514347) /* "GCQM" */

/* ---- numbers: a cursor that writes or reads little-endian words ------------------------------------------------- */

static uint8_t *put16(uint8_t *p, uint16_t v) { return v = htole16(v), memcpy(p, &v, 2), p + 2; }
static uint8_t *put32(uint8_t *p, uint32_t v) { return v = htole32(v), memcpy(p, &v, 4), p + 4; }
static uint8_t *put64(uint8_t *p, uint64_t v) { return v = htole64(v), memcpy(p, &v, 8), p + 8; }

static uint16_t get16(const uint8_t **p)
{
    uint16_t v;
    memcpy(&v, *p, 2);
    *p += 2;
    return le16toh(v);
}

static uint32_t get32(const uint8_t **p)
{
    uint32_t v;
    memcpy(&v, *p, 4);
    *p += 4;
    return le32toh(v);
}

static uint64_t get64(const uint8_t **p)
{
    uint64_t v;
    memcpy(&v, *p, 8);
    *p += 8;
    return le64toh(v);
}

static uint8_t *put_amount(uint8_t *p, const struct amount *a)
{
    return put64(put64(put64(p, a->requests), a->records), a->bytes);
}

static struct amount get_amount(const uint8_t **p)
{
    struct amount a;
    a.requests = get64(p);
    a.records = get64(p);
    a.bytes = get64(p);
    return a;
}

/* A small block is magic, checksum of the rest, rest. */
static void block_seal(uint8_t *block, size_t n, uint32_t magic)
{
    put32(block, magic);
    put32(block + 4, crc32c(0, block + 8, n - 8));
}

static bool block_whole(const uint8_t *block, size_t n, uint32_t magic)
{
    const uint8_t *p = block;
    return get32(&p) == magic && get32(&p) == crc32c(0, block + 8, n - 8);
}

/* ---- head ------------------------------------------------------------------------------------------------------- */

static uint64_t id_hash(const struct route_id *id)
{
    char text[SEGMENT_TENANT_MAX + 32];
    int n = snprintf(text, sizeof text, "%d/%u/%u/%s", id->signal, id->lane, id->lanes, id->tenant);
    return hash_bytes(text, (size_t)n, 0);
}

void segment_name(char out[SEGMENT_NAME_MAX], const struct route_id *id, uint64_t number)
{
    char safe[41];
    size_t n = 0;
    for (const char *p = id->tenant; *p && n < sizeof safe - 1; p++, n++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');
        safe[n] = plain ? *p : '_';
    }
    safe[n] = 0;
    snprintf(out, SEGMENT_NAME_MAX, "%s-%s-%016llx-%010llu.seg", gcw_signal_name(id->signal), n ? safe : "_",
             (unsigned long long)id_hash(id), (unsigned long long)number);
}

bool segment_name_is(const char *name)
{
    size_t n = strlen(name);
    return n > 4 && n < SEGMENT_NAME_MAX && strcmp(name + n - 4, ".seg") == 0;
}

#define HEAD 512u /* there are two copies, one behind the other */

void segment_head_put(uint8_t out[SEGMENT_DATA], const struct segment_head *h)
{
    size_t tenant = strlen(h->id.tenant);
    ENSURE(tenant <= SEGMENT_TENANT_MAX);
    memset(out, 0, SEGMENT_DATA);
    memcpy(out, HEAD_MAGIC, 8);
    uint8_t *p = put32(out + 8, SEGMENT_VERSION);
    p = put32(p, 0); /* the checksum */
    p = put64(p, h->number);
    p = put16(p, (uint16_t)h->id.signal);
    p = put16(p, h->id.lane);
    p = put16(p, h->id.lanes);
    p = put16(p, (uint16_t)tenant);
    memcpy(p, h->id.tenant, tenant);
    put32(out + 12, crc32c(0, out + 16, HEAD - 16));
    memcpy(out + HEAD, out, HEAD);
}

static enum segment_head_state head_get(const uint8_t *b, struct segment_head *h, uint32_t *version)
{
    if (memcmp(b, HEAD_MAGIC, 8) != 0)
        return SEGMENT_DAMAGED;
    const uint8_t *p = b + 8;
    *version = get32(&p);
    uint32_t crc = get32(&p);
    if (*version < 1 || *version > SEGMENT_VERSION)
        return SEGMENT_OTHER_VERSION;
    if (crc != crc32c(0, b + 16, HEAD - 16))
        return SEGMENT_DAMAGED;
    h->number = get64(&p);
    uint16_t signal = get16(&p);
    h->id.lane = get16(&p);
    h->id.lanes = get16(&p);
    uint16_t tenant = get16(&p);
    if (signal >= GCW_SIGNALS || tenant > SEGMENT_TENANT_MAX || h->id.lanes == 0 || h->id.lane >= h->id.lanes)
        return SEGMENT_DAMAGED;
    h->id.signal = (gcw_signal)signal;
    memcpy(h->tenant, p, tenant);
    h->tenant[tenant] = 0;
    h->id.tenant = h->tenant;
    return SEGMENT_OK;
}

enum segment_head_state segment_head_get(const uint8_t *b, size_t n, struct segment_head *h, uint32_t *version)
{
    uint32_t second;
    if (n < 2 * HEAD)
        return SEGMENT_DAMAGED;
    enum segment_head_state state = head_get(b, h, version);
    if (state == SEGMENT_OK)
        return state;
    /* a version is believed when both copies name it: a damaged number must not stop the start */
    enum segment_head_state other = head_get(b + HEAD, h, &second);
    if (other == SEGMENT_OK)
        return other;
    return state == SEGMENT_OTHER_VERSION && other == state && second == *version ? state : SEGMENT_DAMAGED;
}

/* ---- marks ------------------------------------------------------------------------------------------------------ */

uint64_t segment_mark_at(uint64_t generation) { return generation & 1 ? 1024 : 1536; }

void segment_mark_put(uint8_t out[SEGMENT_MARK], const struct segment_mark *m)
{
    memset(out, 0, SEGMENT_MARK);
    uint8_t *p = put64(out + 8, m->generation);
    p = put64(p, m->end);
    put_amount(p, &m->ended);
    block_seal(out, SEGMENT_MARK, MARK_MAGIC);
}

void segment_mark_get(const uint8_t *head, size_t n, struct segment_mark *m)
{
    *m = (struct segment_mark){.end = SEGMENT_DATA};
    for (uint64_t slot = 0; slot < 2; slot++) {
        uint64_t at = segment_mark_at(slot);
        if (n < at + SEGMENT_MARK || !block_whole(head + at, SEGMENT_MARK, MARK_MAGIC))
            continue;
        const uint8_t *p = head + at + 8;
        struct segment_mark found;
        found.generation = get64(&p);
        found.end = get64(&p);
        found.ended = get_amount(&p);
        if (found.generation > m->generation)
            *m = found;
    }
}

/* ---- records and trailer ---------------------------------------------------------------------------------------- */

static uint64_t record_size(uint32_t head, uint32_t len) { return (head + (uint64_t)len + 7) & ~UINT64_C(7); }

uint64_t segment_record_size(uint32_t len) { return record_size(SEGMENT_RECORD_HEAD, len); }

void segment_record_put(uint8_t out[SEGMENT_RECORD_HEAD], const struct segment_record *r)
{
    memset(out, 0, SEGMENT_RECORD_HEAD);
    uint8_t *p = put32(out + 8, r->len);
    p = put32(p, r->body_crc);
    p = put64(p, r->boot);
    p = put64(p, r->seq);
    p = put64(p, (uint64_t)r->first_time);
    p = put64(p, (uint64_t)r->last_time);
    p = put64(p, (uint64_t)r->sealed_unix_ms);
    p = put64(p, r->sealed_mono_ms);
    p = put32(p, r->records);
    p = put32(p, r->metadata);
    p = put32(p, r->exemplars);
    p = put32(p, r->histograms);
    p = put32(p, r->raw_len);
    *p++ = r->protocol;
    *p = r->encoding;
    block_seal(out, SEGMENT_RECORD_HEAD, RECORD_MAGIC);
}

bool segment_record_get(const uint8_t *b, size_t n, struct segment_record *r)
{
    if (n < SEGMENT_RECORD_HEAD)
        return false;
    const bool first = block_whole(b, RECORD_HEAD1, RECORD_MAGIC1);
    if (!first && !block_whole(b, SEGMENT_RECORD_HEAD, RECORD_MAGIC))
        return false;
    const uint8_t *p = b + 8;
    r->head = first ? RECORD_HEAD1 : SEGMENT_RECORD_HEAD;
    r->len = get32(&p);
    r->body_crc = get32(&p);
    r->boot = get64(&p);
    r->seq = get64(&p);
    r->first_time = (int64_t)get64(&p);
    r->last_time = (int64_t)get64(&p);
    r->sealed_unix_ms = (int64_t)get64(&p);
    r->sealed_mono_ms = get64(&p);
    r->records = get32(&p);
    r->metadata = get32(&p);
    r->exemplars = first ? 0 : get32(&p);
    r->histograms = first ? 0 : get32(&p);
    r->raw_len = get32(&p);
    r->protocol = *p++;
    r->encoding = *p;
    r->size = record_size(r->head, r->len);
    return r->len <= SEGMENT_BODY_MAX;
}

void segment_trailer_put(uint8_t out[SEGMENT_TRAILER], const struct segment_trailer *t)
{
    memset(out, 0, SEGMENT_TRAILER);
    uint8_t *p = put_amount(out + 8, &t->total);
    p = put64(p, (uint64_t)t->first_sealed_unix_ms);
    p = put64(p, t->boot);
    put64(p, t->last_seq);
    block_seal(out, SEGMENT_TRAILER, TRAILER_MAGIC);
}

bool segment_trailer_get(const uint8_t *b, size_t n, struct segment_trailer *t)
{
    if (n < SEGMENT_TRAILER || !block_whole(b, SEGMENT_TRAILER, TRAILER_MAGIC))
        return false;
    const uint8_t *p = b + 8;
    t->total = get_amount(&p);
    t->first_sealed_unix_ms = (int64_t)get64(&p);
    t->boot = get64(&p);
    t->last_seq = get64(&p);
    return true;
}

/* ---- the walk --------------------------------------------------------------------------------------------------- */

#define WINDOW (64 * KIB)

struct walk {
    const struct disk_ops *disk;
    int file;
    const struct segment_walk *w;
    uint8_t *p; /* [WINDOW] */
};

/* Checks a body in pieces of the window. 1 = whole, 0 = damaged or cut short, or -errno. */
static int64_t body_whole(const struct walk *k, const struct segment_record *r, uint64_t at)
{
    uint32_t crc = 0;
    uint64_t done = 0;
    while (done < r->len) {
        int64_t got = k->disk->read(k->disk->ctx, k->file, k->p, MIN(WINDOW, r->len - done), at + done);
        if (got <= 0)
            return got;
        crc = crc32c(crc, k->p, (size_t)got);
        done += (uint64_t)got;
    }
    return crc == r->body_crc;
}

/* The next whole record head at or behind `at`; 0 = none (*end is the file's), or -errno. A trailer is none. */
static int64_t head_find(const struct walk *k, uint64_t at, struct segment_record *r, uint64_t *end)
{
    for (;;) {
        int64_t got = k->disk->read(k->disk->ctx, k->file, k->p, WINDOW, at);
        if (got < 0)
            return got;
        *end = at + (uint64_t)got;
        for (size_t i = 0; i + SEGMENT_RECORD_HEAD <= (size_t)got; i += 8)
            if (segment_record_get(k->p + i, (size_t)got - i, r))
                return (int64_t)(at + i);
        if ((size_t)got < WINDOW)
            return 0;
        at += (WINDOW - SEGMENT_RECORD_HEAD) & ~(size_t)7;
    }
}

static bool is_trailer_at_end(const struct walk *k, uint64_t at, uint64_t end)
{
    struct segment_trailer t;
    uint8_t block[SEGMENT_TRAILER];
    return end - at == SEGMENT_TRAILER &&
           k->disk->read(k->disk->ctx, k->file, block, sizeof block, at) == (int64_t)sizeof block &&
           segment_trailer_get(block, sizeof block, &t);
}

static void tell_damage(const struct walk *k, const struct segment_record *r, uint64_t at, uint64_t bytes)
{
    if (k->w->damaged)
        k->w->damaged(k->w->ctx, r, at, bytes);
}

/* At a record's head, its body is looked at. 1 = go on, 0 = stop, or -errno. A body that is not whole is damage in the
 * middle if a whole record follows it, else a torn end. */
static int64_t visit(const struct walk *k, const struct segment_record *r, uint64_t at, bool *torn)
{
    int64_t whole = k->w->bodies ? body_whole(k, r, at + r->head) : 1;
    if (whole < 0)
        return whole;
    if (whole)
        return k->w->each(k->w->ctx, r, at);
    struct segment_record next;
    uint64_t end;
    int64_t found = head_find(k, at + r->size, &next, &end);
    if (found < 0)
        return found;
    if (found == 0 && !is_trailer_at_end(k, at + r->size, end)) {
        *torn = true;
        return 0;
    }
    tell_damage(k, r, at, r->size);
    return 1;
}

static int64_t walk_records(const struct walk *k, uint64_t at, uint64_t *torn_bytes)
{
    struct segment_record r;
    uint64_t end = at;
    for (;;) {
        int64_t found = head_find(k, at, &r, &end);
        if (found < 0)
            return found;
        if (found == 0) {
            *torn_bytes = is_trailer_at_end(k, at, end) || end < at ? 0 : end - at;
            return (int64_t)at;
        }
        if ((uint64_t)found > at)
            tell_damage(k, NULL, at, (uint64_t)found - at);
        bool torn = false;
        int64_t go_on = visit(k, &r, (uint64_t)found, &torn);
        if (go_on < 0)
            return go_on;
        if (torn) {
            int64_t size = k->disk->size(k->disk->ctx, k->file);
            *torn_bytes = size > found ? (uint64_t)(size - found) : 0;
            return found;
        }
        at = (uint64_t)found + r.size;
        if (!go_on)
            return (int64_t)at;
    }
}

int64_t segment_walk(const struct disk_ops *disk, int file, uint64_t at, const struct segment_walk *w, uint64_t *torn)
{
    struct walk k = {disk, file, w, malloc(WINDOW)};
    *torn = 0;
    if (!k.p)
        return -ENOMEM;
    int64_t end = walk_records(&k, at, torn);
    free(k.p);
    return end;
}
