/* A program that tells all it gets to know: every log line, report, statistic, error and option goes to standard
 * output. argv: METRICS_URL TENANT TOKEN_FILE CA_FILE. Its reader looks for secrets. */
#include <gcw.h>

#include <stdio.h>

static void on_log(void *user, gcw_log_level level, const char *text)
{
    (void)user;
    printf("log %d %s\n", (int)level, text);
}

static void on_report(void *user, const gcw_report *r)
{
    (void)user;
    printf("report %s %d %s\n", gcw_outcome_name(r->outcome), r->http_status, r->message);
}

static void show_options(const gcw_config *config)
{
    const gcw_option *o;
    char value[512];
    for (size_t i = 0; (o = gcw_option_at(i)); i++)
        if (gcw_config_get(config, o->name, value, sizeof value) == GCW_OK)
            printf("option %s = %s\n", o->name, value);
}

int main(int argc, char **argv)
{
    const char *const options[][2] = {{"metrics_url", argv[1]},
                                      {"metrics_tenant", argc > 2 ? argv[2] : ""},
                                      {"token_file", argc > 3 ? argv[3] : ""},
                                      {"ca_file", argc > 4 ? argv[4] : ""},
                                      {"log_level", "debug"},
                                      {"trace", "on"},
                                      {"token_check", "100ms"}};
    const gcw_callbacks callbacks = {.log = on_log, .report = on_report};
    const gcw_label labels[] = {GCW_LABEL("__name__", "loud")};
    gcw_config *config = gcw_config_new();
    gcw_error err = {0};
    gcw_stats stats;
    if (argc != 5)
        return 2;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (gcw_config_set(config, options[i][0], options[i][1], &err) != GCW_OK)
            printf("error %s\n", err.text);
    if (gcw_config_load_env(config, &err) != GCW_OK)
        printf("error %s\n", err.text);
    show_options(config);
    gcw_writer *writer = gcw_writer_open(config, &callbacks, &err);
    gcw_config_free(config);
    if (!writer) {
        printf("error %s\n", err.text);
        return 2;
    }
    gcw_sample_write(writer, labels, 1, 1, gcw_now_ms(), NULL, &err);
    gcw_writer_flush(writer, 2000);
    gcw_writer_close(writer, 0, &stats);
    printf("stats %d %d %s\n", stats.signal[0].last_http_status, stats.signal[0].parked, stats.signal[0].last_error);
    return 0;
}
