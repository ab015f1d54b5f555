/* Chunks through to a receiver: labels, metadata, tenants, groups, and what is counted. */
#include "../../support/host.h"
#include "hosts/fluent-bit/logs.h"
#include "pack.h"

struct desk {
    struct host h;
    struct logs *logs;
    struct buf chunk;
    struct chunk_count count;
    char warned[4000];
};

static void on_warn(void *user, const char *text)
{
    struct desk *d = user;
    size_t n = strlen(d->warned);
    snprintf(d->warned + n, sizeof d->warned - n, "%s\n", text);
}

static void desk_open(struct desk *d, const struct logs_options *o, const char *const *writer_options)
{
    gcw_error err = {0};
    *d = (struct desk){0};
    host_open(&d->h, writer_options);
    d->logs = logs_new(d->h.w, o, on_warn, d, &err);
    if (!d->logs)
        fail_msg("%s", err.text);
}

static void desk_take(struct desk *d, const char *tag)
{
    size_t done = 0;
    assert_int_equal(logs_chunk(d->logs, d->chunk.p, d->chunk.n, tag, NULL, &done, &d->count), GCW_OK);
    assert_int_equal(done, d->chunk.n);
}

/* Sends what was taken; no more can be taken then. */
static void desk_send(struct desk *d)
{
    logs_free(d->logs);
    d->logs = NULL;
    host_close(&d->h, WAIT_MS, GCW_OK, NULL);
}

static void desk_free(struct desk *d)
{
    logs_free(d->logs);
    host_free(&d->h);
    buf_free(&d->chunk);
}

/* ---- what arrived, an entry a text: labels | time | line | metadata @tenant ------------------------------------ */

struct arrived {
    char *text[4096];
    size_t count;
};

