/* SPDX-License-Identifier: Apache-2.0 */
#include "device/ps2.h"

void ps2_pop(struct ps2_device *d)
{
    if (!d->queue.count)
        return;
    d->queue.at = (uint16_t)((d->queue.at + 1) % PS2_BUFFER);
    if (--d->queue.count == 0 && d->drained)
        d->drained(d);
}

void ps2_push(struct ps2_device *d, const uint8_t *bytes, unsigned n)
{
    struct ps2_queue *q = &d->queue;

    for (unsigned i = 0; i < n && q->count < PS2_BUFFER; i++)
        q->bytes[(q->at + q->count++) % PS2_BUFFER] = bytes[i];
    if (n && d->ready)
        d->ready(d->opaque);
}

void ps2_forget(struct ps2_device *d)
{
    d->queue.at = d->queue.count = 0;
}

void ps2_check(struct ps2_device *d)
{
    d->queue.at %= PS2_BUFFER;
    if (d->queue.count > PS2_BUFFER)
        d->queue.count = PS2_BUFFER;
}
