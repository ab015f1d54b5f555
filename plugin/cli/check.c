/* `gcw check`: one empty push a signal, in the protocol and signed as the writer would; the answer is judged by the
 * writer's own table. */
#include "cli/check.h"

#include <inttypes.h>
#include <stdlib.h>

#include "cli/settings.h"
#include "config/config.h"

struct check {
    struct settings settings;
    struct net_config net;
    char *header_text;
    const char **headers;
    struct transport *transport;
};

static const struct cli_option check_rows[] = {
    DESTINATION_OPTIONS,
    {"metrics-tenant", 0, "ID", "Destination", "tenant of metrics"},
    {"logs-tenant", 0, "ID", "Destination", "tenant of logs"},
    CONFIGURATION_OPTIONS,
    {"timeout", 0, "DURATION", "Running", "how long to wait for each answer (default: request_timeout, 30s)"},
    {"verbose", 'v', NULL, "Running", "show the HTTP exchange, credentials blanked"},
};

const struct cli_option *check_options(size_t *count)
{
    *count = ARRAY_LEN(check_rows);
    return check_rows;
}

static int check_set(void *ctx, const struct cli_option *option, const char *arg)
{
    static const struct settings_row rows[] = {
        DESTINATION_SETTINGS,
        {"metrics-tenant", "metrics_tenant"},
        {"logs-tenant", "logs_tenant"},
        {"timeout", "request_timeout"},
    };
    struct check *c = ctx;
    bool failed;
    if (settings_option(&c->settings, rows, ARRAY_LEN(rows), option, arg, &failed))
        return failed ? -1 : 0;
    return settings_key(&c->settings, "log_level", "debug") != 0 || settings_key(&c->settings, "trace", "on") != 0 ? -1
                                                                                                                   : 0;
}

/* What is stored nowhere: a write request without series, and a stream without entries, which Loki decodes and passes
 * over. */
static bool empty_body(struct buf *out, enum protocol protocol)
{
    static const char json[] = "{\"streams\":[{\"stream\":{\"job\":\"gcw_check\"},\"values\":[]}]}";
    struct label_scratch labels = {0};
    struct rw2 *two;
    const struct buf *whole;
    size_t at;
    uint32_t families;
    bool ok = true;
    switch (protocol) {
    case PROTOCOL_RW2:
        two = rw2_new(NULL);
        whole = two && rw2_begin(two, NULL, NULL) ? rw2_end(two, &families) : NULL;
        ok = whole && buf_append(out, whole->p, whole->n);
        rw2_free(two);
        break;
    case PROTOCOL_LOKI_JSON:
        ok = buf_puts(out, json);
        break;
    case PROTOCOL_LOKI_PROTO:
        ok = metadata_add(&labels, "job", view_of("gcw_check")) &&
             loki_proto_stream(out, buf_view(&labels.block), &at) && loki_proto_stream_end(out, at);
        label_scratch_free(&labels);
        break;
    case PROTOCOL_RW1:
    case PROTOCOLS:
        break;
    }
    return ok;
}

static struct sealed *empty_request(gcw_signal signal, const char *tenant, enum protocol protocol)
{
    struct buf raw = {0}, packed = {0};
    bool plain = protocol == PROTOCOL_LOKI_JSON;
    struct sealed *s = NULL;
    if (empty_body(&raw, protocol) && (plain || snappy_pack(&packed, &raw)))
        s = plain ? sealed_new(raw.p, raw.n) : sealed_new(packed.p, packed.n);
    buf_free(&raw);
    buf_free(&packed);
    if (!s)
        return NULL;
    s->signal = signal;
    s->tenant = tenant;
    s->protocol = protocol;
    s->encoding = plain ? ENCODING_NONE : ENCODING_SNAPPY;
    return s;
}

/* One empty push: what came of it. */
struct attempt {
    enum protocol protocol;
    struct answer answer;
    struct verdict verdict;
    uint64_t took_ms;
};

static bool attempt_make(struct check *c, const struct endpoint *e, enum protocol protocol, struct attempt *out)
{
    struct sealed *s = empty_request(e->signal, e->tenant, protocol);
    uint64_t began = clock_mono_ms();
    *out = (struct attempt){.protocol = protocol};
    bool sent = s && transport_send(c->transport, s, 0);
    if (sent) {
        while (!transport_take(c->transport, &out->answer)) /* ends by request_timeout */
            transport_wait(c->transport, 1000);
        out->took_ms = clock_mono_ms() - began;
        out->verdict = answer_judge(s, &out->answer, false, clock_unix_ms());
    }
    sealed_free(s);
    return sent || settings_fail(&c->settings, "out of memory") == 0;
}

