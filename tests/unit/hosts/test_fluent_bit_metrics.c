/* CMetrics contexts to series: each type, labels, times, damage, and a writer that is full. */
#include "metrics_rig.h"

#define S "000000000" /* ns of a second */

/* ---- types ----------------------------------------------------------------------------------------------------------
 */

static void test_counter_gauge_and_untyped_become_one_series_a_label_set(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, NULL);
    rig_feed(&r, "{'meta':{'cmetrics':{},'external':{},'processing':{'static_labels':[]}},'metrics':["
                 "{'meta':{'ver':2,'type':0,'opts':{'ns':'app','ss':'http','name':'requests_total','desc':'Requests'},"
                 "'labels':['method','code'],'aggregation_type':2},'values':["
                 "{'ts':1700000000123456789,'value':5.0,'labels':['GET','200'],'hash':1},"
                 "{'ts':1700000000123456789,'value':1.5,'labels':['PUT','500'],'hash':2}]},"
                 "{'meta':{'ver':2,'type':1,'opts':{'ns':'','ss':'','name':'up','desc':'Up'},'labels':[]},"
                 "'values':[{'ts':1700000001000000001,'value':1.0,'hash':0}]},"
                 "{'meta':{'ver':2,'type':4,'opts':{'ns':'app','ss':'','name':'thing','desc':'x'},'labels':[]},"
                 "'values':[{'ts':1700000002000000000,'value':-0.25,'hash':0}]}]}");
    EXPECT(&r, "__name__=\"app_http_requests_total\",code=\"200\",method=\"GET\" 5 @1700000000123",
           "__name__=\"app_http_requests_total\",code=\"500\",method=\"PUT\" 1.5 @1700000000123",
           "__name__=\"app_thing\" -0.25 @1700000002000", "__name__=\"up\" 1 @1700000001000");
}

static void test_integers_are_taken_from_their_exact_field(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, NULL);
    rig_feed_metric(&r, "{'type':1,'opts':{'name':'m'},'labels':['l']}",
                    "[{'ts':1" S ",'value':0.0,'value_type':1,'value_int64':-9007199254740991,'labels':['a']},"
                    "{'ts':1" S ",'value':0.0,'value_type':2,'value_uint64':18446744073709549568,'labels':['b']},"
                    "{'ts':1" S ",'value':3.0,'value_type':1,'labels':['c']},"
                    "{'ts':1" S ",'value':7,'labels':['d']}]");
    EXPECT(&r, "__name__=\"m\",l=\"a\" -9007199254740991 @1000", "__name__=\"m\",l=\"b\" 1.844674407370955e+19 @1000",
           "__name__=\"m\",l=\"c\" 3 @1000", "__name__=\"m\",l=\"d\" 7 @1000");
}

#define HISTOGRAM "{'type':2,'opts':{'name':'h'},'labels':['l'],'buckets':[0.1,1.0,2.5]}"

static void test_cumulative_buckets_are_passed_on_and_others_summed_up(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, NULL);
    rig_feed_metric(&r, HISTOGRAM,
                    "[{'ts':1" S ",'histogram':{'buckets':[1,3,3,6],'sum':7.5,'count':6},'labels':['cumulative']},"
                    "{'ts':1" S ",'histogram':{'buckets':[1,2,0,3],'sum':7.5,'count':6},'labels':['each']}]");
    EXPECT(&r, "__name__=\"h_bucket\",l=\"cumulative\",le=\"+Inf\" 6 @1000",
           "__name__=\"h_bucket\",l=\"cumulative\",le=\"0.1\" 1 @1000",
           "__name__=\"h_bucket\",l=\"cumulative\",le=\"1\" 3 @1000",
           "__name__=\"h_bucket\",l=\"cumulative\",le=\"2.5\" 3 @1000",
           "__name__=\"h_bucket\",l=\"each\",le=\"+Inf\" 6 @1000",
           "__name__=\"h_bucket\",l=\"each\",le=\"0.1\" 1 @1000", "__name__=\"h_bucket\",l=\"each\",le=\"1\" 3 @1000",
           "__name__=\"h_bucket\",l=\"each\",le=\"2.5\" 3 @1000", "__name__=\"h_count\",l=\"cumulative\" 6 @1000",
           "__name__=\"h_count\",l=\"each\" 6 @1000", "__name__=\"h_sum\",l=\"cumulative\" 7.5 @1000",
           "__name__=\"h_sum\",l=\"each\" 7.5 @1000");
}

