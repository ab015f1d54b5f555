/* The option table of `gcw receive`, and a function per row. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/receive/options.h"

enum option_id {
    OPT_LISTEN,
    OPT_PORT_FILE,
    OPT_ALLOW_REMOTE,
    OPT_TLS_CERT,
    OPT_TLS_KEY,
    OPT_MAX_CONNECTIONS,
    OPT_AUTH,
    OPT_TENANT,
    OPT_TOKEN_FILE,
    OPT_SCOPE,
    OPT_CREDENTIALS,
    OPT_LIMIT,
    OPT_METRICS_RATE,
    OPT_METRICS_BURST,
    OPT_MAX_SERIES,
    OPT_OOO_WINDOW,
    OPT_OUT,
    OPT_NO_RECORDS,
    OPT_DISCARD,
    OPT_MISBEHAVE,
    OPT_MAX_REQUESTS,
    OPT_IDLE,
    OPT_VERBOSE,
    OPT_HELP,
    OPT_COUNT
};

#define LISTENING "Listening"
#define WHO       "Who may push"
#define JUDGING   "Judging"
#define OUTPUT    "What was accepted"
#define MISCHIEF  "Misbehaving"
#define ENDING    "Ending"
#define OTHER     "Other"

static const struct cli_option options[OPT_COUNT] = {
    [OPT_LISTEN] =
        {"listen", 'l', "HOST:PORT", LISTENING,
         "Address to listen on, default 127.0.0.1:0; port 0 picks a free one. The address is printed to standard "
         "output as `listening on http://HOST:PORT` (to standard error with --out -)."},
    [OPT_PORT_FILE] = {"port-file", 0, "FILE", LISTENING, "Write the port to FILE once it listens."},
    [OPT_ALLOW_REMOTE] =
        {"allow-remote", 0, NULL, LISTENING,
         "Let --listen name an address that other machines reach. /control still answers loopback only."},
    [OPT_TLS_CERT] = {"tls-cert", 0, "FILE", LISTENING, "Serve https with this certificate (PEM); needs --tls-key."},
    [OPT_TLS_KEY] = {"tls-key", 0, "FILE", LISTENING, "Private key of the certificate (PEM)."},
    [OPT_MAX_CONNECTIONS] = {"max-connections", 0, "N", LISTENING,
                             "Connections at a time, one thread each; default 512."},
    [OPT_AUTH] = {"auth", 0, "MODE", WHO,
                  "basic: tenant and token as at the Grafana Cloud gateway (default if a token is given); tenant: "
                  "X-Scope-OrgID as at a self-hosted Mimir or Loki; none: anybody (default if no token is given)."},
    [OPT_TENANT] =
        {"tenant", 't', "[SIGNAL=]ID", WHO,
         "A tenant the token is good for; SIGNAL is metrics or logs, without it both. Repeatable; without any "
         "tenant the token is good for all."},
    [OPT_TOKEN_FILE] = {"token-file", 0, "FILE", WHO,
                        "File with the token, read again when it changes. Else the environment variable "
                        "GCW_RECEIVE_TOKEN is used. Never on the command line, where others can see it."},
    [OPT_SCOPE] = {"scope", 0, "LIST", WHO, "What the token may do; default metrics:write,logs:write."},
    [OPT_CREDENTIALS] =
        {"credentials", 0, "FILE", WHO,
         "More tokens, as JSON: [{\"token\": \"...\", \"tenants\": [\"123\", \"logs=456\"], \"scopes\": "
         "[\"logs:write\"]}, ...]. Read again when it changes."},
    [OPT_LIMIT] = {"limit", 0, "NAME=VALUE", JUDGING, "Change a limit of the list below; 0 turns it off. Repeatable."},
    [OPT_METRICS_RATE] = {"metrics-rate", 0, "N", JUDGING, "Short for --limit metrics_rate=N."},
    [OPT_METRICS_BURST] = {"metrics-burst", 0, "N", JUDGING, "Short for --limit metrics_burst=N."},
    [OPT_MAX_SERIES] = {"max-series", 0, "N", JUDGING, "Short for --limit metrics_series=N."},
    [OPT_OOO_WINDOW] = {"out-of-order-window", 0, "DURATION", JUDGING,
                        "Short for --limit metrics_out_of_order_window=DURATION; Grafana Cloud has 2h."},
    [OPT_OUT] =
        {"out", 'o', "FILE", OUTPUT,
         "Append each accepted sample, metadata record and entry to FILE (- = standard output) as a line of JSON, "
         "before the request is answered."},
    [OPT_NO_RECORDS] = {"no-records", 0, NULL, OUTPUT, "Judge and count, write no records."},
    [OPT_DISCARD] = {"discard", 0, NULL, OUTPUT,
                     "Read bodies, count bytes, answer success without looking at them: a sink for measurements."},
    [OPT_MISBEHAVE] = {"misbehave", 'm', "KEY=VALUE", MISCHIEF,
                       "Start out misbehaving, by a key of the list below. Repeatable. POST /control changes it while "
                       "running."},
    [OPT_MAX_REQUESTS] = {"max-requests", 0, "N", ENDING, "Stop after N pushes were answered."},
    [OPT_IDLE] = {"exit-after-idle", 0, "SECONDS", ENDING, "Stop when no request came for so long (also 500ms, 2m)."},
    [OPT_VERBOSE] = {"verbose", 'v', NULL, OTHER,
                     "A line on standard error for each request, not only for refused ones."},
    [OPT_HELP] = {"help", 'h', NULL, OTHER, "This text."},
};

const struct cli_option *receive_options(size_t *count)
{
    *count = OPT_COUNT;
    return options;
}

/* ---- a function per row -------------------------------------------------------------------------------------------
 */