static void on_entry(void *user, const struct request *q, const struct taken *t)
{
    struct arrived *a = user;
    struct buf text = {0};
    assert_true(a->count < ARRAY_LEN(a->text));
    assert_true(buf_printf(&text, "%s | %lld | %s", t->labels, (long long)t->time, t->line));
    if (t->extra && *t->extra)
        assert_true(buf_printf(&text, " | %s", t->extra));
    if (*q->tenant)
        assert_true(buf_printf(&text, " @%s", q->tenant));
    assert_true(buf_cstr(&text));
    a->text[a->count++] = (char *)text.p;
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* All entries, in any order. */
static void assert_arrived(struct desk *d, const char *const *want, size_t n)
{
    struct arrived *a = calloc(1, sizeof *a);
    const char *sorted[64];
    assert_non_null(a);
    assert_true(n <= ARRAY_LEN(sorted));
    memcpy(sorted, want, n * sizeof *want);
    qsort(sorted, n, sizeof *sorted, by_text);
    receiver_each(d->h.receiver, GCW_LOGS, on_entry, a);
    qsort(a->text, a->count, sizeof *a->text, by_text);
    for (size_t i = 0; i < MIN(n, a->count); i++)
        assert_string_equal(a->text[i], sorted[i]);
    assert_int_equal(a->count, n);
    for (size_t i = 0; i < a->count; i++)
        free(a->text[i]);
    free(a);
}

#define ASSERT_ARRIVED(d, ...)                                                                                         \
    do {                                                                                                               \
        const char *const want[] = {__VA_ARGS__};                                                                      \
        assert_arrived(d, want, ARRAY_LEN(want));                                                                      \
    } while (0)

/* One record under options. */
static void assert_record(const struct logs_options *o, const char *body, const char *want)
{
    struct desk d;
    desk_open(&d, o, NULL);
    pack_v2(&d.chunk, 1, 2, "{}", body);
    desk_take(&d, "kube.var.log");
    assert_int_equal(d.count.records, 1);
    desk_send(&d);
    assert_arrived(&d, &want, 1);
    desk_free(&d);
}

/* ---- labels ---------------------------------------------------------------------------------------------------- */

static void test_without_labels_the_stream_is_the_hosts_default(void **state)
{
    (void)state;
    assert_record(&(struct logs_options){0}, "{'log':'x'}", "job=\"fluent-bit\" | 1000000002 | {\"log\":\"x\"}");
    assert_record(&(struct logs_options){.labels = "$none"}, "{'log':'x'}",
                  "job=\"fluent-bit\" | 1000000002 | {\"log\":\"x\"}");
    assert_record(&(struct logs_options){.labels = " , "}, "{'log':'x'}",
                  "job=\"fluent-bit\" | 1000000002 | {\"log\":\"x\"}");
}

static void test_labels_come_from_text_records_and_tags(void **state)
{
    (void)state;
    assert_record(&(struct logs_options){.labels = "job=app, env = prod"}, "{'log':'x'}",
                  "env=\"prod\",job=\"app\" | 1000000002 | {\"log\":\"x\"}");
    assert_record(&(struct logs_options){.labels = "job=app, level=$level, $k['pod'], part=$TAG[1], n=$n, none=$none"},
                  "{'log':'x','level':'warn','k':{'pod':'p1','node':'n1'},'n':7}",
                  "job=\"app\",k_pod=\"p1\",level=\"warn\",n=\"7\",part=\"var\" | 1000000002 | "
                  "{\"log\":\"x\",\"k\":{\"node\":\"n1\"}}");
    assert_record(&(struct logs_options){.label_keys = "$level,$k['a.b/c']"}, "{'level':'warn','k':{'a.b/c':true}}",
                  "k_a_b_c=\"true\",level=\"warn\" | 1000000002 | {\"k\":{}}");
}

static void test_of_labels_of_one_name_the_last_with_a_value_counts(void **state)
{
    (void)state;
    assert_record(&(struct logs_options){.labels = "a=one, a=$two, a=$three", .remove_label_keys = "off"},
                  "{'two':'2'}", "a=\"2\" | 1000000002 | {\"two\":\"2\"}");
}

static void test_keys_of_labels_stay_in_the_line_if_asked_for(void **state)
{
    (void)state;
    assert_record(&(struct logs_options){.label_keys = "$a", .remove_label_keys = "off", .remove_keys = "b"},
                  "{'a':'1','b':2,'c':3}", "a=\"1\" | 1000000002 | {\"a\":\"1\",\"c\":3}");
}

static void test_kubernetes_labels_become_labels(void **state)
{
    (void)state;
    assert_record(
        &(struct logs_options){.labels = "app=mine", .auto_kubernetes_labels = true},
        "{'kubernetes':{'labels':{'app.kubernetes.io/name':'web','9lives':'cat','n':5,'e':'','app':'theirs'}}}",
        "_9lives=\"cat\",app=\"theirs\",app_kubernetes_io_name=\"web\" | 1000000002 | "
        "{\"kubernetes\":{\"labels\":{\"app.kubernetes.io/name\":\"web\",\"9lives\":\"cat\",\"n\":5,\"e\":\"\",\"app\":"
        "\"theirs\"}}}");
    assert_record(&(struct logs_options){.auto_kubernetes_labels = true}, "{'kubernetes':'none'}",
                  "job=\"fluent-bit\" | 1000000002 | {\"kubernetes\":\"none\"}");
}

static void map_write(char *path, size_t cap, const char *text)
{
    snprintf(path, cap, "/tmp/gcw-label-map-XXXXXX");
    int fd = mkstemp(path);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void test_a_label_map_names_labels(void **state)
{
    (void)state;
    char path[64];
    map_write(
        path, sizeof path,
        "{\"kubernetes\": {\"pod_name\": \"pod\", \"labels\": {\"a.b\": \"app\"}}, \"st\\u0072eam\": \"stream\"}\n");
    assert_record(
        &(struct logs_options){.label_map_path = path},
        "{'kubernetes':{'pod_name':'p','labels':{'a.b':'web','c':1}},'stream':'stdout','log':'x'}",
        "app=\"web\",pod=\"p\",stream=\"stdout\" | 1000000002 | {\"kubernetes\":{\"labels\":{\"c\":1}},\"log\":\"x\"}");
    remove(path);
}

static void test_a_bad_label_map_says_where(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } rows[] = {{"", "byte 1"},
                {"[]", "byte 1"},
                {"{\"a\":\"b\"} x", "byte 11"},
                {"{\"a\":\"b\"", "byte 9"},
                {"{\"a\":1}", "label names"},
                {"{\"a\":[]}", "label names"},
                {"{\"a\":\"\"}", "empty"}};
    struct host h;
    host_open(&h, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char path[64];
        gcw_error err = {0};
        map_write(path, sizeof path, rows[i].text);
        assert_null(logs_new(h.w, &(struct logs_options){.label_map_path = path}, NULL, NULL, &err));
        assert_int_equal(err.code, GCW_ERR_INVALID);
        if (!strstr(err.text, "label_map_path: /tmp/gcw-label-map") || !strstr(err.text, rows[i].why))
            fail_msg("%s: %s", rows[i].text, err.text);
        remove(path);
    }
    gcw_error err = {0};
    assert_null(logs_new(h.w, &(struct logs_options){.label_map_path = "/nonexistent/map"}, NULL, NULL, &err));
    assert_int_equal(err.code, GCW_ERR_IO);
    assert_non_null(strstr(err.text, "label_map_path: /nonexistent/map: "));
    host_free(&h);
}

/* More label sets than the table of streams and the writer's guard hold at a time. */
static void test_any_number_of_label_sets_passes_through_a_bounded_table(void **state)
{
    (void)state;
    enum { SETS = 2000 };
    struct desk d;
    desk_open(&d, &(struct logs_options){.labels = "v=$v"}, (const char *const[]){"max_streams", "50", NULL});
    for (int round = 0; round < 2; round++)
        for (unsigned i = 0; i < SETS; i++) {
            char body[64];
            snprintf(body, sizeof body, "{'v':'%u','round':%d}", i, round);
            pack_v2(&d.chunk, 1 + (unsigned)round, i, "{}", body);
            if (i % 40 == 39) { /* between batches streams can go */
                desk_take(&d, NULL);
                assert_int_equal(gcw_writer_flush(d.h.w, WAIT_MS), GCW_OK);
                d.chunk.n = 0;
            }
        }
    assert_int_equal(d.count.records, 2 * SETS);
    assert_true(host_stats(&d.h, GCW_LOGS).interned <= 50);
    assert_string_equal(d.warned, "");
    desk_send(&d);
    struct arrived *a = calloc(1, sizeof *a);
    assert_non_null(a);
    receiver_each(d.h.receiver, GCW_LOGS, on_entry, a);
    assert_int_equal(a->count, 2 * SETS);
    qsort(a->text, a->count, sizeof *a->text, by_text);
    for (size_t i = 0; i < a->count; i++) {
        assert_true(i == 0 || strcmp(a->text[i - 1], a->text[i]) != 0);
        free(i > 0 ? a->text[i - 1] : NULL);
    }
    free(a->text[a->count - 1]);
    free(a);
    desk_free(&d);
}

/* ---- metadata -------------------------------------------------------------------------------------------------- */

static void test_metadata_comes_from_records(void **state)
{
    (void)state;
    assert_record(
        &(struct logs_options){.structured_metadata = "trace=$t, where=here, $k['x'], none=$none"},
        "{'log':'x','t':'abc','k':{'x':1.5}}",
        "job=\"fluent-bit\" | 1000000002 | {\"log\":\"x\",\"k\":{}} | trace=\"abc\",where=\"here\",k_x=\"1.5\"");
}

static void test_whole_maps_become_metadata_and_single_keys_win(void **state)
{
    (void)state;
    assert_record(
        &(struct logs_options){.structured_metadata = "a=mine", .structured_metadata_map_keys = "$k['m'],$none,$log"},
        "{'log':'x','k':{'m':{'a':'theirs','b.c':2,'d':[1,{'e':null}],'f':'','g':true}}}",
        "job=\"fluent-bit\" | 1000000002 | {\"k\":{}} | b_c=\"2\",d=\"[1,{\"e\":null}]\",g=\"true\",a=\"mine\"");
}

/* ---- tenants --------------------------------------------------------------------------------------------------- */

static void test_records_go_to_the_tenant_they_name(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, &(struct logs_options){.tenant_id_key = "$k['tenant']"},
              (const char *const[]){"logs_tenant", "home", NULL});
    pack_v2(&d.chunk, 1, 0, "{}", "{'k':{'tenant':'one'}}");
    pack_v2(&d.chunk, 2, 0, "{}", "{'k':{'tenant':'two'}}");
    pack_v2(&d.chunk, 3, 0, "{}", "{'k':{'tenant':'one'}}");
    pack_v2(&d.chunk, 4, 0, "{}", "{'k':{'tenant':12345}}");
    desk_take(&d, NULL);
    assert_string_equal(d.warned, "");
    pack_v2(&d.chunk, 5, 0, "{}", "{'k':{}}");
    pack_v2(&d.chunk, 6, 0, "{}", "{'k':{'tenant':''}}");
    d.count = (struct chunk_count){0};
    desk_take(&d, NULL);
    assert_int_equal(d.count.records, 6);
    assert_non_null(strstr(d.warned, "tenant_id_key"));
    assert_ptr_equal(strchr(d.warned, '\n'), strrchr(d.warned, '\n')); /* said once */
    desk_send(&d);
#define ONE   "job=\"fluent-bit\" | 1000000000 | {\"k\":{\"tenant\":\"one\"}} @one"
#define TWO   "job=\"fluent-bit\" | 2000000000 | {\"k\":{\"tenant\":\"two\"}} @two"
#define THREE "job=\"fluent-bit\" | 3000000000 | {\"k\":{\"tenant\":\"one\"}} @one"
#define FOUR  "job=\"fluent-bit\" | 4000000000 | {\"k\":{\"tenant\":12345}} @12345"
    ASSERT_ARRIVED(&d, ONE, TWO, THREE, FOUR, ONE, TWO, THREE, FOUR,
                   "job=\"fluent-bit\" | 5000000000 | {\"k\":{}} @home",
                   "job=\"fluent-bit\" | 6000000000 | {\"k\":{\"tenant\":\"\"}} @home");
    desk_free(&d);
}

