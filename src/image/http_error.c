/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl's results as sentences that say what to do next. */
#include <errno.h>
#include <string.h>

#include "image/http_internal.h"

/* A server that answers a TLS greeting with plain text; the words are OpenSSL's. */
static bool not_tls(CURLcode code, const char *detail)
{
    return code == CURLE_SSL_CONNECT_ERROR &&
           (strstr(detail, "wrong version number") || strstr(detail, "packet length too long") ||
            strstr(detail, "record layer failure"));
}

enum http_failure http_classify(CURLcode code, const char *detail)
{
    if (not_tls(code, detail))
        return HTTP_FAILURE_NO_TLS;
    switch ((int)code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
        return HTTP_FAILURE_UNREACHABLE;
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SSL_CONNECT_ERROR:
        return HTTP_FAILURE_TRANSIENT;
    default:
        return HTTP_FAILURE_FATAL;
    }
}

int http_describe(CURLcode code, const char *authority, const char *detail, long os_error,
                  struct error *err)
{
    size_t n = strcspn(authority, ":");
    bool direct = os_error && n && memmem(detail, strlen(detail), authority, n);

    if (not_tls(code, detail))
        return error_set(err, -EPROTO,
                         "%s does not speak TLS; if it is to be used without, mark it "
                         "\"insecure\" in registries.json",
                         authority);
    switch ((int)code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return error_set(err, -EHOSTUNREACH,
                         "%s has no address; check its spelling and this host's DNS "
                         "(/etc/resolv.conf), or set https_proxy",
                         authority);
    case CURLE_COULDNT_RESOLVE_PROXY:
        return error_set(err, -EHOSTUNREACH,
                         "the proxy for %s has no address; check http_proxy, https_proxy and "
                         "all_proxy",
                         authority);
    case CURLE_COULDNT_CONNECT:
        /* libcurl's text names the proxy when that is what cannot be reached. */
        return error_set(err, os_error ? -(int)os_error : -ECONNREFUSED,
                         "no connection to %s: %s%s%s; check that it runs and can be reached",
                         authority, direct ? "" : detail, os_error && !direct ? ": " : "",
                         os_error ? strerror((int)os_error) : "");
    case CURLE_OPERATION_TIMEDOUT:
        return error_set(err, -ETIMEDOUT, "%s does not answer: %s", authority, detail);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return error_set(err, -EPROTO,
                         "the certificate of %s is not trusted: %s; put its authority into "
                         "/etc/isola/certs.d/%s/ca.crt",
                         authority, detail, authority);
    case CURLE_SSL_CERTPROBLEM:
        return error_set(err, -EPROTO, "the client certificate for %s cannot be used: %s",
                         authority, detail);
    case CURLE_GOT_NOTHING:
        return error_set(err, -ECONNRESET, "%s closed the connection without an answer", authority);
    case CURLE_PARTIAL_FILE:
        return error_set(err, -ECONNRESET, "%s closed the connection too early: %s", authority,
                         detail);
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
        return error_set(err, -EPROTO, "%s does not speak HTTP: %s", authority, detail);
    case CURLE_OUT_OF_MEMORY:
        return error_set_errno(err, -ENOMEM, "talk to %s", authority);
    default:
        return error_set(err, -EIO, "talk to %s: %s", authority, detail);
    }
}
