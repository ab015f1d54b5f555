/* One line when a route starts to fail, one when what it waits for changes to a person, one when it recovers. */
#include <stdio.h>

#include "deliver/lane.h"

void say(struct deliver *d, gcw_log_level level, const struct sealed *s, const char *text)
{
    char line[1024];
    snprintf(line, sizeof line, "%s%s%s: %s", gcw_signal_name(s->signal), *s->tenant ? " of tenant " : "", s->tenant,
             text);
    d->ops.log(d->ops.ctx, level, line);
}

void words_of(char *out, size_t cap, const struct verdict *v, const struct answer *a)
{
    char status[32] = "";
    if (a->end == END_ANSWERED)
        snprintf(status, sizeof status, "HTTP %d, ", a->status);
    snprintf(out, cap, "%s%s%s%.600s", status, v->row->reason, *a->text ? ": " : "", a->text);
}

void say_failure(struct deliver *d, struct lane *l, const struct sealed *s, const struct verdict *v, const char *words)
{
    char line[1024];
    bool park = v->action == ACTION_PARK;
    const char *check = v->row->check ? v->row->check : "", *then = *check ? "; " : "";
    if (park && !l->said_parked) {
        snprintf(line, sizeof line, "parked, data is kept: %.700s%s%s", words, then, check);
        say(d, GCW_LOG_ERROR, s, line);
    } else if (!park && l->failures == 1) {
        snprintf(line, sizeof line, "delivery fails, trying again: %.700s%s%s", words, then, check);
        say(d, GCW_LOG_WARN, s, line);
    }
    l->said_parked |= park;
}

void say_recovery(struct deliver *d, struct lane *l, const struct sealed *s, uint64_t now_ms)
{
    char line[160];
    if (l->failures == 0)
        return;
    snprintf(line, sizeof line, "delivery works again after %u failed attempts in %llu ms", l->failures,
             (unsigned long long)(now_ms - l->failing_since_ms));
    say(d, GCW_LOG_WARN, s, line);
}

void say_split(struct deliver *d, struct lane *l, const struct sealed *s, const char *words)
{
    char line[1024];
    if (l->said_split)
        return;
    snprintf(line, sizeof line, "requests are sent in parts from now on: %u bytes before compression were: %.800s",
             s->raw_len, words);
    say(d, GCW_LOG_WARN, s, line);
    l->said_split = true;
}

void say_sift(struct deliver *d, struct lane *l, const struct sealed *s, const char *words)
{
    char line[1024];
    if (l->said_sift)
        return;
    snprintf(line, sizeof line, "what is refused for some of its samples is sent again in parts: %.900s", words);
    say(d, GCW_LOG_WARN, s, line);
    l->said_sift = true;
}

void say_fall_back(struct deliver *d, const struct sealed *s, const char *words)
{
    char line[1024], hold[32];
    format_duration(hold, sizeof hold, d->offer.hold_ms);
    snprintf(line, sizeof line, "remote write 1.0 is spoken from now on, 2.0 offered again in %s: %.800s", hold, words);
    say(d, GCW_LOG_INFO, s, line);
}
