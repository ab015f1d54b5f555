/* The body of an answer: out of its gzip wrapping, and found to be whole. What was cut off on its way must not pass for
 * a target that has fewer series now. */
#include <curl/curl.h>
#include <stdio.h>

#include "cli/receive/unpack.h"
#include "cli/scrape/scrape.h"

/* Other encodings were not asked for; who names one all the same mostly sent plain text. */
static bool is_gzip(CURL *easy)
{
    struct curl_header *h;
    return curl_easy_header(easy, "Content-Encoding", 0, CURLH_HEADER, -1, &h) == CURLHE_OK &&
           strcmp(h->value, "gzip") == 0;
}

void trouble_too_large(uint64_t max, char *trouble, size_t cap)
{
    char limit[32];
    format_size(limit, sizeof limit, max);
    snprintf(trouble, cap, "the answer is larger than %s (body_limit)", limit);
}

static const char *unpack(struct buf *body, size_t max, char *trouble, size_t cap)
{
    struct buf plain = {0};
    gcw_error why;
    enum unpack_result r = gzip_unpack(buf_view(body), max, &plain, &why);
    if (r == UNPACK_TOO_LARGE)
        trouble_too_large(max, trouble, cap);
    else if (r == UNPACK_NOMEM)
        snprintf(trouble, cap, "out of memory");
    else if (r != UNPACK_OK)
        snprintf(trouble, cap, "its gzip is broken or cut off: %s", why.text);
    if (r != UNPACK_OK) {
        buf_free(&plain);
        return trouble;
    }
    buf_free(body);
    *body = plain;
    return NULL;
}

static bool ends_with_eof(struct view body)
{
    static const char eof[] = "# EOF";
    const size_t n = sizeof eof - 1;
    body = view_trim(body);
    return body.n >= n && memcmp(body.p + body.n - n, eof, n) == 0 && (body.n == n || body.p[body.n - n - 1] == '\n');
}

const char *body_open(CURL *easy, struct buf *body, size_t max, char *trouble, size_t cap)
{
    char *type = NULL;
    if (is_gzip(easy) && unpack(body, max, trouble, cap))
        return trouble;
    curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
    if (type && strncmp(type, OPENMETRICS_TYPE, strlen(OPENMETRICS_TYPE)) == 0 && !ends_with_eof(buf_view(body))) {
        snprintf(trouble, cap, "no \"# EOF\" at the end: OpenMetrics that was cut off");
        return trouble;
    }
    return NULL;
}
