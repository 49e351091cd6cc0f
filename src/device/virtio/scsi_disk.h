/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a SCSI disk answers (SPC-4, SBC-3), without moving data: a command either has a reply or a
 * sense, or names bytes of the disk that are to be read, written, flushed or unmapped.
 */
#ifndef DEVICE_VIRTIO_SCSI_DISK_H
#define DEVICE_VIRTIO_SCSI_DISK_H

#include "io/block.h"

enum { SCSI_CDB = 32, SCSI_REPLY = 252, SCSI_SENSE = 18 };
enum { SCSI_GOOD = 0, SCSI_CHECK_CONDITION = 2 };

enum scsi_action { SCSI_DONE, SCSI_READ, SCSI_WRITE, SCSI_FLUSH, SCSI_UNMAP };

struct scsi_command {
    uint8_t cdb[SCSI_CDB];
    /* The answer. */
    enum scsi_action action;
    uint8_t status;            /* of SCSI_DONE */
    uint8_t sense[SCSI_SENSE]; /* with SCSI_CHECK_CONDITION */
    uint64_t offset, len;      /* bytes of READ and WRITE; of the parameter list of UNMAP */
    bool force;                /* FUA: flush after the write */
    unsigned reply_len;        /* bytes for the initiator */
    uint8_t reply[SCSI_REPLY];
};

/* Makes sense of c->cdb for disk @b, which is target number @target. */
void scsi_disk_command(const struct block *b, unsigned target, struct scsi_command *c);
/*
 * The parameter list of UNMAP has come: turns its @len bytes into the range c->offset, c->len (0:
 * nothing to do), or an error with action SCSI_DONE.
 */
void scsi_disk_unmap(const struct block *b, struct scsi_command *c, const uint8_t *list,
                     size_t len);
/* The command failed with @code (a negative errno of the block seam). */
void scsi_disk_failed(struct scsi_command *c, int code);
/* There is no such logical unit. */
void scsi_no_unit(struct scsi_command *c);

#endif