/* Caught in the middle of an update neither reading fits: where it came from decides. */
static void test_buckets_that_fit_neither_reading_are_read_as_their_source_counts(void **state)
{
    (void)state;
    static const char *const producer[] = {"{}", "{'cmetrics':{'producer':'opentelemetry'}}"};
    static const char *const want[][4] = {{"6", "1", "3", "5"}, {"14", "1", "4", "9"}};
    for (int i = 0; i < 2; i++) {
        struct rig r;
        struct buf t = {0};
        char line[4][100];
        rig_open(&r, NULL);
        assert_true(
            buf_printf(&t,
                       "{'meta':%s,'metrics':[{'meta':{'type':2,'opts':{'name':'h'},'labels':[],'buckets':[1.0,2.0,3.0]"
                       "},'values':[{'ts':1" S ",'histogram':{'buckets':[1,3,5,5],'sum':1.0,'count':6}}]}]}",
                       producer[i]) &&
            buf_cstr(&t));
        rig_feed(&r, (const char *)t.p);
        buf_free(&t);
        for (int k = 0; k < 4; k++)
            snprintf(line[k], sizeof line[k], "__name__=\"h_bucket\",le=\"%s\" %s @1000",
                     ((const char *[]){"+Inf", "1", "2", "3"})[k], want[i][k]);
        EXPECT(&r, line[0], line[1], line[2], line[3], "__name__=\"h_count\" 6 @1000", "__name__=\"h_sum\" 1 @1000");
    }
}

static void test_a_histogram_without_bounds_still_has_its_count(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, NULL);
    rig_feed_metric(&r, "{'type':2,'opts':{'name':'h'},'labels':[],'buckets':[]}",
                    "[{'ts':1" S ",'histogram':{'buckets':[0],'sum':4.0,'count':2}}]");
    EXPECT(&r, "__name__=\"h_bucket\",le=\"+Inf\" 2 @1000", "__name__=\"h_count\" 2 @1000",
           "__name__=\"h_sum\" 4 @1000");
}

static void test_summaries_show_quantiles_only_when_set(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, NULL);
    rig_feed_metric(
        &r, "{'type':3,'opts':{'name':'s'},'labels':['l'],'quantiles':[0.5,0.99]}",
        "[{'ts':1" S ",'summary':{'quantiles_set':1,'quantiles':[#2.0,#-3.5],'count':4,'sum':#10.25},'labels':['a']},"
        "{'ts':1" S ",'summary':{'quantiles_set':0,'quantiles':[0,0],'count':4,'sum':#10.25},'labels':['b']}]");
    EXPECT(&r, "__name__=\"s\",l=\"a\",quantile=\"0.5\" 2 @1000", "__name__=\"s\",l=\"a\",quantile=\"0.99\" -3.5 @1000",
           "__name__=\"s_count\",l=\"a\" 4 @1000", "__name__=\"s_count\",l=\"b\" 4 @1000",
           "__name__=\"s_sum\",l=\"a\" 10.25 @1000", "__name__=\"s_sum\",l=\"b\" 10.25 @1000");
}

#define EXP "{'type':5,'opts':{'name':'e'},'labels':[],'aggregation_type':2}"

/* Scale 0: base 2. Offset -1: (0.5, 1], (1, 2]; negative offset 1: [-4, -2). */
static void test_exponential_histograms_become_classic_buckets(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, NULL);
    rig_feed_metric(
        &r, EXP,
        "[{'ts':1" S ",'exp_histogram':{'scale':0,'zero_count':2,'zero_threshold':0.0,'positive_offset':-1,"
        "'positive_buckets':[3,4],'negative_offset':1,'negative_buckets':[1],'count':10,'sum_set':1,'sum':#5.5}}]");
    EXPECT(&r, "__name__=\"e_bucket\",le=\"+Inf\" 10 @1000", "__name__=\"e_bucket\",le=\"-2\" 1 @1000",
           "__name__=\"e_bucket\",le=\"0\" 3 @1000", "__name__=\"e_bucket\",le=\"1\" 6 @1000",
           "__name__=\"e_bucket\",le=\"2\" 10 @1000", "__name__=\"e_count\" 10 @1000", "__name__=\"e_sum\" 5.5 @1000");
}

static void test_exponential_histograms_follow_scale_and_zero_threshold(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, NULL);
    rig_feed_metric(
        &r, EXP,
        "[{'ts':1" S ",'exp_histogram':{'scale':-1,'zero_count':1,'zero_threshold':0.5,'positive_offset':0,"
        "'positive_buckets':[2],'negative_offset':0,'negative_buckets':[],'count':3,'sum_set':0,'sum':0}}]");
    rig_feed_metric(
        &r, EXP,
        "[{'ts':2" S ",'exp_histogram':{'scale':1,'zero_count':0,'zero_threshold':0.0,'positive_offset':2,"
        "'positive_buckets':[5],'negative_offset':0,'negative_buckets':[],'count':5,'sum_set':0,'sum':0}}]");
    EXPECT(&r, "__name__=\"e_bucket\",le=\"+Inf\" 3 @1000", "__name__=\"e_bucket\",le=\"+Inf\" 5 @2000",
           "__name__=\"e_bucket\",le=\"-0.5\" 0 @1000", "__name__=\"e_bucket\",le=\"0\" 1 @1000",
           "__name__=\"e_bucket\",le=\"0.5\" 1 @1000", "__name__=\"e_bucket\",le=\"2.8284271247461903\" 5 @2000",
           "__name__=\"e_bucket\",le=\"4\" 3 @1000", "__name__=\"e_count\" 3 @1000", "__name__=\"e_count\" 5 @2000");
}