static void test_a_tenant_that_cannot_be_is_refused_alone(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, &(struct logs_options){.tenant_id_key = "tenant"},
              (const char *const[]){"logs_auth", "tenant", "logs_tenant", "home", NULL});
    pack_v2(&d.chunk, 1, 0, "{}", "{'tenant':'a/b'}");
    pack_v2(&d.chunk, 2, 0, "{}", "{'tenant':'ok'}");
    desk_take(&d, NULL);
    assert_int_equal(d.count.records, 1);
    assert_int_equal(d.count.refused, 1);
    assert_non_null(strstr(d.warned, "a/b"));
    desk_send(&d);
    ASSERT_ARRIVED(&d, "job=\"fluent-bit\" | 2000000000 | {\"tenant\":\"ok\"} @ok");
    desk_free(&d);
}

/* ---- OpenTelemetry --------------------------------------------------------------------------------------------- */

static void pack_group(struct buf *b)
{
    pack_array(b, 2);
    pack_array(b, 2);
    pack_time(b, 0xffffffff, 0);
    pack_json(b, "{'schema':'otlp','resource_id':0,'scope_id':0}");
    pack_json(b, "{'resource':{'attributes':{'service.name':'shop','host':{'name':'h1'}},'schema_url':'u'},"
                 "'scope':{'name':'lib','version':'1.2','attributes':{'s':'t'},'dropped_attributes_count':0}}");
}

