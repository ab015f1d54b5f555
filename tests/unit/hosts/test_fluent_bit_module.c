/* out_grafana_cloud.so in a small host that loads and calls it as Fluent Bit does. */
#include <dirent.h>
#include <ftw.h>
#include <signal.h>
#include <unistd.h>

#include "flb_host.h"
#include "pack.h"

#define PROPERTIES 40

/* A host, a receiver, and one output, most often. */
struct stage {
    struct flb host;
    struct receiver *receiver;
    struct flb_output out;
    const char *properties[PROPERTIES];
    char dir[64]; /* for queue_dir; "" = none */
};

/* Retries come at once, batches close when they are asked to; `more` wins. */
static void stage_options(struct stage *s, const char *const *more)
{
    const char *const usual[] = {
        "retry_min",         "10ms", "retry_max",        "20ms", "logs_batch_age", "1h",  "park_probe", "100ms",
        "metrics_batch_age", "1h",   "shutdown_timeout", "10s",  "ack_timeout",    "20s", NULL};
    size_t n = 0;
    for (const char *const *p = more; p && *p; p++)
        s->properties[n++] = *p;
    if (!more || strcmp(more[0], "metrics_url") != 0)
        s->properties[n++] = "logs_url", s->properties[n++] = receiver_url(s->receiver, GCW_LOGS);
    for (const char *const *p = usual; *p; p++)
        s->properties[n++] = *p;
    assert_true(n < PROPERTIES);
    s->properties[n] = NULL;
}

static void stage_open_in(struct stage *s, const struct flb_sizes *sizes, const char *const *more)
{
    *s = (struct stage){.receiver = receiver_new()};
    flb_start(&s->host, sizes);
    stage_options(s, more);
    if (flb_output_start(&s->host, &s->out, s->properties) != 1)
        fail_msg("%s", s->out.log ? s->out.log : "Init failed");
}

static void stage_open(struct stage *s, const char *const *more) { stage_open_in(s, &flb_5_1, more); }

static void stage_exit(struct stage *s)
{
    flb_output_stop(&s->out, false);
    receiver_stop(s->receiver);
}

static void stage_free(struct stage *s)
{
    flb_output_free(&s->out);
    flb_stop(&s->host);
    receiver_free(s->receiver);
}

/* `n` records, told apart by `name`. */
static struct buf chunk_of(const char *name, int n)
{
    struct buf b = {0};
    char body[128];
    for (int i = 0; i < n; i++) {
        snprintf(body, sizeof body, "{'log': '%s-%d'}", name, i);
        pack_v2(&b, 1700000000u + (uint32_t)i, 7, "{}", body);
    }
    return b;
}

static int flush(struct stage *s, struct buf b, int (*by)(struct flb_output *, const void *, size_t, const char *))
{
    int answer = by(&s->out, b.p, b.n, "app.log");
    buf_free(&b);
    return answer;
}

static size_t threads_alive(void)
{
    size_t n = 0;
    DIR *d = opendir("/proc/self/task");
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void make_dir(struct stage *s)
{
    snprintf(s->dir, sizeof s->dir, "/tmp/gcw-test-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

struct lines {
    const char *seen[64];
    size_t count;
};

static void line_note(void *user, const struct request *q, const struct taken *t)
{
    struct lines *l = user;
    (void)q;
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->seen[i], t->line) == 0)
            return;
    assert_true(l->count < ARRAY_LEN(l->seen));
    l->seen[l->count++] = t->line;
}

/* How many different lines arrived: one whose answer was lost comes twice. */
static size_t lines_different(const struct receiver *r)
{
    struct lines l = {0};
    receiver_each(r, GCW_LOGS, line_note, &l);
    return l.count;
}

/* ---- registering ---------------------------------------------------------------------------------------------------
 */

static void test_every_versions_structs_are_filled_and_not_overrun(void **state)
{
    (void)state;
    static const struct {
        const struct flb_sizes *sizes;
        int event_type;
    } rows[] = {{&flb_1_9, -1}, {&flb_2_0, -1}, {&flb_4_2, 3}, {&flb_5_1, 3}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct flb h;
        flb_start(&h, rows[i].sizes);
        assert_int_equal(flb_event_type(&h), rows[i].event_type);
        if (rows[i].sizes->def == 48) { /* a member that is not ours */
            void *config_map;
            memcpy(&config_map, (char *)h.def + 40, sizeof config_map);
            assert_null(config_map);
        }
        flb_stop(&h); /* looks at the guard bytes */
    }
}

static void test_what_is_not_zeroed_is_not_an_event_type(void **state)
{
    (void)state;
    const struct flb_sizes odd = {40, 56, false}; /* a larger block by chance: its allocator rounds up */
    struct flb h;
    flb_start(&h, &odd);
    assert_int_equal(flb_event_type(&h), (int)0xa5a5a5a5);
    flb_stop(&h);
}

static void test_every_versions_api_serves(void **state)
{
    (void)state;
    const struct flb_sizes *const all[] = {&flb_1_9, &flb_2_0, &flb_4_2, &flb_5_1};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct stage s;
        stage_open_in(&s, all[i], NULL);
        assert_int_equal(flush(&s, chunk_of("a", 3), flb_flush_worker), FLB_OK);
        stage_exit(&s);
        assert_int_equal(receiver_records(s.receiver, GCW_LOGS), 3);
        assert_int_equal(flb_logged(&s.out, "logs: 3 records delivered"), all[i]->api > 8);
        stage_free(&s);
    }
}