/* ---- labels and names
 * --------------------------------------------------------------------------------------------------- */

static void test_nil_empty_and_missing_labels_are_absent(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, NULL);
    rig_feed_metric(&r, "{'type':1,'opts':{'name':'m'},'labels':['a',nil,'c']}",
                    "[{'ts':1" S ",'value':1.0,'labels':['x','y','z']},{'ts':1" S ",'value':2.0,'labels':['',nil,'z']},"
                    "{'ts':1" S ",'value':3.0,'labels':['x']},{'ts':1" S ",'value':4.0}]");
    EXPECT(&r, "__name__=\"m\" 4 @1000", "__name__=\"m\",a=\"x\" 3 @1000", "__name__=\"m\",a=\"x\",c=\"z\" 1 @1000",
           "__name__=\"m\",c=\"z\" 2 @1000");
}

/* The metric's own label, the context's static one, add_label: the first of them that is there. */
static void test_a_metric_label_wins_over_a_static_one_and_that_over_add_label(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, &(struct metrics_options){.add_label = "env  prod,zone a\\, b , job added, host=h=1"});
    rig_feed(&r, "{'meta':{'processing':{'static_labels':[['job','static'],['env','static'],['empty','']]}},'metrics':["
                 "{'meta':{'type':1,'opts':{'name':'m'},'labels':['job','env']},"
                 "'values':[{'ts':1" S ",'value':1.0,'labels':['own']}]}]}");
    EXPECT(&r, "__name__=\"m\",env=\"static\",host=\"h=1\",job=\"own\",zone=\"a, b\" 1 @1000");
}

static void test_opentelemetry_names_are_sanitised_and_the_resource_names_the_series(void **state)
{
    (void)state;
    static const char context[] =
        "{'meta':{'cmetrics':{'producer':'opentelemetry'},'external':{'resource':{'metadata':{},'attributes':{"
        "'service.name':'shop','service.namespace':'prod','service.instance.id':'i-1','host.cpus':4,'beta':true,"
        "'list':[1]}},'scope':{}}},'metrics':[{'meta':{'type':1,'opts':{'ns':'','ss':'','name':'http.server.load','"
        "desc':'-'},"
        "'labels':['http.route']},'values':[{'ts':1" S ",'value':1.0,'labels':['/x']}]}]}";
    struct rig r;
    rig_open(&r, NULL);
    rig_feed(&r, context);
    EXPECT(&r, "__name__=\"http_server_load\",http_route=\"/x\",instance=\"i-1\",job=\"prod/shop\" 1 @1000");
    rig_open(&r, &(struct metrics_options){.resource_attributes = "target_info"});
    rig_feed(&r, context);
    EXPECT(&r, "__name__=\"http_server_load\",http_route=\"/x\",instance=\"i-1\",job=\"prod/shop\" 1 @1000",
           "__name__=\"target_info\",beta=\"true\",host_cpus=\"4\",instance=\"i-1\",job=\"prod/shop\" 1 @1000");
    rig_open(&r, &(struct metrics_options){.resource_attributes = "none"});
    rig_feed(&r, context);
    EXPECT(&r, "__name__=\"http_server_load\",http_route=\"/x\" 1 @1000");
}

static void test_metadata_names_the_family_as_the_wire_does(void **state)
{
    (void)state;
    struct rig r;
    size_t n, families = 0;
    rig_open(&r, NULL);
    rig_feed_metric(&r,
                    "{'type':2,'opts':{'name':'http.time','desc':'How long','unit':'s'},'labels':[],'buckets':[1.0]}",
                    "[{'ts':1" S ",'histogram':{'buckets':[1,1],'sum':0.5,'count':1}}]");
    rig_feed_metric(&r, "{'type':0,'opts':{'name':'n_total','desc':'-'},'labels':[]}", "[{'ts':1" S ",'value':1.0}]");
    rig_end(&r);
    const struct request *q = receiver_requests(r.h.receiver, &n);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < q[i].family_count; k++, families++) {
            const struct taken_family *f = &q[i].families[k];
            bool histogram = f->type == GCW_TYPE_HISTOGRAM;
            assert_string_equal(f->name, histogram ? "http_time" : "n_total");
            assert_string_equal(f->help, histogram ? "How long" : "");
            assert_string_equal(f->unit, histogram ? "s" : "");
            assert_true(histogram || f->type == GCW_TYPE_COUNTER);
        }
    assert_int_equal(families, 2);
    rig_free(&r);
}

/* ---- form
 * --------------------------------------------------------------------------------------------------------------- */

