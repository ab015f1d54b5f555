/* How a target is reached, as libcurl takes it: credentials and TLS; and what it means when that fails.
 *
 * Redirects are followed, as targets behind front ends need it, but credentials go no further than the host, port and
 * scheme of the URL that was given: libcurl sees to it (CURLOPT_UNRESTRICTED_AUTH is off). */
#include <strings.h>

#include "cli/scrape/targets.h"

#define CONNECTION_SECONDS 300L /* so long one connection is used: files of certificates are read with each new one */

void access_setup(CURL *easy, const struct target_settings *t)
{
    curl_easy_setopt(easy, CURLOPT_UNRESTRICTED_AUTH, 0L);
    curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)(*t->user ? CURLAUTH_BASIC : *t->token_file ? CURLAUTH_BEARER : 0));
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, t->insecure ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, t->insecure ? 0L : 2L);
    /* what changed in a file is to be seen: neither a session nor a store of certificates from before */
    curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN, CONNECTION_SECONDS);
    curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, *t->cert_file ? 0L : 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
    curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
#endif
    if (*t->ca_file) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, t->ca_file);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    if (*t->cert_file) {
        curl_easy_setopt(easy, CURLOPT_SSLCERT, t->cert_file);
        curl_easy_setopt(easy, CURLOPT_SSLKEY, t->key_file);
    }
}

/* libcurl builds the Authorization header itself, so that it is in no list of ours. */
bool access_refresh(CURL *easy, const struct target_settings *t)
{
    if (!t->secret)
        return true;
    const char *secret = secret_text(t->secret);
    if (!*t->user)
        return curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, secret) == CURLE_OK;
    return curl_easy_setopt(easy, CURLOPT_USERNAME, t->user) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PASSWORD, secret) == CURLE_OK;
}

/* ---- what went wrong ----------------------------------------------------------------------------------------------
 */

#define UNTRUSTED_FIRST 18L /* X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ... */
#define UNTRUSTED_LAST  21L /* ... X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE */

/* One state, though libcurl meets it in the one way or the other: the connection broke off. */
static CURLcode kind_of(CURLcode code)
{
    static const CURLcode broke[] = {CURLE_SSL_CONNECT_ERROR, CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR};
    for (size_t i = 0; i < ARRAY_LEN(broke); i++)
        if (code == broke[i])
            return CURLE_RECV_ERROR;
    return code;
}

static const char *tls_hint(CURL *easy, CURLcode code, const struct target_settings *t)
{
    long verified = 0, status = 0;
    curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &verified);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_PEER_FAILED_VERIFICATION && verified >= UNTRUSTED_FIRST && verified <= UNTRUSTED_LAST)
        return *t->ca_file ? "; nothing in ca_file vouches for it" : "; ca_file can name what to trust";
    if (code == CURLE_SSL_CACERT_BADFILE)
        return *t->ca_file ? "; see ca_file" : "";
    /* with TLS 1.3 a client certificate that is missing or not taken shows when the handshake is over, as that */
    if (kind_of(code) == CURLE_RECV_ERROR && code != CURLE_SSL_CONNECT_ERROR && status == 0 &&
        strncasecmp(t->url, "https:", 6) == 0)
        return *t->cert_file ? "; it may not take the certificate in cert_file"
                             : "; it may want cert_file and key_file";
    return code == CURLE_SSL_CERTPROBLEM ? "; see cert_file and key_file" : "";
}

static const char *refused_hint(CURL *easy, const struct target_settings *t)
{
    long redirects = 0;
    curl_easy_getinfo(easy, CURLINFO_REDIRECT_COUNT, &redirects);
    if (!t->secret)
        return ": it wants credentials (user and password_file, or token_file)";
    if (redirects > 0)
        return " after a redirect: credentials go to the host in the URL alone";
    return *t->user ? ": it does not take user with what password_file holds"
                    : ": it does not take what token_file holds";
}

unsigned access_trouble(CURL *easy, CURLcode code, const char *detail, const struct target_settings *t, char *out,
                        size_t cap)
{
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    *out = 0;
    if (code != CURLE_OK) {
        snprintf(out, cap, "%s%s", *detail ? detail : curl_easy_strerror(code), tls_hint(easy, code, t));
        return 1000 + (unsigned)kind_of(code);
    }
    if (status == 200)
        return 0;
    snprintf(out, cap, "HTTP %ld%s", status, status == 401 || status == 403 ? refused_hint(easy, t) : "");
    return (unsigned)status;
}