static void test_contexts_that_are_not_ours_are_let_be(void **state)
{
    (void)state;
    struct flb h;
    char stranger[64] = {0};
    flb_start(&h, &flb_5_1);
    assert_int_equal(h.exit(NULL), 0);
    assert_int_equal(h.exit(stranger), 0);
    assert_int_equal(h.flush(stranger, "\x92", 1, "t"), FLB_ERROR);
    flb_stop(&h);
}

/* ---- starting ------------------------------------------------------------------------------------------------------
 */

static void test_a_bad_value_stops_the_start_and_is_named(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"retry_min", "soon", "retry_min: \"soon\" is not allowed"},
        {"ack", "maybe", "ack: \"maybe\" is not allowed: enum, auto|queued|durable|delivered"},
        {"ack", "durable", "ack: \"durable\" needs queue_dir"},
        {"ack_timeout", "1h", "ack_timeout: \"1h\" is not allowed: duration, 10ms..1m"},
        {"uri", "loki", "uri: \"loki\" is not allowed: a path that begins with /"},
        {"uri", "/other/path", "uri: \"/other/path\" needs a logs_url"},
        {"compress", "lz4", "compress: \"lz4\" is not allowed: gzip|none"},
        {"http_passwd", "secret-passwd", "http_passwd needs http_user"},
        {"tenant_id", "a b", "tenant_id: tenant \"a b\": letters, digits"},
        {"tenant_id_key", "$t", "tenant_id_key needs tenant_id"},
        {"line_format", "xml", "line_format"},
        {"labels", "a=$b[", "labels"},
        {"token_file", "/does/not/exist", "token_file: /does/not/exist cannot be read"},
        {"aws_auth", "true", "aws_auth"},
    };
    size_t before = threads_alive();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct stage s = {.receiver = receiver_new()};
        size_t with_receiver = threads_alive();
        flb_start(&s.host, &flb_5_1);
        stage_options(&s, (const char *[]){rows[i][0], rows[i][1], NULL});
        if (flb_output_start(&s.host, &s.out, s.properties) > 0)
            fail_msg("%s %s is taken", rows[i][0], rows[i][1]);
        if (!flb_logged(&s.out, rows[i][2]))
            fail_msg("\"%s\" is not in: %s", rows[i][2], s.out.log ? s.out.log : "nothing");
        assert_false(flb_logged(&s.out, "secret"));
        assert_int_equal(threads_alive(), with_receiver);
        flb_output_stop(&s.out, false); /* the host calls it with no context */
        stage_free(&s);
    }
    assert_int_equal(threads_alive(), before);
}

static void test_no_destination_is_told_with_a_way_out(void **state)
{
    (void)state;
    struct flb h;
    struct flb_output o;
    flb_start(&h, &flb_5_1);
    assert_true(flb_output_start(&h, &o, NULL) <= 0);
    assert_true(flb_logged(&o, "no destination: set logs_url, metrics_url or both"));
    flb_output_stop(&o, false);
    flb_output_free(&o);
    flb_stop(&h);
}

