/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server side of a supervisor's control socket: connections, requests, streams. A client can
 * only hurt itself: its lines and frames are bounded, replies wait in a bounded buffer, and one
 * that does not read is not read from.
 */
#ifndef INSTANCE_CONTROL_H
#define INSTANCE_CONTROL_H

#include <jansson.h>

#include "base/loop.h"
#include "instance/console.h"
#include "instance/protocol.h"

enum { CONTROL_CLIENTS = 256, CONTROL_OUT_MAX = 1 << 20, CONTROL_FDS = 32 };

struct control;
struct control_client;

/*
 * Handles @q of @client: answers with control_reply or control_fail now or later (a client has one
 * request at a time), or upgrades it with control_upgrade.
 */
typedef void control_request_fn(void *opaque, struct control_client *client,
                                const struct protocol_request *q);

/* NULL with @err set. @id is the instance's. */
struct control *control_new(struct loop *loop, const char *id, struct console *console,
                            control_request_fn *request, void *opaque, struct error *err);
void control_free(struct control *c);
/* Listens on a new socket at @path; one that is in the way is stale and goes. */
int control_listen(struct control *c, const char *path, struct error *err) error_must_check;
/* Takes no more connections; those that are there stay. */
void control_unlisten(struct control *c);
/* Serves a connected socket (taken); greets it. NULL with @err set. */
struct control_client *control_add(struct control *c, int fd, struct error *err);
/* Called when @client goes, before it is freed. */
void control_set_gone(struct control *c, void (*gone)(void *opaque, struct control_client *client));

/* A success, with the members of @extra (taken; NULL: none). */
void control_reply(struct control_client *client, json_t *extra);
/* The same with descriptors (taken), at most CONTROL_FDS. */
void control_reply_fds(struct control_client *client, const int *fds, unsigned count);
/* @code: negative errno. */
void control_fail(struct control_client *client, int code, const char *text);
/* Answers success and turns the connection into a stream of the console. */
void control_upgrade(struct control_client *client, const struct protocol_request *q);

/*
 * Answers success and takes the connection away: the descriptor (the caller's), which somebody else
 * serves from here on; -1 when the client went.
 */
int control_release(struct control_client *client);

/* Answers everybody who waits for the end (control_defer) and ends all streams. */
void control_ended(struct control *c, int exit_code, const char *reason);
/* The request of @client is answered by control_ended. */
void control_defer(struct control_client *client);
/* A line for the users of all streams. */
void control_notice(struct control *c, const char *text);
/* Whether output waits to be sent. */
bool control_busy(const struct control *c);

#endif
