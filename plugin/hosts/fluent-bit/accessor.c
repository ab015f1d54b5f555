/* Record accessor patterns. */
#include "hosts/fluent-bit/accessor.h"

#include <stdlib.h>

void accessor_free(struct accessor *a)
{
    free(a->memory);
    free(a->parts);
    *a = (struct accessor){0};
}

/* ---- parsing --------------------------------------------------------------------------------------------------- */

/* A position in a pattern; what it finds goes into the accessor's memory, which has room for all of it. */
struct parser {
    struct accessor *a;
    char *text; /* free from here on */
    const char *p, *end;
    const char *why;
};

static bool digit(char c) { return c >= '0' && c <= '9'; }
static bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool key_char(char c) { return letter(c) || digit(c) || c == '-' || c == '/'; }

static struct accessor_part *part_add(struct parser *s, enum part_kind kind)
{
    struct accessor_part *p = realloc(s->a->parts, (s->a->count + 1) * sizeof *p);
    if (!p) {
        s->why = NULL;
        return NULL;
    }
    s->a->parts = p;
    p += s->a->count++;
    memset(p, 0, sizeof *p);
    p->kind = kind;
    return p;
}

static bool fail(struct parser *s, const char *why)
{
    s->why = why;
    return false;
}

/* Up to 9 digits and a bracket. */
static bool index_read(struct parser *s, uint32_t *out)
{
    const char *start = s->p;
    for (*out = 0; s->p < s->end && digit(*s->p) && s->p - start < 9; s->p++)
        *out = *out * 10 + (uint32_t)(*s->p - '0');
    if (s->p == start || s->p == s->end || *s->p != ']')
        return fail(s, "in brackets stands a key in single quotes or a number, then ']'");
    s->p++;
    return true;
}

/* Behind "['": the key, with '' for a quote, and "']". */
static bool quoted_read(struct parser *s, struct view *key)
{
    char *start = s->text;
    for (; s->p < s->end; s->p++) {
        if (*s->p == '\'' && !(s->p + 1 < s->end && *++s->p == '\''))
            break;
        *s->text++ = *s->p;
    }
    *key = view_make(start, (size_t)(s->text - start));
    if (s->p == s->end || *s->p != ']')
        return fail(s, "a key in brackets ends with ']");
    s->p++;
    return true;
}

static bool step_read(struct parser *s, struct accessor_part *part)
{
    struct path_step step = {0};
    if (part->step_count == ACCESSOR_STEPS_MAX)
        return fail(s, "more than 16 keys deep");
    s->p++; /* [ */
    if (s->p < s->end && *s->p == '\'') {
        s->p++;
        if (!quoted_read(s, &step.key))
            return false;
    } else {
        step.indexes = true;
        if (!index_read(s, &step.index))
            return false;
    }
    part->steps[part->step_count++] = step;
    return true;
}

static bool value_read(struct parser *s)
{
    struct accessor_part *part = part_add(s, PART_VALUE);
    if (!part)
        return false;
    char *start = s->text;
    while (s->p < s->end && key_char(*s->p))
        *s->text++ = *s->p++;
    part->steps[part->step_count++].key = view_make(start, (size_t)(s->text - start));
    while (s->p < s->end && *s->p == '[')
        if (!step_read(s, part))
            return false;
    return true;
}

static bool tag_read(struct parser *s)
{
    struct accessor_part *part = part_add(s, PART_TAG);
    if (!part)
        return false;
    s->p += 3;
    if (s->p == s->end || *s->p != '[')
        return true;
    s->p++;
    part->kind = PART_TAG_PART;
    return index_read(s, &part->number);
}

static bool text_read(struct parser *s, size_t n)
{
    struct accessor_part *part = part_add(s, PART_TEXT);
    if (!part)
        return false;
    memcpy(s->text, s->p, n);
    part->text = view_make(s->text, n);
    s->text += n, s->p += n;
    return true;
}

static bool part_read(struct parser *s)
{
    const char *dollar = memchr(s->p, '$', (size_t)(s->end - s->p));
    if (!dollar || dollar > s->p)
        return text_read(s, (size_t)((dollar ? dollar : s->end) - s->p));
    if (s->end - s->p == 1)
        return text_read(s, 1);
    s->p++;
    if (digit(*s->p)) {
        s->p++;
        return part_add(s, PART_CAPTURE) != NULL;
    }
    if (view_starts(view_make(s->p, (size_t)(s->end - s->p)), "TAG"))
        return tag_read(s);
    if (letter(*s->p))
        return value_read(s);
    return fail(s, "behind '$' stands a key of letters, digits and _-/ that begins with a letter or _, or TAG");
}

gcw_status accessor_parse(struct accessor *a, struct view pattern, gcw_error *err)
{
    *a = (struct accessor){.memory = malloc(pattern.n + 1)};
    struct parser s = {.a = a, .text = a->memory, .p = pattern.p, .end = pattern.p + pattern.n};
    bool ok = a->memory != NULL;
    while (ok && s.p < s.end)
        ok = part_read(&s);
    if (ok)
        return GCW_OK;
    accessor_free(a);
    return s.why ? error_set(err, GCW_ERR_INVALID, "%.*s: %s", VIEW_ARG(pattern), s.why)
                 : error_set(err, GCW_ERR_NOMEM, "out of memory");
}