static void test_misspelt_keys_are_named(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"retry_mn", "retry_min"},
        {"label", "labels"},
        {"label-keys", "label_keys"},
        {"logscompression", "logs_compression"},
        {"tenantid", "tenant_id"},
        {"remvoe_keys", "remove_keys"},
        {"line_formatt", "line_format"},
        {"max_line-bytes", "max_line_bytes"},
        {"batch-age", NULL},
        {"url", "logs_url or metrics_url"},
        {"logs-batch-age", "logs_batch_age"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct stage s;
        char want[128];
        stage_open(&s, (const char *[]){rows[i][0], "1", NULL});
        snprintf(want, sizeof want, "%s: no such option; %s is meant?", rows[i][0], rows[i][1] ? rows[i][1] : "");
        if (rows[i][1] && !flb_logged(&s.out, want))
            fail_msg("%s: %s", rows[i][0], s.out.log);
        stage_exit(&s);
        stage_free(&s);
    }
}

static void test_a_start_in_order_warns_of_nothing(void **state)
{
    (void)state;
    struct stage s;
    stage_open(
        &s, (const char *[]){"label_keys", "$level", "remove_keys", "x", "compress", "gzip", "labels", "job=a", NULL});
    assert_false(flb_logged(&s.out, "2 [output"));
    assert_true(flb_logged(&s.out, "3 [output:grafana_cloud:grafana_cloud.0] gcw "));
    stage_exit(&s);
    stage_free(&s);
}

struct seen {
    const char *tenant, *labels;
    size_t count;
};

static void see(void *user, const struct request *q, const struct taken *t)
{
    struct seen *seen = user;
    seen->count++;
    assert_string_equal(q->tenant, seen->tenant);
    if (seen->labels)
        assert_string_equal(t->labels, seen->labels);
}

static void test_names_of_the_loki_output_are_understood(void **state)
{
    (void)state;
    struct stage s = {.receiver = receiver_new()};
    char base[80];
    struct seen seen = {.tenant = "team-a", .labels = "app=\"web\",job=\"x\""};
    snprintf(base, sizeof base, "%.*s",
             (int)(strstr(receiver_url(s.receiver, GCW_LOGS), "/loki") - receiver_url(s.receiver, GCW_LOGS)),
             receiver_url(s.receiver, GCW_LOGS));
    const char *const properties[] = {"logs_url",    base,
                                      "uri",         "/loki/api/v1/push",
                                      "tenant_id",   "team-a",
                                      "labels",      "job=x, app=$app",
                                      "header",      "X-Extra something",
                                      "compress",    "gzip",
                                      "ack",         "delivered",
                                      "buffer_size", "1M",
                                      NULL};
    flb_start(&s.host, &flb_5_1);
    assert_int_equal(flb_output_start(&s.host, &s.out, properties), 1);
    struct buf b = {0};
    pack_v2(&b, 1700000000, 1, "{}", "{'app': 'web', 'log': 'hello'}");
    assert_int_equal(flush(&s, b, flb_flush_worker), FLB_OK);
    assert_true(flb_logged(&s.out, "buffer_size has no effect"));
    stage_exit(&s);
    receiver_each(s.receiver, GCW_LOGS, see, &seen);
    assert_int_equal(seen.count, 1);
    stage_free(&s);
}

/* ---- acknowledging -------------------------------------------------------------------------------------------------
 */

static void test_delivered_is_answered_when_the_receiver_said_yes(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, (const char *[]){"ack", "delivered", NULL});
    assert_int_equal(flush(&s, chunk_of("a", 5), flb_flush_worker), FLB_OK);
    receiver_stop(s.receiver); /* what has not come by now never will */
    assert_int_equal(receiver_records(s.receiver, GCW_LOGS), 5);
    flb_output_stop(&s.out, false);
    stage_free(&s);
}