static gcw_status bad(enum option_id id, const char *value, const char *allowed, gcw_error *err)
{
    return error_set(err, GCW_ERR_INVALID, "--%s: '%.200s' is not %s", options[id].name, value, allowed);
}

static gcw_status number_set(enum option_id id, const char *value, uint64_t max, uint64_t *out, gcw_error *err)
{
    if (parse_u64(view_of(value), out) && *out > 0 && *out <= max)
        return GCW_OK;
    return error_set(err, GCW_ERR_INVALID, "--%s: '%.200s' is not a number from 1 to %" PRIu64, options[id].name, value,
                     max);
}

/* 127.0.0.1:9009, [::1]:9009, localhost:9009 */
static gcw_status listen_set(struct settings *s, const char *value, gcw_error *err)
{
    const char *colon = strrchr(value, ':');
    uint64_t port;
    struct view host = view_make(value, colon ? (size_t)(colon - value) : 0);
    if (!colon || !parse_u64(view_of(colon + 1), &port) || port > 65535)
        return bad(OPT_LISTEN, value, "HOST:PORT, e.g. 127.0.0.1:9009", err);
    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = view_make(host.p + 1, host.n - 2);
    if (view_is(host, "localhost"))
        host = view_of("127.0.0.1");
    if (host.n == 0 || host.n >= sizeof s->host)
        return bad(OPT_LISTEN, value, "HOST:PORT with a numeric address, e.g. 127.0.0.1:9009 or [::1]:9009", err);
    snprintf(s->host, sizeof s->host, "%.*s", (int)host.n, host.p);
    s->port = (uint16_t)port;
    return GCW_OK;
}

static gcw_status auth_mode_set(struct settings *s, const char *value, gcw_error *err)
{
    static const char *const modes[] = {[AUTH_BASIC] = "basic", [AUTH_TENANT] = "tenant", [AUTH_NONE] = "none"};
    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        if (strcmp(value, modes[i]) == 0) {
            s->auth.mode = (enum auth_mode)i;
            return GCW_OK;
        }
    return bad(OPT_AUTH, value, "basic, tenant or none", err);
}

static gcw_status limit_set(struct settings *s, enum limit limit, const char *value, gcw_error *err)
{
    char text[128];
    snprintf(text, sizeof text, "%s=%s", limit_rows[limit].name, value);
    return limits_set(&s->limits, view_of(text), err);
}

static gcw_status misbehave_flag(struct settings *s, const char *value, gcw_error *err)
{
    const char *eq = strchr(value, '=');
    if (!eq)
        return bad(OPT_MISBEHAVE, value, "KEY=VALUE, e.g. status=503:3", err);
    return misbehave_set(&s->misbehave, view_make(value, (size_t)(eq - value)), view_of(eq + 1), err);
}

static gcw_status idle_set(struct settings *s, const char *value, gcw_error *err)
{
    uint64_t seconds;
    if (parse_u64(view_of(value), &seconds) && seconds > 0 && seconds < 1000000)
        s->idle_ms = seconds * 1000;
    else if (!parse_duration(view_of(value), &s->idle_ms) || s->idle_ms == 0)
        return bad(OPT_IDLE, value, "a number of seconds", err);
    return GCW_OK;
}

