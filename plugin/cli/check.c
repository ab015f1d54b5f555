/* `gcw check`: one empty push a signal, signed as the writer signs; the answer is judged by the writer's own table. */
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
    {"metrics-url", 0, "URL", "Destination", "where metrics go; a base URL gets the usual path"},
    {"metrics-tenant", 0, "ID", "Destination", "tenant of metrics"},
    {"logs-url", 0, "URL", "Destination", "where logs go"},
    {"logs-tenant", 0, "ID", "Destination", "tenant of logs"},
    {"token-file", 0, "FILE", "Destination", "file that holds the access policy token; GCW_TOKEN also does"},
    {"config", 'c', "FILE", "Configuration", "options as `key = value` lines, see gcw.conf(5); default: $GCW_CONFIG"},
    {"set", 's', "KEY=VALUE", "Configuration", "one option of gcw.conf(5); wins over file and environment"},
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
        {"metrics-url", "metrics_url"}, {"metrics-tenant", "metrics_tenant"}, {"logs-url", "logs_url"},
        {"logs-tenant", "logs_tenant"}, {"token-file", "token_file"},         {"timeout", "request_timeout"},
    };
    struct check *c = ctx;
    bool failed;
    if (settings_option(&c->settings, rows, ARRAY_LEN(rows), option, arg, &failed))
        return failed ? -1 : 0;
    return settings_key(&c->settings, "log_level", "debug") != 0 || settings_key(&c->settings, "trace", "on") != 0 ? -1
                                                                                                                   : 0;
}

/* What is stored nowhere: a write request without series (snappy of nothing is one zero byte), and a stream without
 * entries, which Loki decodes and passes over. */
static struct sealed *empty_request(gcw_signal signal, const char *tenant)
{
    static const char logs[] = "{\"streams\":[{\"stream\":{\"job\":\"gcw_check\"},\"values\":[]}]}";
    bool metrics = signal == GCW_METRICS;
    struct sealed *s = metrics ? sealed_new("", 1) : sealed_new(logs, sizeof logs - 1);
    if (!s)
        return NULL;
    s->signal = signal;
    s->tenant = tenant;
    s->records = 1;
    s->protocol = metrics ? PROTOCOL_RW1 : PROTOCOL_LOKI_JSON;
    s->encoding = metrics ? ENCODING_SNAPPY : ENCODING_NONE;
    return s;
}

static bool exchange(struct check *c, const struct sealed *s, struct answer *a)
{
    if (!transport_send(c->transport, s, 0))
        return false;
    while (!transport_take(c->transport, a)) /* ends by request_timeout */
        transport_wait(c->transport, 1000);
    return true;
}

static bool report(const struct endpoint *e, const struct sealed *s, const struct answer *a, uint64_t took_ms)
{
    struct verdict v = answer_judge(s, a, false, clock_unix_ms());
    bool good = v.action == ACTION_DELIVERED;
    printf("%-8s %s%s%s: ", gcw_signal_name(e->signal), e->url, *e->tenant ? " tenant " : "", e->tenant);
    if (good)
        printf("ok, HTTP %d in %" PRIu64 " ms\n", a->status, took_ms);
    else if (a->end == END_ANSWERED)
        printf("HTTP %d, %s%s%s\n", a->status, v.row->reason, *a->text ? ": " : "", a->text);
    else
        printf("%s%s%s\n", v.row->reason, *a->text ? ": " : "", a->text);
    if (!good && v.row->check)
        printf("         %s\n", v.row->check);
    return good;
}

static bool check_signal(struct check *c, const struct endpoint *e)
{
    struct answer a = {0};
    struct sealed *s = empty_request(e->signal, e->tenant);
    uint64_t began = clock_mono_ms();
    bool good = s && exchange(c, s, &a) ? report(e, s, &a, clock_mono_ms() - began)
                                        : settings_fail(&c->settings, "out of memory") == 0;
    sealed_free(s);
    return good;
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