/* The bound passes while the receiver takes its time: RETRY. The host's next try finds the answer. */
static void retried_once(const char *ack_timeout, int (*by)(struct flb_output *, const void *, size_t, const char *))
{
    struct stage s;
    stage_open(&s, (const char *[]){"ack", "delivered", "ack_timeout", ack_timeout, NULL});
    receiver_hold(s.receiver);
    assert_int_equal(flush(&s, chunk_of("a", 5), by), FLB_RETRY);
    receiver_await(s.receiver, 1);
    assert_int_equal(flush(&s, chunk_of("a", 5), by), FLB_RETRY); /* still */
    receiver_let(s.receiver);
    int answer;
    uint64_t deadline = clock_mono_ms() + WAIT_MS;
    while ((answer = flush(&s, chunk_of("a", 5), by)) == FLB_RETRY)
        assert_true(clock_mono_ms() < deadline);
    assert_int_equal(answer, FLB_OK);
    assert_int_equal(flush(&s, chunk_of("a", 5), flb_flush_worker),
                     FLB_OK); /* another chunk that happens to look alike */
    stage_exit(&s);
    assert_int_equal(receiver_records(s.receiver, GCW_LOGS), 10);
    stage_free(&s);
}

static void test_a_late_answer_is_found_by_the_next_try(void **state)
{
    (void)state;
    retried_once("50ms", flb_flush_worker);
}

static void test_the_engines_own_thread_waits_no_longer_than_it_should(void **state)
{
    (void)state;
    retried_once("20s", flb_flush); /* of which the engine waits one, and then next to nothing */
}

static void test_the_engines_own_thread_promises_less_unless_told(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, NULL);
    receiver_hold(s.receiver);
    assert_int_equal(flush(&s, chunk_of("a", 5), flb_flush), FLB_OK);
    assert_true(flb_logged(&s.out, "ack=queued, as the engine's own thread flushes"));
    receiver_let(s.receiver);
    stage_exit(&s);
    assert_int_equal(receiver_records(s.receiver, GCW_LOGS), 5);
    stage_free(&s);
}

static void test_durable_is_answered_while_the_receiver_is_away(void **state)
{
    (void)state;
    struct stage s = {0};
    char dir[64];
    make_dir(&s);
    memcpy(dir, s.dir, sizeof dir);
    const char *more[] = {"queue_dir", dir, "shutdown_timeout", "0", NULL};
    stage_open(&s, more);
    receiver_answer(s.receiver, 503, "away");
    assert_int_equal(flush(&s, chunk_of("a", 5), flb_flush_worker), FLB_OK);
    assert_int_equal(flush(&s, chunk_of("b", 5), flb_flush), FLB_OK);
    flb_output_stop(&s.out, false);
    assert_true(flb_logged(&s.out, "10 left on disk"));
    flb_output_free(&s.out);
    /* the next instance sends what this one left */
    receiver_answer(s.receiver, 0, NULL);
    more[3] = "10s";
    stage_options(&s, more);
    assert_int_equal(flb_output_start(&s.host, &s.out, s.properties), 1);
    stage_exit(&s);
    assert_int_equal(lines_different(s.receiver), 10);
    stage_free(&s);
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void test_what_the_receiver_will_never_take_is_an_error(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, (const char *[]){"ack", "delivered", NULL});
    receiver_answer_next(s.receiver, 400, "no such thing");
    assert_int_equal(flush(&s, chunk_of("a", 5), flb_flush_worker), FLB_ERROR);
    assert_int_equal(flush(&s, chunk_of("b", 5), flb_flush_worker), FLB_OK);
    stage_exit(&s);
    stage_free(&s);
}

static void test_a_receiver_that_fails_is_tried_again_within(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, (const char *[]){"ack", "delivered", NULL});
    receiver_answer_next(s.receiver, 503, "later");
    receiver_answer_next(s.receiver, 429, "slower");
    assert_int_equal(flush(&s, chunk_of("a", 5), flb_flush_worker), FLB_OK);
    stage_exit(&s);
    assert_int_equal(receiver_records(s.receiver, GCW_LOGS), 5);
    stage_free(&s);
}

static void test_bytes_that_are_no_chunk_are_an_error(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, NULL);
    assert_int_equal(flb_flush_worker(&s.out, "\x92", 1, "t"), FLB_ERROR);
    assert_int_equal(flb_flush_worker(&s.out, "\xc1\xc1\xc1", 3, "t"), FLB_ERROR);
    assert_int_equal(flb_flush_worker(&s.out, "", 0, "t"), FLB_OK);
    stage_exit(&s);
    stage_free(&s);
}