static void pack_group_end(struct buf *b)
{
    pack_array(b, 2);
    pack_array(b, 2);
    pack_time(b, 0xfffffffe, 0);
    pack_json(b, "{}");
    pack_json(b, "{}");
}

static void pack_otlp(struct buf *b, uint32_t seconds)
{
    pack_array(b, 2);
    pack_array(b, 2);
    pack_time(b, seconds, 0);
    pack_map(b, 1);
    pack_str(b, "otlp");
    pack_map(b, 9);
    pack_str(b, "observed_timestamp"), pack_uint(b, UINT64_C(1700000000123456789));
    pack_str(b, "severity_number"), pack_uint(b, 9);
    pack_str(b, "severity_text"), pack_str(b, "Info");
    pack_str(b, "attributes"),
        pack_json(b, "{'http.method':'GET','n':5,'deep':{'a.':{'.b':1.5},'!':{'c':2},'9':3},'list':[1,'x'],'e':''}");
    pack_str(b, "trace_id"), pack_bin(b, "\x0a\x0b\x0c\x0d\x0e\x0f\x00\x01\x02\x03\x04\x05\x06\x07\x08\xff", 16);
    pack_str(b, "span_id"), pack_bin(b, "\0\0\0\0\0\0\0\0", 8);
    pack_str(b, "trace_flags"), pack_uint(b, 1);
    pack_str(b, "dropped_attributes_count"), pack_uint(b, 0);
    pack_str(b, "else"), pack_json(b, "[{}]");
    pack_json(b, "{'log':'x'}");
}

