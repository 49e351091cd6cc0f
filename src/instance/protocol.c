/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/protocol.h"

#include <errno.h>
#include <jansson.h>

#include "base/mem.h"
#include "instance/json.h"

/* Keys that a verb takes beside "do" and "id". */
enum {
    KEY_TIMEOUT = 1,
    KEY_SIGNAL = 2,
    KEY_STREAM = 4, /* input, replay, wait, columns, rows */
    KEY_UPGRADE = 8,
    KEY_UPDATE = 16, /* key, value */
    KEY_EXEC = 32,   /* words, env, workdir, user, tty, input, detach */
    KEY_DIR = 64
};

static const struct {
    const char *name;
    unsigned keys;
} verbs[PROTOCOL_VERBS] = {
    [PROTOCOL_STATE] = {"state", 0},
    [PROTOCOL_INSPECT] = {"inspect", 0},
    [PROTOCOL_STATS] = {"stats", 0},
    [PROTOCOL_PAUSE] = {"pause", 0},
    [PROTOCOL_RESUME] = {"resume", 0},
    [PROTOCOL_STOP] = {"stop", KEY_TIMEOUT},
    [PROTOCOL_KILL] = {"kill", KEY_SIGNAL},
    [PROTOCOL_START] = {"start", KEY_STREAM | KEY_UPGRADE},
    [PROTOCOL_ATTACH] = {"attach", KEY_STREAM},
    [PROTOCOL_WAIT] = {"wait", 0},
    [PROTOCOL_UPDATE] = {"update", KEY_UPDATE},
    [PROTOCOL_EXEC] = {"exec", KEY_EXEC},
    [PROTOCOL_SCREEN] = {"screen", 0},
    [PROTOCOL_SNAPSHOT] = {"snapshot", KEY_DIR},
    [PROTOCOL_FORK] = {"fork", KEY_DIR},
    [PROTOCOL_DEBUG] = {"debug", KEY_UPDATE},
    [PROTOCOL_SHOW] = {"show", KEY_UPDATE},
};

const char *protocol_verb_name(enum protocol_verb verb)
{
    return verbs[verb].name;
}

static int get_number(json_t *v, json_int_t min, json_int_t max, json_int_t *ret)
{
    if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
        return -EINVAL;
    *ret = json_integer_value(v);
    return 0;
}

static int get_bool(json_t *v, bool *ret)
{
    if (!json_is_boolean(v))
        return -EINVAL;
    *ret = json_is_true(v);
    return 0;
}

static int get_text(json_t *v, char *buf, size_t size)
{
    if (!json_is_string(v) || json_string_length(v) >= size)
        return -EINVAL;
    memcpy(buf, json_string_value(v), json_string_length(v) + 1);
    return 0;
}

/* Adds a text to q->texts: where it is, or NULL. */
static const char *add_text(struct protocol_request *q, size_t *used, json_t *v)
{
    size_t n = json_string_length(v) + 1;
    char *at = q->texts + *used;

    /* A zero byte inside cannot come: JSON's is refused by the parser. */
    if (!json_is_string(v) || n > sizeof q->texts - *used)
        return NULL;
    memcpy(at, json_string_value(v), n);
    *used += n;
    return at;
}

static int add_texts(struct protocol_request *q, size_t *used, json_t *list)
{
    size_t i;
    json_t *v;

    json_array_foreach(list, i, v)
    {
        if (!add_text(q, used, v))
            return -EINVAL;
    }
    return 0;
}

static int check_exec_key(struct protocol_request *q, const char *key, json_t *v)
{
    if (strcmp(key, "words") == 0 || strcmp(key, "env") == 0)
        return json_is_array(v) ? 0 : -EINVAL; /* parse_exec */
    if (strcmp(key, "workdir") == 0 || strcmp(key, "user") == 0)
        return json_is_string(v) ? 0 : -EINVAL;
    if (strcmp(key, "tty") == 0)
        return get_bool(v, &q->tty);
    if (strcmp(key, "input") == 0)
        return get_bool(v, &q->input);
    return strcmp(key, "detach") == 0 ? get_bool(v, &q->detach) : -ENOENT;
}

/* One key of a request. -ENOENT: the verb does not take it. */
static int get_key(struct protocol_request *q, unsigned keys, const char *key, json_t *v)
{
    json_int_t n = 0;
    int r = -ENOENT;

    if ((keys & KEY_TIMEOUT) && strcmp(key, "timeout") == 0) {
        r = get_number(v, -1, 86400, &n);
        q->timeout = (int)n;
    } else if ((keys & KEY_SIGNAL) && strcmp(key, "signal") == 0) {
        r = get_number(v, 1, 64, &n);
        q->signal = (int)n;
    } else if ((keys & KEY_UPGRADE) && strcmp(key, "stream") == 0) {
        r = get_bool(v, &q->stream);
    } else if ((keys & KEY_STREAM) && strcmp(key, "input") == 0) {
        r = get_bool(v, &q->input);
    } else if ((keys & KEY_STREAM) && strcmp(key, "replay") == 0) {
        r = get_bool(v, &q->replay);
    } else if ((keys & KEY_STREAM) && strcmp(key, "wait") == 0) {
        r = get_bool(v, &q->wait);
    } else if ((keys & KEY_STREAM) && strcmp(key, "columns") == 0) {
        r = get_number(v, 0, 65535, &n);
        q->columns = (unsigned)n;
    } else if ((keys & KEY_STREAM) && strcmp(key, "rows") == 0) {
        r = get_number(v, 0, 65535, &n);
        q->rows = (unsigned)n;
    } else if ((keys & KEY_UPDATE) && strcmp(key, "key") == 0) {
        r = get_text(v, q->key, sizeof q->key);
    } else if ((keys & KEY_UPDATE) && strcmp(key, "value") == 0) {
        r = get_text(v, q->value, sizeof q->value);
    } else if ((keys & KEY_DIR) && strcmp(key, "dir") == 0) {
        r = get_text(v, q->value, sizeof q->value);
    } else if (keys & KEY_EXEC) {
        r = check_exec_key(q, key, v);
    }
    return r;
}