static void test_a_damaged_end_does_not_take_what_is_before_it_along(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, NULL);
    struct buf b = chunk_of("a", 5);
    b.n -= 3;
    assert_int_equal(flush(&s, b, flb_flush_worker), FLB_OK);
    stage_exit(&s);
    assert_int_equal(receiver_records(s.receiver, GCW_LOGS), 4);
    assert_true(flb_logged(&s.out, "1 records could not be read"));
    stage_free(&s);
}

/* Memory for some of the chunk: the worker keeps its place, RETRY is answered, and no record comes twice. */
static void test_full_memory_is_backpressure_and_loses_nothing(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, (const char *[]){"memory_limit", "128KiB", "logs_batch_bytes", "8KiB", "ack", "queued",
                                    "ack_timeout", "50ms", "logs_compression", "none", NULL});
    receiver_hold(s.receiver);
    enum { CHUNKS = 12, RECORDS = 500 };
    int ok[CHUNKS] = {0}, retries = 0;
    char name[32];
    uint64_t deadline = clock_mono_ms() + 3 * WAIT_MS;
    for (int left = CHUNKS; left > 0;) {
        for (int i = 0; i < CHUNKS; i++) {
            if (ok[i])
                continue;
            snprintf(name, sizeof name, "chunk-%d", i);
            int answer = flush(&s, chunk_of(name, RECORDS), flb_flush_worker);
            assert_int_not_equal(answer, FLB_ERROR);
            ok[i] = answer == FLB_OK;
            left -= ok[i];
            retries += answer == FLB_RETRY;
        }
        assert_true(clock_mono_ms() < deadline);
        if (retries > 0)
            receiver_let(s.receiver);
    }
    assert_true(retries > 0);
    stage_exit(&s);
    assert_int_equal(receiver_records(s.receiver, GCW_LOGS), CHUNKS * RECORDS);
    stage_free(&s);
}

/* ---- threads and lives ---------------------------------------------------------------------------------------------
 */

struct pusher {
    struct flb_output *o;
    int number;
    pthread_t thread;
};

enum { PUSHERS = 8, PUSHES = 25, EACH = 20 };

static void *push(void *pusher)
{
    struct pusher *p = pusher;
    char name[32];
    for (int i = 0; i < PUSHES; i++) {
        snprintf(name, sizeof name, "w%d-%d", p->number, i);
        struct buf b = chunk_of(name, EACH);
        ENSURE(flb_flush(p->o, b.p, b.n, "t") == FLB_OK);
        buf_free(&b);
    }
    return NULL;
}

static void push_all(struct pusher *p, struct flb_output *o, int number)
{
    *p = (struct pusher){.o = o, .number = number};
    ENSURE(pthread_create(&p->thread, NULL, push, p) == 0);
}

static void test_many_workers_at_once_lose_and_double_nothing(void **state)
{
    (void)state;
    struct stage s;
    struct pusher p[PUSHERS];
    stage_open(&s, (const char *[]){"ack", "delivered", NULL});
    for (int i = 0; i < PUSHERS; i++)
        push_all(&p[i], &s.out, i);
    for (int i = 0; i < PUSHERS; i++)
        pthread_join(p[i].thread, NULL);
    stage_exit(&s);
    assert_int_equal(receiver_records(s.receiver, GCW_LOGS), PUSHERS * PUSHES * EACH);
    stage_free(&s);
}

/* As the host does it: the new definition is registered while the old instances work; they exit one after the other
 * while others still flush; then the old definition goes, and the new instances start. */