#define OTLP_RECORD                                                                                                    \
    "observed_timestamp=\"1700000000123456789\",severity_number=\"9\",severity_text=\"Info\",http_method=\"GET\","     \
    "n=\"5\",deep_a_b=\"1.5\",deep_c=\"2\",deep_9=\"3\",list=\"[1,\"x\"]\",trace_id="                                  \
    "\"0a0b0c0d0e0f000102030405060708ff\",flags=\"1\""
#define OTLP_GROUP "service_name=\"shop\",host_name=\"h1\",scope_name=\"lib\",scope_version=\"1.2\",s=\"t\""

static void test_groups_and_their_records_carry_otel_metadata(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, &(struct logs_options){0}, NULL);
    pack_group(&d.chunk);
    pack_otlp(&d.chunk, 1);
    pack_v2(&d.chunk, 2, 0, "{}", "{'log':'y'}");
    pack_group_end(&d.chunk);
    pack_otlp(&d.chunk, 3);
    pack_v1(&d.chunk, 4, 0, "{'log':'z'}");
    desk_take(&d, NULL);
    pack_v1(&d.chunk, 5, 0, "{'log':'z'}");
    assert_int_equal(d.count.records, 4);
    assert_int_equal(d.count.skipped, 0);
    desk_send(&d);
    ASSERT_ARRIVED(&d, "job=\"fluent-bit\" | 1000000000 | {\"log\":\"x\"} | " OTLP_GROUP "," OTLP_RECORD,
                   "job=\"fluent-bit\" | 2000000000 | {\"log\":\"y\"} | " OTLP_GROUP,
                   "job=\"fluent-bit\" | 3000000000 | {\"log\":\"x\"} | " OTLP_RECORD,
                   "job=\"fluent-bit\" | 4000000000 | {\"log\":\"z\"}");
    desk_free(&d);
}

static void test_otel_metadata_can_be_off_and_resources_be_labels(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d,
              &(struct logs_options){.labels = "service_name=$RESOURCE['service.name'],scope=$SCOPE['name'],"
                                               "level=$METADATA['otlp']['severity_text']",
                                     .structured_metadata = "trace=$METADATA['otlp']['trace_id']",
                                     .otel_metadata = "off"},
              NULL);
    pack_group(&d.chunk);
    pack_otlp(&d.chunk, 1);
    pack_v2(&d.chunk, 2, 0, "{}", "{'RESOURCE':{'service.name':'own'}}"); /* the record's own key comes first */
    pack_group_end(&d.chunk);
    pack_v2(&d.chunk, 3, 0, "{}", "{'log':'y'}");
    desk_take(&d, NULL);
    desk_send(&d);
    ASSERT_ARRIVED(&d,
                   "level=\"Info\",scope=\"lib\",service_name=\"shop\" | 1000000000 | {\"log\":\"x\"} | "
                   "trace=\"0a0b0c0d0e0f000102030405060708ff\"",
                   "scope=\"lib\",service_name=\"own\" | 2000000000 | {\"RESOURCE\":{}}",
                   "job=\"fluent-bit\" | 3000000000 | {\"log\":\"y\"}");
    desk_free(&d);
}

