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

bool body_format(CURL *easy, enum exposition_format *format)
{
    static const struct {
        const char *type;
        enum exposition_format format;
    } types[] = {{"application/vnd.google.protobuf", EXPOSITION_PROTOBUF},
                 {"application/openmetrics-text", EXPOSITION_OPENMETRICS},
                 {"text/plain", EXPOSITION_TEXT}};
    char *type = NULL;
    curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
    for (size_t i = 0; type && i < ARRAY_LEN(types); i++)
        if (strncmp(type, types[i].type, strlen(types[i].type)) == 0) {
            *format = types[i].format;
            return true;
        }
    return false;
}

const char *body_open(CURL *easy, struct buf *body, size_t max, char *trouble, size_t cap)
{
    enum exposition_format format;
    if (is_gzip(easy) && unpack(body, max, trouble, cap))
        return trouble;
    if (!body_format(easy, &format))
        return NULL;
    if (format == EXPOSITION_OPENMETRICS && !ends_with_eof(buf_view(body)))
        snprintf(trouble, cap, "no \"# EOF\" at the end: OpenMetrics that was cut off");
    else if (format == EXPOSITION_PROTOBUF && !exposition_messages_whole(buf_view(body)))
        snprintf(trouble, cap, "its last message is not whole: protobuf that was cut off");
    else
        return NULL;
    return trouble;
}
