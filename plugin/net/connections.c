/* Two generations of connections, see connections.h. */
#include "net/connections.h"

#include <sys/eventfd.h>
#include <unistd.h>

/* While old connections end there are two handles to wait for, and libcurl waits for one: the other is looked at so
 * often. That lasts no longer than the requests that were under way. */
#define OLD_LOOK_MS 10

static bool generation_open(struct generation *g, unsigned limit)
{
    *g = (struct generation){.multi = curl_multi_init()};
    return g->multi && curl_multi_setopt(g->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)limit) == CURLM_OK;
}

static void generation_close(struct generation *g)
{
    curl_multi_cleanup(g->multi);
    *g = (struct generation){0};
}

bool connections_init(struct connections *c, unsigned limit, uint64_t lifetime_ms)
{
    *c = (struct connections){.limit = limit, .lifetime_ms = lifetime_ms, .born_ms = clock_mono_ms()};
    c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return c->wake >= 0 && generation_open(&c->young, limit);
}

void connections_free(struct connections *c)
{
    generation_close(&c->young);
    generation_close(&c->old);
    if (c->wake >= 0)
        close(c->wake);
}

/* With nothing under way libcurl itself sees to a connection's age. */
static void grow_old(struct connections *c)
{
    struct generation next;
    uint64_t now = clock_mono_ms();
    if (now - c->born_ms < c->lifetime_ms || c->old.multi || c->young.flying == 0)
        return;
    if (!generation_open(&next, c->limit)) {
        generation_close(&next);
        return; /* no memory: the old ones do for now */
    }
    c->old = c->young;
    c->young = next;
    c->born_ms = now;
}

CURLM *connections_add(struct connections *c, CURL *easy)
{
    grow_old(c);
    if (curl_multi_add_handle(c->young.multi, easy) != CURLM_OK)
        return NULL;
    c->young.flying++;
    return c->young.multi;
}

void connections_remove(struct connections *c, CURLM *multi, CURL *easy)
{
    struct generation *g = multi == c->young.multi ? &c->young : &c->old;
    ENSURE(multi == g->multi && g->flying > 0);
    curl_multi_remove_handle(multi, easy);
    if (--g->flying == 0 && g == &c->old)
        generation_close(g);
}

CURL *connections_done(struct connections *c, CURLcode *code)
{
    CURLM *const multis[] = {c->old.multi, c->young.multi};
    int left;
    for (size_t i = 0; i < ARRAY_LEN(multis); i++)
        for (CURLMsg *m; multis[i] && (m = curl_multi_info_read(multis[i], &left));)
            if (m->msg == CURLMSG_DONE) {
                *code = m->data.result;
                return m->easy_handle;
            }
    return NULL;
}

/* Moves what can be moved; true if something ended. */
static bool perform(struct connections *c)
{
    struct generation *const all[] = {&c->young, &c->old};
    bool ended = false;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        int running = 0;
        if (all[i]->multi && curl_multi_perform(all[i]->multi, &running) == CURLM_OK)
            ended |= (unsigned)running < all[i]->flying;
    }
    return ended;
}

void connections_wait(struct connections *c, int timeout_ms)
{
    struct curl_waitfd wake = {.fd = c->wake, .events = CURL_WAIT_POLLIN};
    uint64_t count;
    if (perform(c))
        return; /* take the answers */
    if (c->old.multi)
        timeout_ms = MIN(timeout_ms, OLD_LOOK_MS);
    curl_multi_poll(c->young.multi, &wake, 1, timeout_ms, NULL);
    ssize_t woken = read(c->wake, &count, sizeof count);
    (void)woken; /* EAGAIN: nobody did */
    perform(c);
}

void connections_wake(struct connections *c)
{
    ssize_t n = write(c->wake, &(uint64_t){1}, sizeof(uint64_t));
    (void)n; /* EAGAIN: it is awake already */
}
