/* SPDX-License-Identifier: Apache-2.0 */
/* Containerfiles with all their words expanded, and .dockerignore files. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "build/containerfile.h"
#include "build/ignore.h"
#include "build/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *value(void *opaque, const char *name, size_t n)
{
    (void)opaque;
    return n % 3 ? NULL : name[0] == 'P' ? "/usr/bin:/bin" : "";
}

static void file(const char *text, size_t n)
{
    struct containerfile f;
    struct words_scope scope = {.value = value};

    if (containerfile_parse(text, n, &f, NULL) < 0)
        return;
    scope.escape = f.escape;
    for (size_t i = 0; i < f.count; i++) {
        size_t count;
        free(words_expand(f.list[i].text, &scope, NULL));
        words_free(words_split(f.list[i].text, &scope, &count, NULL));
        for (size_t d = 0; d < f.list[i].document_count; d++)
            free(words_expand_document(f.list[i].documents[d].text, &scope, NULL));
    }
    containerfile_done(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const paths[] = {"a", "a/b/c", "src/x.c", "node_modules/y"};
    struct ignore *g;

    if (size && data[0] != 'i') {
        file((const char *)data, size);
        return 0;
    }
    g = size ? ignore_parse((const char *)data + 1, size - 1, NULL) : NULL;
    for (size_t i = 0; g && i < sizeof(paths) / sizeof(*paths); i++)
        (void)ignore_matches(g, paths[i]);
    ignore_free(g);
    return 0;
}
