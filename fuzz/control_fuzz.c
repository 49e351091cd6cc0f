/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a supervisor and its clients read from others: requests and frames of the control protocol
 * in pieces of any size, specs, and lines of the log. The first byte chooses.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "instance/engine.h"
#include "instance/log_file.h"
#include "instance/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

const struct engine_ops *const engines_built_in[] = {NULL};

/* As a connection: lines until an attach succeeds, then frames. */
static void connection(const uint8_t *data, size_t size)
{
    struct protocol_reader *r = mem_new(struct protocol_reader);
    struct protocol_request q;
    bool stream = false;

    while (r && size) {
        size_t room, n, len;
        uint8_t *space = protocol_space(r, &room), type;
        const uint8_t *frame;
        const char *line;
        int got = 1;

        n = min_of(room, size);
        n = min_of(n, (size_t)data[0] + 1); /* the bytes choose the pieces */
        if (!n)
            break;
        memcpy(space, data, n);
        protocol_received(r, n);
        data += n;
        size -= n;
        while (got > 0 && !stream) {
            got = protocol_next_line(r, &line, &len);
            stream =
                got > 0 && protocol_parse(line, len, &q, NULL) == 0 && q.verb == PROTOCOL_ATTACH;
        }
        while (got > 0)
            if ((got = protocol_next_frame(r, &type, &frame, &len)) > 0 && len && !frame)
                abort();
        if (got < 0)
            break;
    }
    free(r);
}

/* What is accepted must be written, and read again as the same. */
static void spec(const uint8_t *data, size_t size)
{
    struct spec *s = spec_from_json((const char *)data, size, NULL), *again;
    char *text = s ? spec_to_json(s) : NULL, *twice;

    if (s && !text)
        abort();
    if (text) {
        again = spec_from_json(text, strlen(text), NULL);
        twice = again ? spec_to_json(again) : NULL;
        if (!twice || strcmp(text, twice) != 0)
            abort();
        free(twice);
        spec_free(again);
    }
    free(text);
    spec_free(s);
}

static void log_line(const uint8_t *data, size_t size)
{
    struct str text = {0};
    enum log_stream stream;
    int64_t when;

    if (log_line_parse((const char *)data, size, &when, &stream, &text) == 0 &&
        (unsigned)stream >= LOG_STREAMS)
        abort();
    str_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    switch (data[0] % 3) {
    case 0:
        connection(data + 1, size - 1);
        break;
    case 1:
        spec(data + 1, size - 1);
        break;
    default:
        log_line(data + 1, size - 1);
    }
    return 0;
}
