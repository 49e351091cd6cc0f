/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "instance/json.h"

/* syscalls: close fstat ftruncate newfstatat openat rename unlink write */

struct pending {
    uint8_t bytes[LOG_LINE_MAX];
    size_t len;
};

struct log_file {
    char *path;
    int fd;
    uint64_t size, max_size;
    unsigned max_files;
    uint64_t lost;  /* lines since the last that was written */
    struct str out; /* lines being put together */
    unsigned out_lines;
    struct pending pending[LOG_STREAMS];
};

static const char *const stream_names[LOG_STREAMS] = {"stdout", "stderr", "debug", "isola"};

const char *log_stream_name(enum log_stream stream)
{
    return stream_names[stream];
}

static int open_current(struct log_file *log, struct error *err)
{
    struct stat st;

    log->fd = open(log->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log->fd < 0 || fstat(log->fd, &st) < 0)
        return error_set_errno(err, -errno, "open %s", log->path);
    log->size = (uint64_t)st.st_size;
    return 0;
}

struct log_file *log_file_open(const char *dir, uint64_t max_size, unsigned max_files,
                               struct error *err)
{
    struct log_file *log = mem_new(struct log_file);

    if (log)
        log->fd = -1;
    if (!log || !(log->path = str_format("%s/console.log", dir))) {
        error_set(err, -ENOMEM, "out of memory");
        log_file_close(log);
        return NULL;
    }
    log->max_size = max_size;
    log->max_files = max_files;
    if (open_current(log, err) < 0) {
        log_file_close(log);
        return NULL;
    }
    return log;
}

void log_file_close(struct log_file *log)
{
    if (!log)
        return;
    if (log->fd >= 0) {
        log_file_flush(log);
        close(log->fd);
    }
    str_done(&log->out);
    free(log->path);
    free(log);
}

static void rotate(struct log_file *log)
{
    for (unsigned i = log->max_files; i-- > 1;) {
        cleanup_free char *from = i > 1 ? str_format("%s.%u", log->path, i - 1) : strdup(log->path);
        cleanup_free char *to = str_format("%s.%u", log->path, i);
        if (from && to)
            rename(from, to);
    }
    if (log->max_files == 1)
        unlink(log->path);
    close(log->fd);
    log->fd = -1;
    open_current(log, NULL);
}

static void put_text(struct str *out, const uint8_t *bytes, size_t n)
{
    size_t from = 0;

    for (size_t i = 0; i < n; i++) {
        uint8_t c = bytes[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
            continue;
        str_add_n(out, bytes + from, i - from);
        from = i + 1;
        if (c == '\n')
            str_add(out, "\\n");
        else if (c == '\r')
            str_add(out, "\\r");
        else if (c == '"' || c == '\\')
            str_addf(out, "\\%c", c);
        else
            str_addf(out, "\\u%04x", c);
    }
    str_add_n(out, bytes + from, n - from);
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void put_base64(struct str *out, const uint8_t *b, size_t n)
{
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)b[i] << 16 | (i + 1 < n ? (uint32_t)b[i + 1] << 8 : 0) |
                     (i + 2 < n ? b[i + 2] : 0);
        str_add_char(out, base64_digits[v >> 18]);
        str_add_char(out, base64_digits[v >> 12 & 63]);
        str_add_char(out, i + 1 < n ? base64_digits[v >> 6 & 63] : '=');
        str_add_char(out, i + 2 < n ? base64_digits[v & 63] : '=');
    }
}

static int get_base64(struct str *out, const char *s)
{
    uint32_t v = 0;
    unsigned bits = 0;

    for (; *s && *s != '='; s++) {
        const char *digit = strchr(base64_digits, *s);
        if (!digit)
            return -EINVAL;
        v = (v << 6 | (uint32_t)(digit - base64_digits)) & 0xffffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            str_add_char(out, (char)(v >> bits));
        }
    }
    return 0;
}

static void put_line(struct log_file *log, enum log_stream stream, const uint8_t *bytes, size_t n)
{
    struct timespec ts;
    struct tm tm;
    char when[32];

    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    str_addf(&log->out, "{\"time\":\"%s.%09ldZ\",\"stream\":\"%s\",", when, ts.tv_nsec,
             stream_names[stream]);
    if (utf8_ok(bytes, n)) {
        str_add(&log->out, "\"log\":\"");
        put_text(&log->out, bytes, n);
    } else {
        str_add(&log->out, "\"log64\":\"");
        put_base64(&log->out, bytes, n);
    }
    str_add(&log->out, "\"}\n");
    log->out_lines++;
}