static void test_keys_are_found_in_any_order_and_unknown_ones_passed_over(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, NULL);
    rig_feed(&r, "{'new':[1,{'x':nil}],'metrics':[{'values':[{'hash':18446744073709551615,'labels':['v'],'start_ts':1,"
                 "'value':2.0,'later':{'ts':9},'ts':1" S "}],'more':1,'meta':{'labels':['k'],'zzz':[[]],"
                 "'opts':{'name':'m','desc':'d','ss':'','ns':''},'type':1}}],"
                 "'meta':{'processing':{'static_labels':[['s','t']],'q':1},'cmetrics':{},7:8}}");
    EXPECT(&r, "__name__=\"m\",k=\"v\",s=\"t\" 2 @1000");
}

static void test_contexts_before_a_damaged_tail_are_kept(void **state)
{
    (void)state;
    static const char one[] =
        "{'meta':{},'metrics':[{'meta':{'type':1,'opts':{'name':'%s'},'labels':[]},'values':[{'ts':1" S
        ",'value':1.0}]}]}";
    struct rig r;
    struct buf b = {0}, t = {0};
    assert_true(buf_puts(&t, one) && buf_puts(&t, " 5 ") && buf_puts(&t, one) && buf_cstr(&t));
    char *second = strstr((char *)t.p, " 5 ");
    memcpy(strstr((char *)t.p, "%s"), "aa", 2);
    memcpy(strstr(second, "%s"), "bb", 2);
    pack_text(&b, (char *)t.p); /* a context, a number that is none, a context */
    for (size_t cut = 0; cut < b.n / 2; cut++) {
        bool whole = cut == 0;
        uint8_t *copy = malloc(b.n - cut); /* ends where it ends */
        memcpy(copy, b.p, b.n - cut);
        rig_open(&r, NULL);
        rig_feed_bytes(&r, copy, b.n - cut);
        free(copy);
        assert_int_equal(r.count.skipped, whole ? 1 : b.n - cut == b.n / 2 + 1 ? 1 : 2);
        if (whole)
            EXPECT(&r, "__name__=\"aa\" 1 @1000", "__name__=\"bb\" 1 @1000");
        else
            EXPECT(&r, "__name__=\"aa\" 1 @1000");
    }
    buf_free(&b);
    buf_free(&t);
}

static void test_what_has_no_value_name_or_known_type_is_counted_as_skipped(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, NULL);
    rig_feed_metric(&r, "{'type':9,'opts':{'name':'m'},'labels':[]}", "[{'ts':1" S ",'value':1.0}]");
    rig_feed_metric(&r, "{'type':1,'opts':{'name':''},'labels':[]}", "[{'ts':1" S ",'value':1.0}]");
    rig_feed_metric(&r, "{'type':1,'opts':{'name':'m'},'labels':[]}", "[{'ts':1" S ",'value':'text'}]");
    rig_feed_metric(&r, "{'type':2,'opts':{'name':'m'},'labels':[],'buckets':[]}", "[{'ts':1" S ",'value':1.0}]");
    rig_feed_metric(&r, "{'type':5,'opts':{'name':'m'},'labels':[]}", "[{'ts':1" S ",'exp_histogram':{'scale':4000}}]");
    rig_feed(&r, "{'meta':{},'metrics':[]} {'metrics':[{'meta':{'type':1,'opts':{'name':'m'}},'values':[]}]}");
    assert_int_equal(r.count.skipped, 5);
    EXPECT(&r, NULL);
}

/* ---- times
 * -------------------------------------------------------------------------------------------------------------- */

/* An idle counter's time stands still while another metric's goes on. */
static void feed_idle(struct rig *r, const char *idle_ts, const char *value, const char *now)
{
    struct buf t = {0};
    assert_true(
        buf_printf(&t,
                   "{'meta':{},'metrics':[{'meta':{'type':0,'opts':{'name':'idle'},'labels':[]},'values':[{'ts':%s,"
                   "'value':%s}]},{'meta':{'type':1,'opts':{'name':'now'},'labels':[]},'values':[{'ts':%s,'value':1.0}]"
                   "}]}",
                   idle_ts, value, now) &&
        buf_cstr(&t));
    rig_feed(r, (const char *)t.p);
    buf_free(&t);
}

static void test_a_series_never_set_is_left_out(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, NULL);
    feed_idle(&r, "0", "0.0", "5" S);
    EXPECT(&r, "__name__=\"now\" 1 @5000");
}

static void test_an_idle_series_gets_the_newest_time_of_its_context(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, NULL);
    feed_idle(&r, "1000000001", "7.0", "1000000001");
    feed_idle(&r, "1000000001", "7.0", "2000000001");
    feed_idle(&r, "1000000001", "7.0", "3000000001");
    feed_idle(&r, "3500000001", "8.0", "4000000001");
    EXPECT(&r, "__name__=\"idle\" 7 @1000", "__name__=\"idle\" 7 @2000", "__name__=\"idle\" 7 @3000",
           "__name__=\"idle\" 8 @3500", "__name__=\"now\" 1 @1000", "__name__=\"now\" 1 @2000",
           "__name__=\"now\" 1 @3000", "__name__=\"now\" 1 @4000");
}