static gcw_status option_apply(struct settings *s, enum option_id id, const char *value, gcw_error *err)
{
    uint64_t n = 0;
    gcw_status status = GCW_OK;
    switch (id) {
    case OPT_LISTEN:
        return listen_set(s, value, err);
    case OPT_PORT_FILE:
        s->port_file = value;
        break;
    case OPT_ALLOW_REMOTE:
        s->allow_remote = true;
        break;
    case OPT_TLS_CERT:
        s->tls_cert = value;
        break;
    case OPT_TLS_KEY:
        s->tls_key = value;
        break;
    case OPT_MAX_CONNECTIONS:
        status = number_set(id, value, 100000, &n, err);
        s->max_connections = (unsigned)n;
        return status;
    case OPT_AUTH:
        return auth_mode_set(s, value, err);
    case OPT_TENANT:
        return auth_add_tenant(&s->auth.flags, view_of(value), err);
    case OPT_TOKEN_FILE:
        s->auth.token_file.path = value;
        break;
    case OPT_SCOPE:
        return auth_set_scopes(&s->auth.flags, view_of(value), err);
    case OPT_CREDENTIALS:
        s->auth.credentials_file.path = value;
        break;
    case OPT_LIMIT:
        return limits_set(&s->limits, view_of(value), err);
    case OPT_METRICS_RATE:
        return limit_set(s, METRICS_RATE, value, err);
    case OPT_METRICS_BURST:
        return limit_set(s, METRICS_BURST, value, err);
    case OPT_MAX_SERIES:
        return limit_set(s, METRICS_SERIES, value, err);
    case OPT_OOO_WINDOW:
        return limit_set(s, METRICS_OUT_OF_ORDER_WINDOW, value, err);
    case OPT_OUT:
        s->out = value;
        break;
    case OPT_NO_RECORDS:
        s->no_records = true;
        break;
    case OPT_DISCARD:
        s->discard = true;
        break;
    case OPT_MISBEHAVE:
        return misbehave_flag(s, value, err);
    case OPT_MAX_REQUESTS:
        return number_set(id, value, UINT64_MAX, &s->max_requests, err);
    case OPT_IDLE:
        return idle_set(s, value, err);
    case OPT_VERBOSE:
        s->verbose = true;
        break;
    case OPT_HELP:
        s->help = true;
        break;
    case OPT_COUNT:
        break;
    }
    return GCW_OK;
}

/* ---- the whole line ------------------------------------------------------------------------------------------------
 */

/* getopt's tables, from ours; the value of an option is its id + 1. */
static void getopt_tables(struct option longs[OPT_COUNT + 1], char shorts[2 * OPT_COUNT + 2])
{
    *shorts++ = ':';
    for (int i = 0; i < OPT_COUNT; i++) {
        longs[i] = (struct option){options[i].name, options[i].arg ? required_argument : no_argument, NULL, i + 1};
        if (!options[i].short_name)
            continue;
        *shorts++ = options[i].short_name;
        if (options[i].arg)
            *shorts++ = ':';
    }
    longs[OPT_COUNT] = (struct option){0};
    *shorts = 0;
}

static int short_id(int c)
{
    for (int i = 0; i < OPT_COUNT; i++)
        if (options[i].short_name && options[i].short_name == c)
            return i;
    return c - 1;
}

static gcw_status line_parse(struct settings *s, int argc, char **argv, bool *mode_given, gcw_error *err)
{
    struct option longs[OPT_COUNT + 1];
    char shorts[2 * OPT_COUNT + 2];
    getopt_tables(longs, shorts);
    optind = 0;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        if (c == '?' || c == ':') /* the word itself, so that a clustered short option is shown too */
            return error_set(err, GCW_ERR_INVALID, "%s: %s (see --help)", argv[optind - 1],
                             c == ':' ? "an argument is missing" : "unknown or ambiguous option");
        int id = short_id(c);
        gcw_status status = option_apply(s, (enum option_id)id, optarg, err);
        if (status != GCW_OK)
            return status;
        *mode_given |= id == OPT_AUTH;
    }
    if (optind < argc)
        return error_set(err, GCW_ERR_INVALID, "'%.200s': no arguments are taken besides options (see --help)",
                         argv[optind]);
    return GCW_OK;
}

static gcw_status credentials_begin(struct settings *s, bool mode_given, gcw_error *err)
{
    const char *token = getenv("GCW_RECEIVE_TOKEN");
    struct auth *a = &s->auth;
    if (token && token[0] && !a->token_file.path) {
        gcw_status status = auth_set_token(&a->flags, view_of(token), err);
        if (status != GCW_OK)
            return status;
    }
    gcw_status status = auth_refresh(a, err);
    if (status != GCW_OK)
        return status;
    bool have = a->flags.token || a->credentials_file.path;
    if (!mode_given)
        a->mode = have ? AUTH_BASIC : AUTH_NONE;
    if (a->mode == AUTH_BASIC && !have)
        return error_set(err, GCW_ERR_INVALID, "--auth basic needs --token-file, GCW_RECEIVE_TOKEN or --credentials");
    if (a->mode != AUTH_BASIC && a->flags.tenant_count > 0)
        return error_set(err, GCW_ERR_INVALID,
                         "--tenant means nothing without a token (--auth basic): give one by "
                         "--token-file or GCW_RECEIVE_TOKEN");
    return GCW_OK;
}