static void test_a_group_ends_with_its_chunk(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, &(struct logs_options){0}, NULL);
    pack_group(&d.chunk);
    desk_take(&d, NULL);
    d.chunk.n = 0;
    pack_v2(&d.chunk, 1, 0, "{}", "{'log':'x'}");
    desk_take(&d, NULL);
    desk_send(&d);
    ASSERT_ARRIVED(&d, "job=\"fluent-bit\" | 1000000000 | {\"log\":\"x\"}");
    desk_free(&d);
}

/* ---- what does not go through ---------------------------------------------------------------------------------- */

static void test_damage_costs_no_record_before_it(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, &(struct logs_options){0}, NULL);
    pack_v2(&d.chunk, 1, 0, "{}", "{'log':'one'}");
    pack_json(&d.chunk, "'no record'");
    pack_v1(&d.chunk, 2, 0, "{'log':'two'}");
    pack_v1(&d.chunk, 3, 0, "{'log':'three'}");
    d.chunk.n -= 3;
    desk_take(&d, NULL);
    assert_int_equal(d.count.records, 2);
    assert_int_equal(d.count.skipped, 2);
    assert_int_equal(d.count.refused, 0);
    desk_send(&d);
    ASSERT_ARRIVED(&d, "job=\"fluent-bit\" | 1000000000 | {\"log\":\"one\"}",
                   "job=\"fluent-bit\" | 2000000000 | {\"log\":\"two\"}");
    desk_free(&d);
}

static void test_lines_that_are_too_long_are_refused_and_counted(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, &(struct logs_options){.drop_single_key = "raw"},
              (const char *const[]){"max_line_bytes", "1KiB", "line_policy", "reject", NULL});
    for (unsigned i = 0; i < 3; i++) {
        char *text = calloc(1, 2000);
        assert_non_null(text);
        memset(text, 'x', i == 1 ? 10 : 1500);
        pack_array(&d.chunk, 2);
        pack_time(&d.chunk, i, 0);
        pack_map(&d.chunk, 1);
        pack_str(&d.chunk, "log"), pack_str(&d.chunk, text);
        free(text);
    }
    desk_take(&d, NULL);
    assert_int_equal(d.count.records, 1);
    assert_int_equal(d.count.refused, 2);
    assert_ptr_equal(strchr(d.warned, '\n'), strrchr(d.warned, '\n')); /* said once */
    assert_true(*d.warned);
    desk_send(&d);
    ASSERT_ARRIVED(&d, "job=\"fluent-bit\" | 1000000000 | xxxxxxxxxx");
    desk_free(&d);
}