static void test_a_reload_disturbs_no_instance(void **state)
{
    (void)state;
    struct stage s;
    struct flb_output second, renewed;
    struct pusher p[4];
    stage_open(&s, (const char *[]){"ack", "delivered", NULL});
    assert_int_equal(flb_output_start(&s.host, &second, s.properties), 1);
    assert_true(flb_logged(&second, "grafana_cloud.1]"));
    for (int i = 0; i < 4; i++)
        push_all(&p[i], i < 2 ? &s.out : &second, i);
    void *old = flb_register_again(&s.host);
    for (int i = 0; i < 2; i++)
        pthread_join(p[i].thread, NULL);
    flb_output_stop(&s.out, true);
    for (int i = 2; i < 4; i++)
        pthread_join(p[i].thread, NULL);
    flb_output_stop(&second, true);
    flb_unregister(&s.host, old);
    assert_int_equal(flb_output_start(&s.host, &renewed, s.properties), 1);
    assert_true(flb_logged(&renewed, "grafana_cloud.0]"));
    struct buf b = chunk_of("after", 3);
    assert_int_equal(flb_flush_worker(&renewed, b.p, b.n, "t"), FLB_OK);
    buf_free(&b);
    flb_output_stop(&renewed, false);
    receiver_stop(s.receiver);
    assert_int_equal(receiver_records(s.receiver, GCW_LOGS), 4 * PUSHES * EACH + 3);
    flb_output_free(&second);
    flb_output_free(&renewed);
    stage_free(&s);
}

static void test_exit_ends_its_threads_and_tells_what_is_lost(void **state)
{
    (void)state;
    struct stage s;
    size_t before = threads_alive();
    stage_open(&s, (const char *[]){"ack", "queued", "shutdown_timeout", "50ms", NULL});
    receiver_hold(s.receiver);
    assert_int_equal(flush(&s, chunk_of("a", 5), flb_flush_worker), FLB_OK);
    flb_output_stop(&s.out, false);
    assert_true(flb_logged(
        &s.out,
        "2 [output:grafana_cloud:grafana_cloud.0] logs: 0 records delivered, 0 rejected, 0 expired, 5 dropped"));
    receiver_let(s.receiver);
    receiver_stop(s.receiver);
    stage_free(&s);
    assert_int_equal(threads_alive(), before);
}

static void test_our_threads_take_no_signals(void **state)
{
    (void)state;
    struct stage s;
    size_t ours = 0;
    stage_open(&s, NULL);
    DIR *d = opendir("/proc/self/task");
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        char path[300], line[256];
        bool named = false;
        unsigned long long blocked = 0;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", e->d_name);
        FILE *f = fopen(path, "r");
        while (f && fgets(line, sizeof line, f)) {
            named |= strncmp(line, "Name:\tgcw-", 10) == 0;
            if (strncmp(line, "SigBlk:", 7) == 0)
                blocked = strtoull(line + 7, NULL, 16);
        }
        if (f)
            fclose(f);
        ours += named;
        if (named)
            assert_true(blocked >> (SIGTERM - 1) & blocked >> (SIGHUP - 1) & blocked >> (SIGUSR1 - 1) & 1);
    }
    closedir(d);
    assert_int_equal(ours, 3);
    stage_exit(&s);
    stage_free(&s);
}

/* ---- metrics -------------------------------------------------------------------------------------------------------
 */

/* One context with one gauge, as CMetrics packs it. */
static struct buf gauge_chunk(double value)
{
    struct buf b = {0};
    pack_map(&b, 2);
    pack_str(&b, "meta");
    pack_json(&b, "{'cmetrics': {}, 'external': {}, 'processing': {'static_labels': []}}");
    pack_str(&b, "metrics");
    pack_array(&b, 1);
    pack_map(&b, 2);
    pack_str(&b, "meta");
    pack_json(&b, "{'ver': 2, 'type': 1, 'opts': {'ns': 'room', 'ss': '', 'name': 'celsius', 'desc': 'how warm'}, "
                  "'labels': ['room']}");
    pack_str(&b, "values");
    pack_array(&b, 1);
    pack_map(&b, 4);
    pack_str(&b, "ts");
    pack_uint(&b, (uint64_t)gcw_now_ns());
    pack_str(&b, "value");
    pack_double(&b, value);
    pack_str(&b, "labels");
    pack_json(&b, "['kitchen']");
    pack_str(&b, "hash");
    pack_uint(&b, 1);
    return b;
}