bool accessor_of_steps(struct accessor *a, const struct path_step *steps, size_t count)
{
    size_t need = 1;
    ENSURE(count <= ACCESSOR_STEPS_MAX);
    for (size_t i = 0; i < count; i++)
        need += steps[i].key.n;
    *a = (struct accessor){.memory = malloc(need), .parts = calloc(1, sizeof *a->parts), .count = 1};
    if (!a->memory || !a->parts) {
        accessor_free(a);
        return false;
    }
    char *p = a->memory;
    a->parts->kind = PART_VALUE;
    for (size_t i = 0; i < count; i++) {
        struct path_step *step = &a->parts->steps[a->parts->step_count++];
        *step = steps[i];
        if (step->key.n > 0)
            memcpy(p, step->key.p, step->key.n);
        step->key.p = p;
        p += step->key.n;
    }
    return true;
}

/* ---- what it is ------------------------------------------------------------------------------------------------ */

bool accessor_bind(struct accessor *a, struct paths *paths)
{
    for (size_t i = 0; i < a->count; i++)
        if (a->parts[i].kind == PART_VALUE &&
            !paths_want(paths, a->parts[i].steps, a->parts[i].step_count, &a->parts[i].slot))
            return false;
    return true;
}

bool accessor_remove(const struct accessor *a, struct paths *paths)
{
    return a->count == 0 || a->parts[0].kind != PART_VALUE ||
           paths_remove(paths, a->parts[0].steps, a->parts[0].step_count);
}

bool accessor_is_one_value(const struct accessor *a) { return a->count == 1 && a->parts[0].kind == PART_VALUE; }

bool accessor_has(const struct accessor *a, enum part_kind kind)
{
    for (size_t i = 0; i < a->count; i++)
        if (a->parts[i].kind == kind)
            return true;
    return false;
}

bool name_mend(struct buf *out, struct view name)
{
    if (!buf_reserve(out, name.n + 1))
        return false;
    if (name.n > 0 && digit(name.p[0]))
        out->p[out->n++] = '_';
    for (size_t i = 0; i < name.n; i++)
        out->p[out->n++] = letter(name.p[i]) || digit(name.p[i]) ? (uint8_t)name.p[i] : '_';
    return true;
}

static bool part_name(const struct accessor_part *part, struct buf *out)
{
    bool ok = true;
    switch (part->kind) {
    case PART_TEXT:
        return buf_append(out, part->text.p, part->text.n);
    case PART_TAG:
        return buf_puts(out, "tag");
    case PART_TAG_PART:
        return buf_printf(out, "tag_%u", part->number);
    case PART_CAPTURE:
        return true;
    case PART_VALUE:
        break;
    }
    for (size_t i = 0; ok && i < part->step_count; i++) {
        const struct path_step *step = &part->steps[i];
        ok = (i == 0 || buf_append(out, "_", 1)) &&
             (step->indexes ? buf_printf(out, "%u", step->index) : buf_append(out, step->key.p, step->key.n));
    }
    return ok;
}

bool accessor_name(const struct accessor *a, struct buf *out)
{
    struct buf plain = {0};
    bool ok = true;
    for (size_t i = 0; ok && i < a->count; i++)
        ok = (i == 0 || buf_append(&plain, "_", 1)) && part_name(&a->parts[i], &plain);
    ok = ok && name_mend(out, buf_view(&plain));
    buf_free(&plain);
    return ok;
}

/* ---- its text -------------------------------------------------------------------------------------------------- */

static struct view tag_part(struct view tag, uint32_t number)
{
    for (;; number--) {
        const char *dot = memchr(tag.p, '.', tag.n);
        size_t n = dot ? (size_t)(dot - tag.p) : tag.n;
        if (number == 0)
            return view_make(tag.p, n);
        if (!dot)
            return view_make(NULL, 0);
        tag = view_make(dot + 1, tag.n - n - 1);
    }
}

static enum line_status part_put(const struct accessor_part *part, const struct source *from, struct buf *out)
{
    struct view text = part->text;
    switch (part->kind) {
    case PART_CAPTURE: /* of a regular expression: only filters have one */
        return LINE_OK;
    case PART_TAG:
        text = from->tag;
        break;
    case PART_TAG_PART:
        text = from->tag.n > 0 ? tag_part(from->tag, part->number) : from->tag;
        break;
    case PART_VALUE: {
        struct msgpack m = from->paths->slots[part->slot];
        return m.p ? line_value(from->line, from->ascii, &m, out) : LINE_OK;
    }
    case PART_TEXT:
        break;
    }
    return text.n == 0 || buf_append(out, text.p, text.n) ? LINE_OK : LINE_NOMEM;
}

enum line_status accessor_put(const struct accessor *a, const struct source *from, struct buf *out)
{
    enum line_status status = LINE_OK;
    for (size_t i = 0; status == LINE_OK && i < a->count; i++)
        status = part_put(&a->parts[i], from, out);
    return status;
}

struct msgpack accessor_value(const struct accessor *a, const struct source *from)
{
    return from->paths->slots[a->parts[0].slot];
}
