#include "input/created.h"

#include <math.h>

struct held {
    struct held *next;
    struct exposition_sample sample;
    gcw_label *labels; /* of the sample, and behind them those of the exemplar; a copy */
    size_t label_count;
    gcw_exemplar exemplar;
    struct view line, text; /* what they point into: the line, and unescaped texts; line.p NULL = memory of ours */
    bool is_created;
};

void created_init(struct created *c, bool drop, const struct exposition_handler *h)
{
    *c = (struct created){.handler = h, .drop = drop, .memory.limit = SIZE_MAX};
    c->last = &c->first;
}

void created_free(struct created *c)
{
    arena_free(&c->memory);
    buf_free(&c->labels);
}

/* ---- a sample kept past its line ----------------------------------------------------------------------------------
 */

static size_t labels_of(const struct exposition_sample *s)
{
    return s->count + (s->exemplar_count ? s->exemplars->label_count : 0);
}

/* With labels that still point to where they were read. NULL: no memory. */
static struct held *held_new(struct arena *a, const struct series_parser *s, const struct exposition_sample *sample)
{
    const size_t count = labels_of(sample);
    struct held *h = arena_alloc(a, sizeof *h);
    gcw_label *labels = h ? arena_alloc(a, count * sizeof *labels) : NULL;
    if (!labels)
        return NULL;
    memcpy(labels, sample->labels, count * sizeof *labels); /* the exemplar's stand behind the sample's */
    *h = (struct held){
        .sample = *sample, .labels = labels, .label_count = count, .line = s->line, .text = buf_view(&s->text)};
    h->sample.labels = labels;
    if (sample->exemplar_count) {
        h->exemplar = *sample->exemplars;
        h->exemplar.labels = labels + sample->count;
        h->sample.exemplars = &h->exemplar;
    }
    return h;
}

/* Where a pointer into the line or the texts leads when both have been copied to `to`, one behind the other. */
static const char *moved(const struct held *h, const char *to, const char *p)
{
    if ((uintptr_t)p - (uintptr_t)h->line.p <= h->line.n)
        return to + (p - h->line.p);
    if (h->text.n > 0 && (uintptr_t)p - (uintptr_t)h->text.p <= h->text.n)
        return to + h->line.n + (p - h->text.p);
    return p; /* "__name__" */
}

/* The memory it was read from goes away. */
static bool held_move(struct arena *a, struct held *h)
{
    if (!h->line.p)
        return true;
    char *to = arena_alloc(a, h->line.n + h->text.n + LABEL_SLACK);
    if (!to)
        return false;
    memcpy(to, h->line.p, h->line.n);
    if (h->text.n > 0)
        memcpy(to + h->line.n, h->text.p, h->text.n);
    memset(to + h->line.n + h->text.n, 0, LABEL_SLACK);
    for (size_t i = 0; i < h->label_count; i++) {
        h->labels[i].name = moved(h, to, h->labels[i].name);
        h->labels[i].value = moved(h, to, h->labels[i].value);
    }
    h->sample.series.p = moved(h, to, h->sample.series.p);
    h->line = view_make(NULL, 0);
    return true;
}

/* ---- which metric a sample is of ----------------------------------------------------------------------------------
 */

/* Its labels as written, without the one that tells buckets or quantiles apart: what stands before that and behind. */
struct own_labels {
    struct view before, behind;
};

static struct view without_commas(const char *p, const char *end)
{
    p += p < end && *p == ',';
    end -= p < end && end[-1] == ',';
    return view_make(p, (size_t)(end - p));
}

/* What stands between the braces, without a name in quotes; false if that is not the first thing there. */
static bool braces_read(const struct exposition_sample *s, struct view *inner)
{
    const char *p = s->series.p, *end = p + s->series.n;
    const struct view name = view_make(s->labels[0].value, s->labels[0].value_len);
    if (name.p == p)
        p += name.n;
    else if (name.p == p + 2) /* {"name" */
        p += name.n + 3;
    else
        return false;
    if (p == end) {
        *inner = view_make(p, 0);
        return true;
    }
    p += *p == '{';
    *inner = without_commas(p, end - 1);
    return true;
}

static bool own_labels_read(const struct exposition_sample *s, gcw_metric_type type, struct own_labels *out)
{
    const struct view apart = view_of(type == GCW_TYPE_HISTOGRAM ? "le" : type == GCW_TYPE_SUMMARY ? "quantile" : "");
    struct view inner;
    if (!braces_read(s, &inner))
        return false;
    *out = (struct own_labels){inner, view_make(inner.p, 0)};
    for (size_t i = 1; apart.n > 0 && i < s->count; i++) {
        const gcw_label *l = &s->labels[i];
        if (l->name_len != apart.n || memcmp(l->name, apart.p, apart.n) != 0)
            continue;
        const char *end = inner.p + inner.n, *name = l->name;
        if ((uintptr_t)l->value - (uintptr_t)name > (size_t)(end - name)) /* unescaped, and elsewhere */
            return false;
        name -= name > inner.p && name[-1] == '"';
        out->before = without_commas(inner.p, name);
        out->behind = without_commas(l->value + l->value_len + 1, end);
        return true;
    }
    return true;
}