/* The change came in between two readings of the same collection: before the time the repeat was given. */
static void test_time_never_goes_back_after_a_repeat(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, NULL);
    feed_idle(&r, "1000000001", "7.0", "1000000001");
    feed_idle(&r, "1000000001", "7.0", "2000000001");
    feed_idle(&r, "1999000001", "8.0", "3000000001");
    EXPECT(&r, "__name__=\"idle\" 7 @1000", "__name__=\"idle\" 7 @2000", "__name__=\"idle\" 8 @3000",
           "__name__=\"now\" 1 @1000", "__name__=\"now\" 1 @2000", "__name__=\"now\" 1 @3000");
}

static void test_times_set_by_the_source_are_left_alone_and_repeats_dropped(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, NULL); /* whole milliseconds: from an exposition */
    feed_idle(&r, "1" S, "7.0", "1000000001");
    feed_idle(&r, "1" S, "7.0", "2000000001");
    EXPECT(&r, "__name__=\"idle\" 7 @1000", "__name__=\"now\" 1 @1000", "__name__=\"now\" 1 @2000");
    rig_open(&r, &(struct metrics_options){.sample_time = "source"});
    feed_idle(&r, "1000000001", "7.0", "1000000001");
    feed_idle(&r, "1000000001", "7.0", "2000000001");
    EXPECT(&r, "__name__=\"idle\" 7 @1000", "__name__=\"now\" 1 @1000", "__name__=\"now\" 1 @2000");
}

static void test_newest_time_for_all_when_asked_for(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, &(struct metrics_options){.sample_time = "newest"});
    feed_idle(&r, "1" S, "7.0", "2" S);
    feed_idle(&r, "1" S, "7.0", "3" S);
    feed_idle(&r, "1" S, "7.0", "3" S);
    EXPECT(&r, "__name__=\"idle\" 7 @2000", "__name__=\"idle\" 7 @3000", "__name__=\"now\" 1 @2000",
           "__name__=\"now\" 1 @3000");
}

static void test_a_chunk_that_comes_again_adds_nothing(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, NULL);
    for (int i = 0; i < 3; i++)
        feed_idle(&r, "1000000001", "7.0", "2000000001");
    EXPECT(&r, "__name__=\"idle\" 7 @1000", "__name__=\"now\" 1 @2000");
}

static void test_several_points_of_one_series_keep_their_times(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, NULL);
    rig_feed_metric(&r, "{'type':1,'opts':{'name':'m'},'labels':[]}",
                    "[{'ts':1" S ",'value':1.0},{'ts':3" S ",'value':3.0},{'ts':2" S ",'value':2.0}]");
    EXPECT(&r, "__name__=\"m\" 1 @1000", "__name__=\"m\" 2 @2000", "__name__=\"m\" 3 @3000");
}

/* ---- delta
 * -------------------------------------------------------------------------------------------------------------- */

/* The second context names the labels in another order: the same series all the same. */
static void test_delta_counters_become_running_totals(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, NULL);
    rig_feed_metric(&r, "{'type':0,'opts':{'name':'c'},'labels':['a','b'],'aggregation_type':1}",
                    "[{'ts':1" S ",'value':2.0,'labels':['x','y']},{'ts':1" S ",'value':10.0,'labels':['x','z']}]");
    rig_feed_metric(&r, "{'type':0,'opts':{'name':'c'},'labels':['b','a'],'aggregation_type':1}",
                    "[{'ts':2" S ",'value':3.0,'labels':['y','x']}]");
    rig_feed_metric(&r, "{'type':0,'opts':{'name':'c'},'labels':['b','a'],'aggregation_type':1}",
                    "[{'ts':2" S ",'value':3.0,'labels':['y','x']}]"); /* comes again */
    rig_feed_metric(&r, "{'type':0,'opts':{'name':'c'},'labels':['a','b'],'aggregation_type':1}",
                    "[{'ts':3" S ",'value':0.5,'labels':['x','y']}]");
    EXPECT(&r, "__name__=\"c\",a=\"x\",b=\"y\" 2 @1000", "__name__=\"c\",a=\"x\",b=\"y\" 5 @2000",
           "__name__=\"c\",a=\"x\",b=\"y\" 5.5 @3000", "__name__=\"c\",a=\"x\",b=\"z\" 10 @1000");
}