static void test_metrics_arrive_with_ack(void **state)
{
    (void)state;
    struct stage s = {.receiver = receiver_new()};
    struct seen seen = {.tenant = "", .labels = "__name__=\"room_celsius\",room=\"kitchen\""};
    flb_start(&s.host, &flb_5_1);
    stage_options(&s, (const char *[]){"metrics_url", receiver_url(s.receiver, GCW_METRICS), "ack", "delivered", NULL});
    assert_int_equal(flb_output_start(&s.host, &s.out, s.properties), 1);
    assert_int_equal(flush(&s, gauge_chunk(21.5), flb_flush_worker), FLB_OK);
    assert_int_equal(flush(&s, chunk_of("a", 5), flb_flush_worker), FLB_OK);
    assert_int_equal(flush(&s, chunk_of("a", 5), flb_flush_worker), FLB_OK);
    stage_exit(&s);
    receiver_each(s.receiver, GCW_METRICS, see, &seen);
    assert_int_equal(seen.count, 1);
    assert_true(flb_logged(&s.out, "logs come here, and logs_url is not set: they are passed over"));
    assert_true(flb_logged(&s.out, "logs: 2 chunks were passed over"));
    stage_free(&s);
}

static void test_one_instance_takes_both(void **state)
{
    (void)state;
    struct stage s = {.receiver = receiver_new()};
    flb_start(&s.host, &flb_4_2);
    stage_options(&s, (const char *[]){"metrics_url", receiver_url(s.receiver, GCW_METRICS), "logs_url",
                                       receiver_url(s.receiver, GCW_LOGS), NULL});
    assert_int_equal(flb_output_start(&s.host, &s.out, s.properties), 1);
    assert_int_equal(flush(&s, gauge_chunk(21.5), flb_flush_worker), FLB_OK);
    assert_int_equal(flush(&s, chunk_of("a", 5), flb_flush_worker), FLB_OK);
    stage_exit(&s);
    assert_int_equal(receiver_records(s.receiver, GCW_METRICS), 1);
    assert_int_equal(receiver_records(s.receiver, GCW_LOGS), 5);
    stage_free(&s);
}

static void test_a_host_that_hands_over_no_metrics_is_told_of(void **state)
{
    (void)state;
    struct stage s = {.receiver = receiver_new()};
    flb_start(&s.host, &flb_2_0);
    stage_options(&s, (const char *[]){"metrics_url", receiver_url(s.receiver, GCW_METRICS), NULL});
    assert_int_equal(flb_output_start(&s.host, &s.out, s.properties), 1);
    assert_true(flb_logged(&s.out, "this Fluent Bit hands no metrics to a module"));
    stage_exit(&s);
    stage_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_versions_structs_are_filled_and_not_overrun),
        cmocka_unit_test(test_what_is_not_zeroed_is_not_an_event_type),
        cmocka_unit_test(test_every_versions_api_serves),
        cmocka_unit_test(test_contexts_that_are_not_ours_are_let_be),
        cmocka_unit_test(test_a_bad_value_stops_the_start_and_is_named),
        cmocka_unit_test(test_no_destination_is_told_with_a_way_out),
        cmocka_unit_test(test_misspelt_keys_are_named),
        cmocka_unit_test(test_a_start_in_order_warns_of_nothing),
        cmocka_unit_test(test_names_of_the_loki_output_are_understood),
        cmocka_unit_test(test_delivered_is_answered_when_the_receiver_said_yes),
        cmocka_unit_test(test_a_late_answer_is_found_by_the_next_try),
        cmocka_unit_test(test_the_engines_own_thread_waits_no_longer_than_it_should),
        cmocka_unit_test(test_the_engines_own_thread_promises_less_unless_told),
        cmocka_unit_test(test_durable_is_answered_while_the_receiver_is_away),
        cmocka_unit_test(test_what_the_receiver_will_never_take_is_an_error),
        cmocka_unit_test(test_a_receiver_that_fails_is_tried_again_within),
        cmocka_unit_test(test_bytes_that_are_no_chunk_are_an_error),
        cmocka_unit_test(test_a_damaged_end_does_not_take_what_is_before_it_along),
        cmocka_unit_test(test_full_memory_is_backpressure_and_loses_nothing),
        cmocka_unit_test(test_many_workers_at_once_lose_and_double_nothing),
        cmocka_unit_test(test_a_reload_disturbs_no_instance),
        cmocka_unit_test(test_exit_ends_its_threads_and_tells_what_is_lost),
        cmocka_unit_test(test_our_threads_take_no_signals),
        cmocka_unit_test(test_metrics_arrive_with_ack),
        cmocka_unit_test(test_one_instance_takes_both),
        cmocka_unit_test(test_a_host_that_hands_over_no_metrics_is_told_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