gcw_status settings_parse(struct settings *s, int argc, char **argv, gcw_error *err)
{
    bool mode_given = false;
    *s = (struct settings){.host = "127.0.0.1", .max_connections = 512};
    s->auth.flags.scopes = ALL_SIGNALS;
    limits_init(&s->limits);
    misbehave_init(&s->misbehave);
    gcw_status status = line_parse(s, argc, argv, &mode_given, err);
    if (status != GCW_OK || s->help)
        return status;
    if (!s->tls_cert != !s->tls_key)
        return error_set(err, GCW_ERR_INVALID, "--tls-cert and --tls-key go together");
    return credentials_begin(s, mode_given, err);
}

void settings_free(struct settings *s) { auth_free(&s->auth); }

/* ---- help ----------------------------------------------------------------------------------------------------------
 */

static void wrapped(FILE *out, const char *text, int indent, int width)
{
    int at = indent;
    while (*text) {
        int word = (int)strcspn(text, " ");
        if (at > indent && at + 1 + word > width) {
            fprintf(out, "\n%*s", indent, "");
            at = indent;
        } else if (at > indent) {
            fputc(' ', out);
            at++;
        }
        fprintf(out, "%.*s", word, text);
        at += word;
        text += word;
        text += *text == ' ';
    }
    fputc('\n', out);
}

static void option_help(const struct cli_option *o)
{
    char head[80];
    char letter[8] = "    ";
    if (o->short_name)
        snprintf(letter, sizeof letter, "-%c, ", o->short_name);
    int n = snprintf(head, sizeof head, "  %s--%s%s%s", letter, o->name, o->arg ? " " : "", o->arg ? o->arg : "");
    printf("%s%*s", head, n < 33 ? 34 - n : 0, "");
    if (n >= 33)
        printf("\n%34s", "");
    wrapped(stdout, o->help, 34, 100);
}

void receive_help_lists(FILE *out)
{
    fprintf(out, "\nLimits (--limit NAME=VALUE), with the defaults of Mimir and Loki, unless said otherwise:\n");
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        char value[32];
        limit_format(value, sizeof value, limit_rows[i].kind, limit_rows[i].initial);
        fprintf(out, "  %-28s %-8s ", limit_rows[i].name, value);
        wrapped(out, limit_rows[i].help, 40, 118);
    }
    fprintf(out, "\nKeys of --misbehave and /control:\n%s", misbehave_help);
}

void receive_help(void)
{
    printf("Usage: gcw receive [OPTION]...\n\n"
           "A local stand-in for Grafana Cloud: takes metrics by Prometheus remote write 1.0 and logs by Loki push "
           "(JSON),\n"
           "judges them with the statuses and words of the real receivers, and can be told to misbehave.\n\n"
           "  POST /api/prom/push, /api/v1/push, /api/v1/write    metrics\n"
           "  POST /loki/api/v1/push                              logs\n"
           "  GET  /ready, /stats                                 is it up; counters as JSON\n"
           "  GET, POST /control                                  show or change how it misbehaves (form, query or "
           "JSON)\n");
    for (size_t i = 0; i < OPT_COUNT; i++) {
        if (i == 0 || strcmp(options[i].group, options[i - 1].group) != 0)
            printf("\n%s:\n", options[i].group);
        option_help(&options[i]);
    }
    receive_help_lists(stdout);
    printf(
        "\nExamples:\n"
        "  gcw receive --listen 127.0.0.1:9009 --out -\n"
        "      take anything from anybody and show it\n"
        "  GCW_RECEIVE_TOKEN=glc_EXAMPLE gcw receive -t metrics=1001 -t logs=2002 --scope metrics:write -o got.ndjson\n"
        "      behave as the cloud gateway does with a token that may write metrics only\n"
        "  gcw receive --auth tenant --max-series 1000 --metrics-rate 5000 -m status=503:3 -m retry_after=2\n"
        "      a small self-hosted Mimir that fails three times first\n"
        "  curl -d 'status=429&retry_after=1&match=logs&count=5' http://127.0.0.1:9009/control\n"
        "      throttle the next five log pushes of a running receiver\n"
        "\nExit status: 0 stopped by SIGINT, SIGTERM, --max-requests or --exit-after-idle; 1 can't serve; 2 wrong "
        "usage.\n");
}