/* Writes what was put together. A write cut short by a full disk is undone: no torn lines. */
static void write_out(struct log_file *log)
{
    size_t n = log->out.len;
    ssize_t done;

    if (!n && !log->out.failed)
        return;
    if (log->fd < 0)
        open_current(log, NULL);
    done = log->out.failed || log->fd < 0 ? -1 : write(log->fd, log->out.data, n);
    if (done == (ssize_t)n) {
        log->size += n;
    } else {
        if (done > 0 && ftruncate(log->fd, (off_t)log->size) < 0)
            log->size += (uint64_t)done;
        log->lost += log->out_lines;
    }
    log->out_lines = 0;
    if (log->out.failed || log->out.cap > 256u << 10) {
        str_done(&log->out);
    } else {
        log->out.len = 0;
    }
    if (log->fd >= 0 && log->size >= log->max_size)
        rotate(log);
}

static void end_batch(struct log_file *log)
{
    uint64_t lost = log->lost;
    char text[96];

    write_out(log);
    if (!lost || log->lost != lost)
        return; /* nothing was lost before, or it still is */
    log->lost = 0;
    snprintf(text, sizeof text, "%llu lines could not be written and are lost\n",
             (unsigned long long)lost);
    put_line(log, LOG_STREAM_ISOLA, (const uint8_t *)text, strlen(text));
    write_out(log);
    if (log->lost)
        log->lost += lost - 1;
}

void log_file_add(struct log_file *log, enum log_stream stream, const uint8_t *bytes, size_t n)
{
    struct pending *p = &log->pending[stream];
    bool any = false;

    while (n) {
        const uint8_t *end = memchr(bytes, '\n', n);
        size_t take = end ? (size_t)(end - bytes) + 1 : n;
        bool whole;
        take = min_of(take, sizeof p->bytes - p->len);
        memcpy(p->bytes + p->len, bytes, take);
        p->len += take;
        bytes += take;
        n -= take;
        whole = p->bytes[p->len - 1] == '\n';
        if (whole || p->len == sizeof p->bytes) {
            put_line(log, stream, p->bytes, p->len);
            p->len = 0;
            any = true;
            if (log->out.len >= 64u << 10)
                end_batch(log);
        }
    }
    if (any)
        end_batch(log);
}

bool log_file_pending(const struct log_file *log)
{
    for (unsigned i = 0; i < LOG_STREAMS; i++)
        if (log->pending[i].len)
            return true;
    return false;
}

void log_file_flush(struct log_file *log)
{
    for (unsigned i = 0; i < LOG_STREAMS; i++) {
        struct pending *p = &log->pending[i];
        if (p->len)
            put_line(log, i, p->bytes, p->len);
        p->len = 0;
    }
    end_batch(log);
}

static bool parse_time(const char *s, int64_t *ret)
{
    struct tm tm = {0};
    unsigned nano;

    if (sscanf(s, "%4d-%2d-%2dT%2d:%2d:%2d.%9uZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec, &nano) != 7)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    *ret = (int64_t)timegm(&tm) * 1000000000 + nano;
    return true;
}

int log_line_parse(const char *line, size_t len, int64_t *ret_time, enum log_stream *ret_stream,
                   struct str *text)
{
    const char *when, *stream, *log = NULL, *log64 = NULL;
    json_t *o = json_loadb(line, len, JSON_ALLOW_NUL, NULL);
    size_t log_len = 0;
    int r = -EINVAL;

    if (o &&
        json_unpack(o, "{s:s,s:s,s?s%,s?s}", "time", &when, "stream", &stream, "log", &log,
                    &log_len, "log64", &log64) == 0 &&
        (log || log64) && parse_time(when, ret_time)) {
        for (unsigned i = 0; i < LOG_STREAMS; i++)
            if (strcmp(stream_names[i], stream) == 0) {
                *ret_stream = i;
                r = 0;
            }
        if (r == 0 && log)
            str_add_n(text, log, log_len);
        else if (r == 0)
            r = get_base64(text, log64);
    }
    json_decref(o);
    return r == 0 && text->failed ? -ENOMEM : r;
}
