#include "hosts/fluent-bit/say.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const level_names[] = {"", "error", "warn", "info", "debug"};

bool say_init(struct say *s, const struct flb_api *api, void *output, unsigned number)
{
    *s = (struct say){.api = api, .output = output};
    snprintf(s->name, sizeof s->name, "grafana_cloud.%u", number);
    /* Asked of the allocator that made it: ours is the same, as the host exports its own if it has one. */
    s->has_logs = malloc_usable_size((void *)(uintptr_t)api) >= sizeof *api && api->log_print && api->output_log_check;
    s->lines = calloc(SAY_LINES, sizeof *s->lines);
    return s->lines && pthread_mutex_init(&s->lock, NULL) == 0;
}

void say_free(struct say *s)
{
    if (!s->lines)
        return;
    free(s->lines);
    pthread_mutex_destroy(&s->lock);
}

void say_log(void *say, gcw_log_level level, const char *text)
{
    struct say *s = say;
    pthread_mutex_lock(&s->lock);
    if (s->count == SAY_LINES) {
        s->lost++;
    } else {
        struct said *line = &s->lines[(s->first + s->count++) % SAY_LINES];
        line->level = level;
        line->at_ms = clock_mono_ms();
        text_clean(line->text, sizeof line->text, text, strlen(text));
    }
    pthread_mutex_unlock(&s->lock);
}

void say_warn(void *say, const char *text) { say_log(say, GCW_LOG_WARN, text); }

void say_line(struct say *s, gcw_log_level level, const char *fmt, ...)
{
    char text[SAY_TEXT];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    say_log(s, level, text);
}

static void print(const struct say *s, gcw_log_level level, const char *text)
{
    if (!s->has_logs) {
        if (level <= GCW_LOG_INFO)
            fprintf(stderr, "[%s] [output:grafana_cloud:%s] %s\n", level_names[level], s->name, text);
    } else if (s->api->output_log_check(s->output, (int)level)) {
        s->api->log_print((int)level, NULL, 0, "[output:grafana_cloud:%s] %s", s->name, text);
    }
}

/* The oldest line, if it is that old; with the lock held. */
static bool take(struct say *s, uint64_t age_ms, struct said *out)
{
    bool any = s->count > 0 && clock_mono_ms() - s->lines[s->first].at_ms >= age_ms;
    if (any) {
        *out = s->lines[s->first];
        s->first = (s->first + 1) % SAY_LINES;
        s->count--;
    }
    return any;
}

static void emit(struct say *s, size_t most, uint64_t age_ms)
{
    struct said line;
    for (; most > 0; most--) {
        pthread_mutex_lock(&s->lock);
        bool any = take(s, age_ms, &line);
        uint64_t lost = s->count == 0 ? s->lost : 0;
        s->lost -= lost;
        pthread_mutex_unlock(&s->lock);
        if (any)
            print(s, line.level, line.text);
        if (lost > 0) {
            snprintf(line.text, sizeof line.text, "%llu more lines were not kept", (unsigned long long)lost);
            print(s, GCW_LOG_WARN, line.text);
        }
        if (!any)
            return;
    }
}

void say_emit(struct say *s, size_t most) { emit(s, most, 0); }

void say_emit_stale(struct say *s, uint64_t age_ms) { emit(s, SAY_LINES, age_ms); }