static void test_delta_histograms_become_running_totals(void **state)
{
    (void)state;
    static const char meta[] = "{'type':2,'opts':{'name':'h'},'labels':[],'buckets':[1.0],'aggregation_type':1}";
    struct rig r;
    rig_open(&r, NULL);
    rig_feed_metric(&r, meta, "[{'ts':1" S ",'histogram':{'buckets':[1,2],'sum':9.0,'count':3}}]");
    rig_feed_metric(&r, meta, "[{'ts':2" S ",'histogram':{'buckets':[4,0],'sum':1.5,'count':4}}]");
    EXPECT(&r, "__name__=\"h_bucket\",le=\"+Inf\" 3 @1000", "__name__=\"h_bucket\",le=\"+Inf\" 7 @2000",
           "__name__=\"h_bucket\",le=\"1\" 1 @1000", "__name__=\"h_bucket\",le=\"1\" 5 @2000",
           "__name__=\"h_count\" 3 @1000", "__name__=\"h_count\" 7 @2000", "__name__=\"h_sum\" 10.5 @2000",
           "__name__=\"h_sum\" 9 @1000");
}

/* Scale 1 then scale 0: the total is kept at the coarser one, where [2^0, 2^1) holds both of the finer buckets. */
static void test_delta_exponential_histograms_become_running_totals(void **state)
{
    (void)state;
    static const char meta[] = "{'type':5,'opts':{'name':'e'},'labels':[],'aggregation_type':1}";
    struct rig r;
    rig_open(&r, NULL);
    rig_feed_metric(&r, meta,
                    "[{'ts':1" S
                    ",'exp_histogram':{'scale':1,'zero_count':0,'positive_offset':0,'positive_buckets':[1,2],"
                    "'count':3,'sum_set':1,'sum':#4.0}}]");
    rig_feed_metric(&r, meta,
                    "[{'ts':2" S
                    ",'exp_histogram':{'scale':0,'zero_count':0,'positive_offset':1,'positive_buckets':[5],"
                    "'count':5,'sum_set':1,'sum':#15.0}}]");
    EXPECT(&r, "__name__=\"e_bucket\",le=\"+Inf\" 3 @1000", "__name__=\"e_bucket\",le=\"+Inf\" 8 @2000",
           "__name__=\"e_bucket\",le=\"1.4142135623730951\" 1 @1000", "__name__=\"e_bucket\",le=\"2\" 3 @1000",
           "__name__=\"e_bucket\",le=\"2\" 3 @2000", "__name__=\"e_bucket\",le=\"4\" 8 @2000",
           "__name__=\"e_count\" 3 @1000", "__name__=\"e_count\" 8 @2000", "__name__=\"e_sum\" 19 @2000",
           "__name__=\"e_sum\" 4 @1000");
}

static void test_delta_can_be_kept_with_a_warning(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, &(struct metrics_options){.delta = "keep"});
    for (int i = 1; i < 3; i++) {
        char value[100];
        snprintf(value, sizeof value, "[{'ts':%d" S ",'value':2.0}]", i);
        rig_feed_metric(&r, "{'type':0,'opts':{'name':'c'},'labels':[],'aggregation_type':1}", value);
    }
    assert_non_null(strstr((char *)r.warned.p, "delta temporality"));
    assert_ptr_equal(strchr((char *)r.warned.p, '\n') + 1, r.warned.p + r.warned.n); /* once */
    EXPECT(&r, "__name__=\"c\" 2 @1000", "__name__=\"c\" 2 @2000");
}

/* ---- options
 * ------------------------------------------------------------------------------------------------------------ */

static void test_bounds_are_written_in_the_format_asked_for(void **state)
{
    (void)state;
    static const struct {
        enum le_format format;
        const char *want[4];
    } rows[] = {{LE_SHORTEST, {"0.1", "1", "1000000", "1e+17"}},
                {LE_OPENMETRICS, {"0.1", "1.0", "1e+06", "1e+17"}},
                {LE_FLUENT_BIT, {"0.10000000000000001", "1", "1000000", "9.9999999999999992e+22"}}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct rig r;
        char line[5][100];
        rig_open(&r, &(struct metrics_options){.le_format = rows[i].format});
        rig_feed_metric(&r,
                        i == 2 ? "{'type':3,'opts':{'name':'s'},'labels':[],'quantiles':[0.1,1.0,1e6,1e23]}"
                               : "{'type':3,'opts':{'name':'s'},'labels':[],'quantiles':[0.1,1.0,1e6,1e17]}",
                        "[{'ts':1" S
                        ",'summary':{'quantiles_set':1,'quantiles':[#1.0,#2.0,#3.0,#4.0],'count':1,'sum':#1.0}}]");
        for (int k = 0; k < 4; k++)
            snprintf(line[k], sizeof line[k], "__name__=\"s\",quantile=\"%s\" %d @1000", rows[i].want[k], k + 1);
        EXPECT(&r, line[0], line[1], line[2], line[3], "__name__=\"s_count\" 1 @1000", "__name__=\"s_sum\" 1 @1000");
    }
}