static bool time_is_held(const struct created *c, const struct exposition_sample *s)
{
    return (c->is_created && !s->has_time) || (s->has_time == c->has_time && s->time_ms == c->time_ms);
}

static bool labels_are_held(const struct created *c, const struct own_labels *l)
{
    const char *p = (const char *)c->labels.p;
    size_t comma = l->before.n > 0 && l->behind.n > 0;
    return c->labels.n == l->before.n + comma + l->behind.n && (!comma || p[l->before.n] == ',') &&
           (l->before.n == 0 || memcmp(p, l->before.p, l->before.n) == 0) &&
           (l->behind.n == 0 || memcmp(p + l->before.n + comma, l->behind.p, l->behind.n) == 0);
}

static bool metric_begin(struct created *c, const struct exposition_sample *s, const struct own_labels *l)
{
    c->has_time = s->has_time;
    c->time_ms = s->time_ms;
    c->labels.n = 0;
    c->open = buf_append(&c->labels, l->before.p, l->before.n) &&
              (l->before.n == 0 || l->behind.n == 0 || buf_puts(&c->labels, ",")) &&
              buf_append(&c->labels, l->behind.p, l->behind.n);
    return c->open;
}

/* ---- the metric that is held --------------------------------------------------------------------------------------
 */

static void hand_over(const struct created *c, const struct exposition_sample *s, bool is_created)
{
    if (!is_created || !c->drop)
        c->handler->sample(c->handler->user, s);
}

/* Those held so far. */
static void held_flush(struct created *c)
{
    for (struct held *h = c->first; h; h = h->next) {
        h->sample.start_ms = h->is_created ? 0 : c->start_ms;
        hand_over(c, &h->sample, h->is_created);
    }
    c->first = NULL;
    c->last = &c->first;
    c->bytes = 0;
    arena_reset(&c->memory);
}

static void metric_flush(struct created *c)
{
    if (!c->open)
        return;
    held_flush(c);
    c->open = c->too_large = false;
    c->start_ms = 0;
}

/* No more of this metric is held. False = out of memory. */
static bool held_give_up(struct created *c)
{
    bool nomem = c->memory.nomem;
    held_flush(c);
    c->too_large = true;
    return !nomem;
}

bool created_settle(struct created *c)
{
    for (struct held *h = c->first; h; h = h->next)
        if (!held_move(&c->memory, h))
            return held_give_up(c);
    return true;
}

void created_flush(struct created *c)
{
    metric_flush(c);
    c->known = false;
}

/* As Prometheus makes milliseconds of it; what is no time after 1970 is none. */
static int64_t start_of(uint64_t bits)
{
    double seconds;
    memcpy(&seconds, &bits, sizeof seconds);
    return isfinite(seconds) && seconds > 0 && seconds < 9e15 ? (int64_t)(seconds * 1000) : 0;
}

/* What the name at hand means, found out once for all samples next to each other that have it. */
static void name_look(struct created *c, const struct family *f, const struct series_parser *s)
{
    struct view name = buf_view(&s->name), family = buf_view(&f->name);
    c->known = true;
    c->type = f->type;
    c->counts = (f->type == GCW_TYPE_COUNTER || f->type == GCW_TYPE_HISTOGRAM || f->type == GCW_TYPE_SUMMARY) &&
                family_has(f, name);
    c->is_created = c->counts && view_is(view_make(name.p + family.n, name.n - family.n), "_created");
}

/* Holds it, if there is room. What counts is what it takes when it has been moved, so that the sizes of the pieces that
 * are fed make no difference. */
static bool hold(struct created *c, const struct series_parser *s, const struct exposition_sample *sample, bool stays)
{
    size_t bytes = s->line.n + s->text.n + labels_of(sample) * sizeof(gcw_label) + sizeof(struct held) + LABEL_SLACK;
    bool room = !c->too_large && bytes <= HELD_BYTES_MAX - c->bytes;
    struct held *h = room ? held_new(&c->memory, s, sample) : NULL;
    if (!h || ((!stays || h->text.n > 0) && !held_move(&c->memory, h)))
        return false;
    c->bytes += bytes;
    h->is_created = c->is_created;
    *c->last = h;
    c->last = &h->next;
    return true;
}

bool created_sample(struct created *c, const struct family *f, const struct series_parser *s,
                    const struct exposition_sample *sample, bool stays)
{
    struct own_labels labels;
    if (!c->known || s->name_changed)
        name_look(c, f, s);
    if (!c->counts || !own_labels_read(sample, c->type, &labels)) {
        metric_flush(c);
        hand_over(c, sample, c->is_created);
        return true;
    }
    if (!c->open || !time_is_held(c, sample) || !labels_are_held(c, &labels)) {
        metric_flush(c);
        if (!metric_begin(c, sample, &labels))
            return false;
    }
    if (c->is_created)
        c->start_ms = start_of(sample->value_bits);
    if (hold(c, s, sample, stays))
        return true;
    bool ok = held_give_up(c);
    hand_over(c, sample, c->is_created);
    return ok;
}