/* The writer is full again and again; the chunk lies elsewhere each time it is gone on with. */
static void test_a_chunk_is_gone_on_with_where_it_stopped(void **state)
{
    (void)state;
    enum { RECORDS = 3000 };
    struct desk d;
    unsigned stops = 0;
    size_t done = 0;
    gcw_status status;
    desk_open(&d, &(struct logs_options){.labels = "s=$RESOURCE['service.name']"},
              (const char *const[]){"memory_limit", "1MiB", "overflow", "error", "logs_batch_bytes", "64KiB",
                                    "metrics_batch_bytes", "64KiB", NULL});
    pack_group(&d.chunk);
    for (unsigned i = 0; i < RECORDS; i++) {
        char body[1100], filler[1001];
        memset(filler, 'a' + (int)(i % 26), 1000);
        filler[1000] = 0;
        snprintf(body, sizeof body, "{'n':%u,'f':'%s'}", i, filler);
        pack_v2(&d.chunk, i, 0, "{}", body);
    }
    pack_group_end(&d.chunk);
    receiver_hold(d.h.receiver);
    do {
        uint8_t *elsewhere = malloc(d.chunk.n);
        size_t before = done;
        assert_non_null(elsewhere);
        memcpy(elsewhere, d.chunk.p, d.chunk.n);
        status = logs_chunk(d.logs, elsewhere, d.chunk.n, NULL, NULL, &done, &d.count);
        free(elsewhere);
        assert_true(status == GCW_OK || status == GCW_ERR_FULL);
        assert_true(done >= before);
        if (status == GCW_ERR_FULL) {
            stops++;
            receiver_let(d.h.receiver);
            assert_int_equal(gcw_writer_flush(d.h.w, WAIT_MS), GCW_OK);
        }
    } while (status != GCW_OK);
    assert_true(stops > 0);
    assert_int_equal(done, d.chunk.n);
    assert_int_equal(d.count.records, RECORDS);
    assert_int_equal(d.count.skipped + d.count.refused, 0);
    desk_send(&d);
    struct arrived *a = calloc(1, sizeof *a);
    assert_non_null(a);
    receiver_each(d.h.receiver, GCW_LOGS, on_entry, a);
    assert_int_equal(a->count, RECORDS);
    for (size_t i = 0; i < a->count; i++) { /* one stream: in order, in the group to the end */
        char want[100];
        snprintf(want, sizeof want, "s=\"shop\" | %zu000000000 | {\"n\":%zu,", i, i);
        if (i == 0)
            snprintf(want, sizeof want, "s=\"shop\" | 0 | {\"n\":0,");
        assert_memory_equal(a->text[i], want, strlen(want));
        assert_non_null(strstr(a->text[i], " | service_name=\"shop\""));
        free(a->text[i]);
    }
    free(a);
    desk_free(&d);
}

/* ---- options --------------------------------------------------------------------------------------------------- */

static void test_bad_options_are_named_with_what_is_allowed(void **state)
{
    (void)state;
    static const struct {
        struct logs_options o;
        const char *option, *says;
    } rows[] = {{{.labels = "job"}, "labels: ", "name=text"},
                {{.labels = "=x"}, "labels: ", "name=text"},
                {{.labels = "a=1,job="}, "labels: ", "\"job=\""},
                {{.labels = "a=$b[x]"}, "labels: $b[x]: ", "in brackets"},
                {{.labels = "$-x"}, "labels: $-x: ", "a key"},
                {{.label_keys = "level"}, "label_keys: ", "begin with '$'"},
                {{.label_keys = "$a['b"}, "label_keys: ", "ends with"},
                {{.label_keys = "$0"}, "label_keys: ", "named after"},
                {{.structured_metadata = "x"}, "structured_metadata: ", "name=text"},
                {{.structured_metadata_map_keys = "k"}, "structured_metadata_map_keys: ", "begin with '$'"},
                {{.structured_metadata_map_keys = "$a $b"}, "structured_metadata_map_keys: ", "one key"},
                {{.remove_keys = "$a.b"}, "remove_keys: ", "$a['b']"},
                {{.remove_keys = "a["}, "remove_keys: ", "in brackets"},
                {{.tenant_id_key = "$a and $b"}, "tenant_id_key: ", "one key"},
                {{.drop_single_key = "maybe"}, "drop_single_key: \"maybe\"", "on|off|raw"},
                {{.line_format = "xml"}, "line_format: \"xml\"", "json|key_value"},
                {{.otel_metadata = "x"}, "otel_metadata: \"x\"", "on|off"},
                {{.escape_unicode = "x"}, "escape_unicode: \"x\"", "on|off"},
                {{.remove_label_keys = "x"}, "remove_label_keys: \"x\"", "on|off"}};
    struct host h;
    host_open(&h, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        gcw_error err = {0};
        assert_null(logs_new(h.w, &rows[i].o, NULL, NULL, &err));
        assert_int_equal(err.code, GCW_ERR_INVALID);
        if (strncmp(err.text, rows[i].option, strlen(rows[i].option)) != 0 || !strstr(err.text, rows[i].says))
            fail_msg("%s", err.text);
    }
    host_free(&h);
}

