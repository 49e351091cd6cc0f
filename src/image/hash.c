/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 by OpenSSL, which uses the processor's own instructions where it has them. */
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "image/writer.h"

struct hash {
    EVP_MD_CTX *context;
};

/*
 * Looking an algorithm up takes locks of OpenSSL that another thread, in a TLS handshake say, may
 * hold when this process forks an unpacker; the child would wait for ever. So it is looked up once,
 * and a pull hashes its manifest before it starts threads.
 */
static EVP_MD *sha256_fetched;

static void fetch_sha256(void)
{
    sha256_fetched = EVP_MD_fetch(NULL, "SHA256", NULL);
}

static const EVP_MD *sha256(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, fetch_sha256);
    return sha256_fetched ? sha256_fetched : EVP_sha256();
}

struct hash *hash_new(void)
{
    struct hash *h = mem_new(struct hash);

    if (!h)
        return NULL;
    h->context = EVP_MD_CTX_new();
    if (!h->context || EVP_DigestInit_ex(h->context, sha256(), NULL) != 1) {
        hash_free(h);
        return NULL;
    }
    return h;
}

void hash_add(struct hash *h, const void *bytes, size_t n)
{
    EVP_DigestUpdate(h->context, bytes, n);
}

static void digest_text(const unsigned char *raw, struct digest *ret)
{
    memcpy(ret->text, "sha256:", 7);
    for (size_t i = 0; i < 32; i++)
        snprintf(ret->text + 7 + 2 * i, 3, "%02x", raw[i]);
}

void hash_get(struct hash *h, struct digest *ret)
{
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    unsigned char raw[EVP_MAX_MD_SIZE] = {0};

    /* Without memory the digest is one that nothing has. */
    if (copy && EVP_MD_CTX_copy_ex(copy, h->context) == 1)
        EVP_DigestFinal_ex(copy, raw, NULL);
    EVP_MD_CTX_free(copy);
    digest_text(raw, ret);
}

void hash_free(struct hash *h)
{
    if (h)
        EVP_MD_CTX_free(h->context);
    free(h);
}

void hash_bytes(const void *bytes, size_t n, struct digest *ret)
{
    unsigned char raw[EVP_MAX_MD_SIZE] = {0};

    EVP_Digest(bytes, n, raw, NULL, sha256(), NULL);
    digest_text(raw, ret);
}

void layer_chain(const char *parent, const char *diff_id, struct digest *ret)
{
    char text[2 * DIGEST_TEXT + 1];

    if (!parent) {
        snprintf(ret->text, sizeof ret->text, "%s", diff_id);
        return;
    }
    snprintf(text, sizeof text, "%.71s %.71s", parent, diff_id);
    hash_bytes(text, strlen(text), ret);
}