static int parse_exec(json_t *o, struct protocol_request *q)
{
    json_t *words = json_object_get(o, "words"), *env = json_object_get(o, "env"),
           *workdir = json_object_get(o, "workdir"), *user = json_object_get(o, "user");
    size_t used = 0;

    q->word_count = (unsigned)json_array_size(words);
    q->env_count = (unsigned)json_array_size(env);
    if (!q->word_count || add_texts(q, &used, words) < 0 || add_texts(q, &used, env) < 0)
        return -EINVAL;
    q->workdir = workdir ? add_text(q, &used, workdir) : NULL;
    q->user = user ? add_text(q, &used, user) : NULL;
    return (workdir && !q->workdir) || (user && !q->user) ? -EINVAL : 0;
}

static int parse_object(json_t *o, struct protocol_request *q, struct error *err)
{
    json_t *verb = json_object_get(o, "do"), *id = json_object_get(o, "id"), *v;
    const char *key;
    json_int_t n = -1;

    if (!json_is_object(o))
        return error_set(err, -EINVAL, "not an object");
    if (id && get_number(id, 0, (json_int_t)1 << 53, &n) < 0)
        return error_set(err, -EINVAL, "\"id\" is not a number");
    q->id = n;
    if (!json_is_string(verb))
        return error_set(err, -EINVAL, "\"do\" is missing");
    for (q->verb = 0; q->verb < PROTOCOL_VERBS; q->verb++)
        if (strcmp(verbs[q->verb].name, json_string_value(verb)) == 0)
            break;
    if (q->verb == PROTOCOL_VERBS)
        return error_set(err, -EINVAL, "no such verb: %.40s", json_string_value(verb));
    json_object_foreach(o, key, v)
    {
        int r = 0;
        if (v != verb && v != id)
            r = get_key(q, verbs[q->verb].keys, key, v);
        if (r < 0)
            return error_set(err, -EINVAL, "%s: %s key \"%.40s\"", verbs[q->verb].name,
                             r == -ENOENT ? "unknown" : "bad value of", key);
    }
    if (q->verb == PROTOCOL_KILL && !q->signal)
        return error_set(err, -EINVAL, "kill: \"signal\" is missing");
    if (q->verb == PROTOCOL_EXEC && parse_exec(o, q) < 0)
        return error_set(err, -EINVAL, "exec: \"words\" is missing, or a text is none");
    if (q->verb == PROTOCOL_SNAPSHOT && q->value[0] != '/')
        return error_set(err, -EINVAL, "snapshot: \"dir\" is no absolute path");
    if (q->verb == PROTOCOL_UPDATE && !q->key[0])
        return error_set(err, -EINVAL, "update: \"key\" is missing");
    return 0;
}

int protocol_parse(const char *line, size_t len, struct protocol_request *ret, struct error *err)
{
    json_t *o;
    int r;

    *ret = (struct protocol_request){.id = -1, .timeout = -1};
    o = json_parse(line, len, err);
    if (!o)
        return -EINVAL;
    r = parse_object(o, ret, err);
    json_decref(o);
    return r;
}

uint8_t *protocol_space(struct protocol_reader *r, size_t *ret_room)
{
    if (r->at) {
        memmove(r->buf, r->buf + r->at, r->len - r->at);
        r->len -= r->at;
        r->at = 0;
    }
    *ret_room = sizeof r->buf - r->len;
    return r->buf + r->len;
}

void protocol_received(struct protocol_reader *r, size_t n)
{
    r->len += n;
}

int protocol_next_line(struct protocol_reader *r, const char **ret_line, size_t *ret_len)
{
    const uint8_t *from = r->buf + r->at, *end = memchr(from, '\n', r->len - r->at);

    if (!end)
        return r->len - r->at == sizeof r->buf ? -EMSGSIZE : 0;
    *ret_line = (const char *)from;
    *ret_len = (size_t)(end - from);
    r->at += *ret_len + 1;
    return 1;
}

int protocol_next_frame(struct protocol_reader *r, uint8_t *ret_type, const uint8_t **ret_data,
                        size_t *ret_len)
{
    const uint8_t *from = r->buf + r->at;
    size_t have = r->len - r->at, len;

    if (have < PROTOCOL_FRAME_HEADER)
        return 0;
    len = load_le16(from + 2);
    if (from[1] != 0 || len > PROTOCOL_FRAME_MAX)
        return -EPROTO;
    if (have < PROTOCOL_FRAME_HEADER + len)
        return 0;
    *ret_type = from[0];
    *ret_data = from + PROTOCOL_FRAME_HEADER;
    *ret_len = len;
    r->at += PROTOCOL_FRAME_HEADER + len;
    return 1;
}

void protocol_unread_frame(struct protocol_reader *r, size_t payload)
{
    r->at -= PROTOCOL_FRAME_HEADER + payload;
}

void protocol_frame_header(uint8_t at[PROTOCOL_FRAME_HEADER], enum protocol_frame type, size_t len)
{
    at[0] = (uint8_t)type;
    at[1] = 0;
    store_le16(at + 2, (uint16_t)len);
}
