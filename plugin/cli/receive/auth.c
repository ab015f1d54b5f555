/* Judging a request's credentials, with the words of the Grafana Cloud gateway and of dskit's tenant package. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/receive/auth.h"

/* ---- the gateway: Basic and Bearer ------------------------------------------------------------------------------- */

static void refuse(struct auth_answer *out, const char *reason)
{
    out->status = 401;
    snprintf(out->text, sizeof out->text, "{\"status\":\"error\",\"error\":\"authentication error: %s\"}", reason);
}

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Standard alphabet, padded (RFC 4648, section 4). False on anything else. */
static bool base64_decode(struct view in, struct buf *out)
{
    if (in.n == 0 || in.n % 4 != 0)
        return false;
    size_t pad = in.p[in.n - 1] != '=' ? 0 : in.p[in.n - 2] != '=' ? 1 : 2;
    for (size_t i = 0; i < in.n; i += 4) {
        uint32_t word = 0;
        size_t digits = i + 4 == in.n ? 4 - pad : 4;
        for (size_t k = 0; k < 4; k++) {
            int d = k < digits ? base64_digit(in.p[i + k]) : 0;
            if (d < 0)
                return false;
            word = word << 6 | (uint32_t)d;
        }
        const uint8_t bytes[3] = {(uint8_t)(word >> 16), (uint8_t)(word >> 8), (uint8_t)word};
        if (!buf_append(out, bytes, digits - 1))
            return false;
    }
    return true;
}

static bool tenant_matches(const struct credential *c, gcw_signal signal, struct view user)
{
    for (size_t i = 0; i < c->tenant_count; i++)
        if ((c->tenants[i].signals & SIGNAL_BIT(signal)) && view_is(user, c->tenants[i].id))
            return true;
    return c->tenant_count == 0;
}

/* No early end, so that the time does not tell how much of a guess was right. */
static bool token_matches(const struct credential *c, struct view token)
{
    size_t n = c->token ? strlen(c->token) : 0;
    unsigned char diff = n == 0 || n != token.n;
    for (size_t i = 0; i < token.n; i++)
        diff |= (unsigned char)(token.p[i] ^ (n ? c->token[i % n] : 0));
    return diff == 0;
}

static void pair_check(const struct auth *a, gcw_signal signal, struct view user, struct view token,
                       struct auth_answer *out)
{
    bool known = false;
    for (size_t i = 0; i <= a->listed_count; i++) {
        const struct credential *c = i < a->listed_count ? &a->listed[i] : &a->flags;
        if (!token_matches(c, token) || !tenant_matches(c, signal, user))
            continue;
        if (c->scopes & SIGNAL_BIT(signal))
            return;
        known = true;
    }
    refuse(out, known ? "invalid scope requested" : "invalid authentication credentials");
}

static void user_and_token_check(const struct auth *a, gcw_signal signal, struct view both, struct auth_answer *out)
{
    const char *colon = both.n ? memchr(both.p, ':', both.n) : NULL;
    if (!colon || colon == both.p) {
        refuse(out, "legacy auth cannot be upgraded because the host is not found");
        return;
    }
    struct view user = view_make(both.p, (size_t)(colon - both.p));
    if (user.n <= TENANT_MAX)
        snprintf(out->tenant, sizeof out->tenant, "%.*s", (int)user.n, user.p);
    pair_check(a, signal, user, view_make(colon + 1, both.n - user.n - 1), out);
    /* who is refused may have put the token in the tenant's place: only a number may be shown */
    if (out->status && out->tenant[strspn(out->tenant, "0123456789")])
        out->tenant[0] = 0;
}

static void gateway_check(const struct auth *a, gcw_signal signal, const char *authorization, struct auth_answer *out)
{
    struct view v = view_of(authorization);
    struct buf decoded = {0};
    if (v.n > 6 && strncasecmp(v.p, "Basic ", 6) == 0) {
        if (base64_decode(view_make(v.p + 6, v.n - 6), &decoded))
            user_and_token_check(a, signal, buf_view(&decoded), out);
        else
            refuse(out, "invalid authentication credentials");
    } else if (v.n > 7 && strncasecmp(v.p, "Bearer ", 7) == 0) {
        user_and_token_check(a, signal, view_make(v.p + 7, v.n - 7), out);
    } else {
        refuse(out, "no credentials provided");
    }
    if (decoded.p)
        explicit_bzero(decoded.p, decoded.cap);
    buf_free(&decoded);
}

/* ---- self-hosted: X-Scope-OrgID ------------------------------------------------------------------------------------
 */

static bool tenant_id_check(struct view id, struct auth_answer *out)
{
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("!-_.*'()", c))
            continue;
        snprintf(out->text, sizeof out->text, "tenant ID '%.*s' contains unsupported character '%c'",
                 (int)MIN(id.n, (size_t)TENANT_MAX), id.p, c);
        return false;
    }
    if (id.n > TENANT_MAX)
        snprintf(out->text, sizeof out->text, "tenant ID is too long: max 150 characters");
    else if (view_is(id, ".") || view_is(id, ".."))
        snprintf(out->text, sizeof out->text, "tenant ID is '.' or '..'");
    else
        return true;
    return false;
}

/* `a|b` names several tenants, which is for queries; the same one over and over is that one. */
static void org_id_check(const char *org_id, struct auth_answer *out)
{
    struct view rest = view_of(org_id ? org_id : ""), first = {0};
    if (rest.n == 0) {
        out->status = 401;
        snprintf(out->text, sizeof out->text, "no org id");
        return;
    }
    for (bool last = false, begun = false; !last; begun = true) {
        const char *bar = rest.n ? memchr(rest.p, '|', rest.n) : NULL;
        struct view id = view_make(rest.p, bar ? (size_t)(bar - rest.p) : rest.n);
        last = !bar;
        rest = bar ? view_make(bar + 1, rest.n - id.n - 1) : rest;
        out->status = 400;
        if (!tenant_id_check(id, out))
            return;
        if (begun && !view_eq(first, id)) {
            snprintf(out->text, sizeof out->text, "multiple org IDs present");
            return;
        }
        first = id;
    }
    if (first.n == 0) {
        out->status = 401;
        snprintf(out->text, sizeof out->text, "no org id");
        return;
    }
    out->status = 0;
    snprintf(out->tenant, sizeof out->tenant, "%.*s", (int)first.n, first.p);
}

void auth_check(const struct auth *a, gcw_signal signal, const char *authorization, const char *org_id,
                struct auth_answer *out)
{
    *out = (struct auth_answer){0};
    switch (a->mode) {
    case AUTH_BASIC:
        if (authorization)
            gateway_check(a, signal, authorization, out);
        else
            refuse(out, "no credentials provided");
        break;
    case AUTH_TENANT:
        org_id_check(org_id, out);
        break;
    case AUTH_NONE: /* what Mimir and Loki call the one tenant when nobody asks */
        snprintf(out->tenant, sizeof out->tenant, "%s", signal == GCW_METRICS ? "anonymous" : "fake");
        break;
    }
}