static void test_what_will_not_do_what_it_seems_to_is_told(void **state)
{
    (void)state;
    static const struct {
        struct logs_options o;
        const char *says; /* NULL = nothing */
    } rows[] = {{{.labels = "a=b,c=$d,e=$TAG[1].x", .label_keys = "$a['b.c']"}, NULL},
                {{.labels = "a=x$b"}, "labels: a=x$b: "},
                {{.labels = "a=$1"}, "labels: $1: "},
                {{.label_keys = "$a.b"}, "nested keys are written $a['b']"},
                {{.drop_single_key = "RAW", .line_format = "JSON", .remove_keys = "a,$b,c['d'],e.f"}, NULL}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct desk d;
        desk_open(&d, &rows[i].o, NULL);
        if (rows[i].says ? !strstr(d.warned, rows[i].says) : *d.warned)
            fail_msg("\"%s\" instead of \"%s\"", d.warned, rows[i].says ? rows[i].says : "");
        desk_free(&d);
    }
}

static void test_remove_keys_takes_names_and_patterns(void **state)
{
    (void)state;
    assert_record(&(struct logs_options){.remove_keys = "a, $b, c['d'], e.f, none", .labels = "job=j"},
                  "{'a':1,'b':2,'c':{'d':3,'x':4},'e.f':5,'e':6,'log':'x'}",
                  "job=\"j\" | 1000000002 | {\"c\":{\"x\":4},\"e\":6,\"log\":\"x\"}");
}

static void test_lines_follow_their_options(void **state)
{
    (void)state;
    assert_record(&(struct logs_options){.drop_single_key = "on"}, "{'log':'x'}",
                  "job=\"fluent-bit\" | 1000000002 | \"x\"");
    assert_record(&(struct logs_options){.drop_single_key = "raw", .label_keys = "$level"},
                  "{'log':'x','level':'warn'}", "level=\"warn\" | 1000000002 | x");
    assert_record(&(struct logs_options){.line_format = "key_value", .label_keys = "$level"},
                  "{'log':'x','level':'warn','n':1}", "level=\"warn\" | 1000000002 | log=\"x\" n=1");
    assert_record(&(struct logs_options){0}, "{'log':'\xc3\xa9'}",
                  "job=\"fluent-bit\" | 1000000002 | {\"log\":\"\\u00e9\"}");
    assert_record(&(struct logs_options){.escape_unicode = "off"}, "{'log':'\xc3\xa9'}",
                  "job=\"fluent-bit\" | 1000000002 | {\"log\":\"\xc3\xa9\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_labels_the_stream_is_the_hosts_default),
        cmocka_unit_test(test_labels_come_from_text_records_and_tags),
        cmocka_unit_test(test_of_labels_of_one_name_the_last_with_a_value_counts),
        cmocka_unit_test(test_keys_of_labels_stay_in_the_line_if_asked_for),
        cmocka_unit_test(test_kubernetes_labels_become_labels),
        cmocka_unit_test(test_a_label_map_names_labels),
        cmocka_unit_test(test_a_bad_label_map_says_where),
        cmocka_unit_test(test_any_number_of_label_sets_passes_through_a_bounded_table),
        cmocka_unit_test(test_metadata_comes_from_records),
        cmocka_unit_test(test_whole_maps_become_metadata_and_single_keys_win),
        cmocka_unit_test(test_records_go_to_the_tenant_they_name),
        cmocka_unit_test(test_a_tenant_that_cannot_be_is_refused_alone),
        cmocka_unit_test(test_groups_and_their_records_carry_otel_metadata),
        cmocka_unit_test(test_otel_metadata_can_be_off_and_resources_be_labels),
        cmocka_unit_test(test_a_group_ends_with_its_chunk),
        cmocka_unit_test(test_damage_costs_no_record_before_it),
        cmocka_unit_test(test_lines_that_are_too_long_are_refused_and_counted),
        cmocka_unit_test(test_a_chunk_is_gone_on_with_where_it_stopped),
        cmocka_unit_test(test_bad_options_are_named_with_what_is_allowed),
        cmocka_unit_test(test_what_will_not_do_what_it_seems_to_is_told),
        cmocka_unit_test(test_remove_keys_takes_names_and_patterns),
        cmocka_unit_test(test_lines_follow_their_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
