/* Scrapes over HTTP: a GET with what formats are understood, gzip welcome, bounded in time and size. */
#include <curl/curl.h>
#include <stdlib.h>

#include "cli/scrape/scrape.h"

#define REDIRECTS_MAX 5L

#define TEXTS  "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
#define NATIVE "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.9,"

struct fetcher {
    CURLM *multi;
};

struct fetch {
    struct fetcher *owner;
    void *ctx;
    const struct target_settings *settings;
    CURL *easy;
    struct curl_slist *headers;
    struct buf body;
    bool flying, too_large, nomem;
    CURLcode code;
    unsigned kind; /* of trouble; 0 = none */
    char error[CURL_ERROR_SIZE], trouble[CURL_ERROR_SIZE + 128];
};

struct fetcher *fetcher_new(void)
{
    struct fetcher *f = calloc(1, sizeof *f);
    if (f && !(f->multi = curl_multi_init())) {
        free(f);
        f = NULL;
    }
    return f;
}

void fetcher_free(struct fetcher *f)
{
    if (!f)
        return;
    curl_multi_cleanup(f->multi);
    free(f);
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    struct fetch *x = ctx;
    x->too_large = x->body.n + size * n > x->settings->body_limit;
    x->nomem = !x->too_large && !buf_append(&x->body, data, size * n);
    return x->too_large || x->nomem ? 0 : size * n;
}

static bool headers_make(struct fetch *x, const struct target_settings *t)
{
    char seconds[64];
    snprintf(seconds, sizeof seconds, "X-Prometheus-Scrape-Timeout-Seconds: %g", (double)t->timeout_ms / 1000.0);
    const char *const lines[] = {t->native_histograms ? "Accept: " NATIVE TEXTS : "Accept: " TEXTS, seconds};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct curl_slist *more = curl_slist_append(x->headers, lines[i]);
        if (!more)
            return false;
        x->headers = more;
    }
    return true;
}

struct fetch *fetch_new(struct fetcher *f, const struct target_settings *t, void *ctx)
{
    struct fetch *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    *x = (struct fetch){.owner = f, .ctx = ctx, .settings = t, .easy = curl_easy_init()};
    if (!x->easy || !headers_make(x, t) || curl_easy_setopt(x->easy, CURLOPT_URL, t->url) != CURLE_OK) {
        fetch_free(x);
        return NULL;
    }
    curl_easy_setopt(x->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(x->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(x->easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(x->easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(x->easy, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
    curl_easy_setopt(x->easy, CURLOPT_PROXY, ""); /* what is scraped is near */
    curl_easy_setopt(x->easy, CURLOPT_TIMEOUT_MS, (long)t->timeout_ms);
    curl_easy_setopt(x->easy, CURLOPT_ACCEPT_ENCODING, "gzip");
    curl_easy_setopt(x->easy, CURLOPT_HTTP_CONTENT_DECODING, 0L); /* body.c does: libcurl takes gzip that was cut off */
    curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, x->headers);
    curl_easy_setopt(x->easy, CURLOPT_USERAGENT, "gcw/" GCW_VERSION);
    curl_easy_setopt(x->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(x->easy, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(x->easy, CURLOPT_ERRORBUFFER, x->error);
    curl_easy_setopt(x->easy, CURLOPT_PRIVATE, x);
    access_setup(x->easy, t);
    return x;
}

static void land(struct fetch *x)
{
    if (x->flying)
        curl_multi_remove_handle(x->owner->multi, x->easy);
    x->flying = false;
}

void fetch_free(struct fetch *x)
{
    if (!x)
        return;
    land(x);
    curl_easy_cleanup(x->easy);
    curl_slist_free_all(x->headers);
    buf_free(&x->body);
    free(x);
}

bool fetch_start(struct fetch *x)
{
    x->body.n = 0;
    x->error[0] = x->trouble[0] = 0;
    x->flying = access_refresh(x->easy, x->settings) && curl_multi_add_handle(x->owner->multi, x->easy) == CURLM_OK;
    return x->flying;
}

static struct fetch *take_ended(struct fetcher *f)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(f->multi, &left));) {
        struct fetch *x = NULL;
        if (m->msg != CURLMSG_DONE ||
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)(void *)&x) != CURLE_OK)
            continue;
        x->code = m->data.result;
        return x;
    }
    return NULL;
}

/* In words, into x->trouble; empty = none. */
static void judge(struct fetch *x)
{
    const size_t max = x->settings->body_limit;
    x->kind = access_trouble(x->easy, x->code, x->error, x->settings, x->trouble, sizeof x->trouble);
    if (x->too_large) {
        x->kind = TROUBLE_TOO_LARGE;
        trouble_too_large(max, x->trouble, sizeof x->trouble);
    } else if (x->nomem) {
        x->kind = TROUBLE_NOMEM;
        snprintf(x->trouble, sizeof x->trouble, "out of memory");
    } else if (x->kind == 0 && body_open(x->easy, &x->body, max, x->trouble, sizeof x->trouble)) {
        x->kind = TROUBLE_BROKEN;
    }
}

void *fetcher_wait(struct fetcher *f, int timeout_ms)
{
    int running, moved;
    curl_multi_perform(f->multi, &running);
    struct fetch *x = take_ended(f);
    if (!x) {
        curl_multi_poll(f->multi, NULL, 0, timeout_ms, &moved);
        curl_multi_perform(f->multi, &running);
        x = take_ended(f);
    }
    if (!x)
        return NULL;
    land(x);
    judge(x);
    return x->ctx;
}

static enum exposition_format format_of(const struct fetch *x)
{
    enum exposition_format format;
    if (body_format(x->easy, &format))
        return format;
    struct view body = buf_view(&x->body), head = view_make(body.p, MIN(body.n, 4 * KIB)),
                tail = view_make(body.p + body.n - MIN(body.n, (size_t)64), MIN(body.n, (size_t)64));
    return exposition_detect(head, tail);
}

struct fetched fetch_result(const struct fetch *x)
{
    if (x->kind)
        return (struct fetched){.trouble = x->trouble, .kind = x->kind};
    return (struct fetched){.body = buf_view(&x->body), .format = format_of(x)};
}