/* `refused`: the same in remote write 2.0, which went before it; or NULL. */
static bool report(const struct endpoint *e, const struct attempt *t, const struct attempt *refused)
{
    static const char *const form[PROTOCOLS] = {[PROTOCOL_RW1] = "remote write 1.0",
                                                [PROTOCOL_RW2] = "remote write 2.0",
                                                [PROTOCOL_LOKI_JSON] = "JSON",
                                                [PROTOCOL_LOKI_PROTO] = "protobuf"};
    const struct answer *a = &t->answer;
    bool good = t->verdict.action == ACTION_DELIVERED;
    ENSURE(t->verdict.row); /* there is one for every answer */
    const char *reason = t->verdict.row->reason, *advice = t->verdict.row->check;
    printf("%-8s %s%s%s: ", gcw_signal_name(e->signal), e->url, *e->tenant ? " tenant " : "", e->tenant);
    if (good)
        printf("ok, HTTP %d in %" PRIu64 " ms, %s", a->status, t->took_ms, form[t->protocol]);
    else if (a->end == END_ANSWERED)
        printf("HTTP %d, %s%s%s", a->status, reason, *a->text ? ": " : "", a->text);
    else
        printf("%s%s%s", reason, *a->text ? ": " : "", a->text);
    if (refused)
        printf(" (the receiver does not take 2.0: HTTP %d%s)", refused->answer.status,
               refused->answer.status < 300 ? " without its counts" : "");
    printf("\n");
    if (!good && advice)
        printf("         %s\n", advice);
    return good;
}

static enum protocol first_protocol(const struct check *c, gcw_signal signal)
{
    const gcw_config *config = c->settings.config;
    if (signal == GCW_LOGS)
        return config->logs_encoding == LOGS_PROTOBUF ? PROTOCOL_LOKI_PROTO : PROTOCOL_LOKI_JSON;
    return config->metrics_protocol == METRICS_PROTOCOL_1 ? PROTOCOL_RW1 : PROTOCOL_RW2;
}

/* Whether the writer would come to speak 1.0; it lets a receiver that fails over 2.0 do so some times before. */
static bool falls_back(const struct check *c, const struct attempt *t)
{
    return c->settings.config->metrics_protocol == METRICS_PROTOCOL_AUTO && t->protocol == PROTOCOL_RW2 &&
           (t->verdict.action == ACTION_FALL_BACK || (t->answer.status == 500 && !t->answer.counted));
}

static bool check_signal(struct check *c, const struct endpoint *e)
{
    struct attempt first, second;
    if (!attempt_make(c, e, first_protocol(c, e->signal), &first))
        return false;
    if (!falls_back(c, &first))
        return report(e, &first, NULL);
    return attempt_make(c, e, PROTOCOL_RW1, &second) && report(e, &second, &first);
}

static int check_run(struct check *c)
{
    gcw_error err;
    const struct logger log = {.level = (gcw_log_level)c->settings.config->log_level};
    if (gcw_config_check(c->settings.config, &err) != GCW_OK ||
        config_net(c->settings.config, &c->net, &c->header_text, &c->headers, &err) != GCW_OK ||
        !(c->transport = transport_new(&c->net, &log, &err))) {
        settings_fail(&c->settings, err.text);
        return EXIT_USAGE;
    }
    bool good = true;
    for (int i = 0; i < GCW_SIGNALS; i++)
        if (*c->net.endpoint[i].url)
            good = check_signal(c, &c->net.endpoint[i]) && good;
    return good ? EXIT_ALL_DELIVERED : EXIT_NOT_DELIVERED;
}

int check_main(int argc, char **argv)
{
    struct check c = {.settings = {cli_command_named("check"), gcw_config_new()}};
    int code = EXIT_USAGE, first = -1;
    if (c.settings.config && settings_key(&c.settings, "log_level", "warn") == 0 &&
        settings_load(&c.settings, argc, argv) == 0)
        first = cli_parse(c.settings.command, argc, argv, check_set, &c);
    if (first >= 0 && first < argc)
        settings_fail(&c.settings, "takes no arguments beside its options");
    else if (first >= 0)
        code = check_run(&c);
    transport_free(c.transport);
    free(c.header_text);
    free(c.headers);
    gcw_config_free(c.settings.config);
    return code;
}