static void test_a_bad_option_names_key_value_and_what_is_allowed(void **state)
{
    (void)state;
    static const struct {
        struct metrics_options o;
        const char *key, *value, *allowed;
    } rows[] = {
        {{.sample_time = "sometimes"}, "sample_time", "sometimes", "auto|source|newest"},
        {{.delta = "x"}, "delta", "\"x\"", "cumulative|keep"},
        {{.resource_attributes = "all"}, "resource_attributes", "all", "identity|target_info|none"},
        {{.series_idle = "soon"}, "series_idle", "soon", "1s"},
        {{.series_idle = "10ms"}, "series_idle", "10ms", "1s"},
        {{.add_label = "env"}, "add_label", "env", "name and value"},
        {{.add_label = "a b, env ,c d"}, "add_label", "env", "name and value"},
        {{.add_label = "a b,"}, "add_label", "a b,", "name and value"},
    };
    struct host h;
    host_open(&h, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        gcw_error err = {0};
        assert_null(metrics_new(h.w, &rows[i].o, NULL, NULL, &err));
        assert_int_equal(err.code, GCW_ERR_INVALID);
        assert_non_null(strstr(err.text, rows[i].key));
        assert_non_null(strstr(err.text, rows[i].value));
        assert_non_null(strstr(err.text, rows[i].allowed));
    }
    host_free(&h);
}

/* ---- the writer's side
 * ------------------------------------------------------------------------------------------------- */

static void test_series_the_writer_refuses_are_counted_and_explained_once(void **state)
{
    (void)state;
    struct rig r;
    rig_open_with(&r, NULL, (const char *const[]){"max_series", "2", NULL});
    for (int i = 1; i < 4; i++) {
        char values[300];
        snprintf(values, sizeof values,
                 "[{'ts':%d" S ",'value':1.0,'labels':['a']},{'ts':%d" S ",'value':1.0,'labels':['b']},{'ts':%d" S
                 ",'value':1.0,'labels':['c']}]",
                 i, i, i);
        rig_feed_metric(&r, "{'type':1,'opts':{'name':'m'},'labels':['l']}", values);
    }
    assert_int_equal(r.count.refused, 3);
    assert_non_null(strstr((char *)r.warned.p, "refused"));
    assert_ptr_equal(strchr((char *)r.warned.p, '\n') + 1, r.warned.p + r.warned.n);
    EXPECT(&r, "__name__=\"m\",l=\"a\" 1 @1000", "__name__=\"m\",l=\"a\" 1 @2000", "__name__=\"m\",l=\"a\" 1 @3000",
           "__name__=\"m\",l=\"b\" 1 @1000", "__name__=\"m\",l=\"b\" 1 @2000", "__name__=\"m\",l=\"b\" 1 @3000");
}

#define MANY 6000

/* A full writer stops the chunk, in the middle of a histogram as likely as not; with room again it goes on from there.
 */
static void test_a_full_writer_stops_the_chunk_and_nothing_is_appended_twice(void **state)
{
    (void)state;
    struct rig r;
    struct buf b = {0}, t = {0};
    size_t at = 0, stops = 0, records = 0;
    rig_open_with(&r, &(struct metrics_options){.delta = "cumulative"},
                  (const char *const[]){"memory_limit", "1MiB", "metrics_batch_bytes", "64KiB", "logs_batch_bytes",
                                        "64KiB", "metrics_metadata", "off", NULL});
    for (int part = 0; part < 2; part++) {
        assert_true(
            buf_printf(&t,
                       "{'meta':{},'metrics':[{'meta':{'type':2,'opts':{'name':'h%d'},'labels':['l'],'buckets':["
                       "1.0,2.0],'aggregation_type':1},'values':[",
                       part));
        for (int i = 0; i < MANY / 2; i++) /* a hundred series, again and again */
            assert_true(buf_printf(&t,
                                   "{'ts':%d000000000,'histogram':{'buckets':[1,1,1],'sum':3.0,'count':3},"
                                   "'labels':['v%d']},",
                                   1 + i / 100, i % 100));
        assert_true(buf_puts(&t, "]}]}"));
    }
    assert_true(buf_cstr(&t));
    pack_text(&b, (const char *)t.p);
    receiver_hold(r.h.receiver);
    for (gcw_status status = GCW_ERR_FULL; status != GCW_OK;) {
        struct chunk_count c;
        size_t done;
        status = metrics_chunk(r.m, b.p + at, b.n - at, NULL, NULL, &done, &c);
        at += done;
        records += c.records;
        assert_true(status == GCW_OK || status == GCW_ERR_FULL);
        stops += status == GCW_ERR_FULL;
        receiver_let(r.h.receiver);
        assert_int_equal(gcw_writer_flush(r.h.w, WAIT_MS), GCW_OK);
    }
    assert_true(stops > 0);
    assert_int_equal(at, b.n);
    assert_int_equal(records, MANY * 5);
    rig_end(&r);
    assert_int_equal(r.line_count, MANY * 5);
    for (size_t i = 0; i + 1 < r.line_count; i++)
        assert_int_not_equal(strcmp(r.lines[i], r.lines[i + 1]), 0);
    for (size_t i = 0; i < r.line_count; i++) { /* each delta is in its total, once */
        long seconds = strtol(strrchr(r.lines[i], '@') + 1, NULL, 10) / 1000;
        if (strstr(r.lines[i], "_count"))
            assert_int_equal(strtol(strstr(r.lines[i], "\" ") + 2, NULL, 10), 3 * seconds);
    }
    rig_free(&r);
    buf_free(&b);
    buf_free(&t);
}

