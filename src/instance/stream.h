/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INSTANCE_STREAM_H
#define INSTANCE_STREAM_H

#include "instance/instance.h"

/* A stream over @fd (taken), whose connection was upgraded. */
int stream_new(int fd, struct instance_stream **ret, struct error *err) error_must_check;

/* An event that is there already: 1, 0 (none complete) or a negative errno. */
int stream_poll(struct instance_stream *s, struct instance_stream_event *ret, struct error *err);
/* Reads what there is without waiting: bytes, 0 (none now), -EPIPE at the end. */
int stream_fill(struct instance_stream *s);
/* Sends what the socket takes of an input frame: bytes of @data sent, 0 when it takes none. */
int stream_try_write(struct instance_stream *s, const void *data, size_t n);
/* Leaves politely. */
void stream_detach(struct instance_stream *s);

#endif