static bool few(const gcw_signal_stats *s, uint64_t n) { return s->interned <= n; }

static void test_series_not_seen_for_a_while_are_let_go(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, &(struct metrics_options){.series_idle = "1s"});
    rig_feed(&r, "{'meta':{},'metrics':[{'meta':{'type':2,'opts':{'name':'old'},'labels':['l'],'buckets':[1.0,2.0]},"
                 "'values':[{'ts':1" S ",'histogram':{'buckets':[1,1,1],'sum':3.0,'count':3},'labels':['a']}]},"
                 "{'meta':" EXP ",'values':[{'ts':1" S
                 ",'exp_histogram':{'scale':0,'positive_buckets':[3,4],'count':7}}]}]}");
    assert_int_equal(host_stats(&r.h, GCW_METRICS).interned, 9);
    uint64_t deadline = deadline_after(WAIT_MS);
    for (int i = 1; host_stats(&r.h, GCW_METRICS).interned > 1; i++) {
        char value[100];
        assert_true(clock_mono_ms() < deadline);
        snprintf(value, sizeof value, "[{'ts':%d" S ",'value':1.0}]", i);
        rig_feed_metric(&r, "{'type':1,'opts':{'name':'alive'},'labels':[]}", value);
        (void)gcw_writer_flush(r.h.w, WAIT_MS); /* what was appended holds on to its labels until it is sealed */
        usleep(20000);
    }
    host_await(&r.h, GCW_METRICS, few, 1);
    rig_feed_metric(&r, "{'type':2,'opts':{'name':'old'},'labels':['l'],'buckets':[1.0,2.0]}",
                    "[{'ts':2" S ",'histogram':{'buckets':[1,1,1],'sum':3.0,'count':3},'labels':['a']}]");
    uint64_t interned = host_stats(&r.h, GCW_METRICS).interned; /* the one alive may have been idle by now, too */
    assert_true(interned == 5 || interned == 6);
    rig_end(&r);
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counter_gauge_and_untyped_become_one_series_a_label_set),
        cmocka_unit_test(test_integers_are_taken_from_their_exact_field),
        cmocka_unit_test(test_cumulative_buckets_are_passed_on_and_others_summed_up),
        cmocka_unit_test(test_buckets_that_fit_neither_reading_are_read_as_their_source_counts),
        cmocka_unit_test(test_a_histogram_without_bounds_still_has_its_count),
        cmocka_unit_test(test_summaries_show_quantiles_only_when_set),
        cmocka_unit_test(test_exponential_histograms_become_classic_buckets),
        cmocka_unit_test(test_exponential_histograms_follow_scale_and_zero_threshold),
        cmocka_unit_test(test_nil_empty_and_missing_labels_are_absent),
        cmocka_unit_test(test_a_metric_label_wins_over_a_static_one_and_that_over_add_label),
        cmocka_unit_test(test_opentelemetry_names_are_sanitised_and_the_resource_names_the_series),
        cmocka_unit_test(test_metadata_names_the_family_as_the_wire_does),
        cmocka_unit_test(test_keys_are_found_in_any_order_and_unknown_ones_passed_over),
        cmocka_unit_test(test_contexts_before_a_damaged_tail_are_kept),
        cmocka_unit_test(test_what_has_no_value_name_or_known_type_is_counted_as_skipped),
        cmocka_unit_test(test_a_series_never_set_is_left_out),
        cmocka_unit_test(test_an_idle_series_gets_the_newest_time_of_its_context),
        cmocka_unit_test(test_time_never_goes_back_after_a_repeat),
        cmocka_unit_test(test_times_set_by_the_source_are_left_alone_and_repeats_dropped),
        cmocka_unit_test(test_newest_time_for_all_when_asked_for),
        cmocka_unit_test(test_a_chunk_that_comes_again_adds_nothing),
        cmocka_unit_test(test_several_points_of_one_series_keep_their_times),
        cmocka_unit_test(test_delta_counters_become_running_totals),
        cmocka_unit_test(test_delta_histograms_become_running_totals),
        cmocka_unit_test(test_delta_exponential_histograms_become_running_totals),
        cmocka_unit_test(test_delta_can_be_kept_with_a_warning),
        cmocka_unit_test(test_bounds_are_written_in_the_format_asked_for),
        cmocka_unit_test(test_a_bad_option_names_key_value_and_what_is_allowed),
        cmocka_unit_test(test_series_the_writer_refuses_are_counted_and_explained_once),
        cmocka_unit_test(test_a_full_writer_stops_the_chunk_and_nothing_is_appended_twice),
        cmocka_unit_test(test_series_not_seen_for_a_while_are_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
