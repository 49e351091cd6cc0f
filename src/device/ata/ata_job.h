/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries out an ata_action: moves bytes between the medium and the cable's end, piece by piece
 * through a buffer of its own, without ever waiting. What the guest does to its memory meanwhile
 * therefore never meets an operation in flight.
 */
#ifndef DEVICE_ATA_ATA_JOB_H
#define DEVICE_ATA_ATA_JOB_H

#include "device/ata/ata.h"

enum { ATA_JOB_BUFFER = 128 << 10 };

struct ata_job {
    /*
     * The cable: takes (@in) up to @n bytes, or gives them. Returns how many, at least one; 0: not
     * now (call ata_job_run when it can); -EFAULT: guest memory is not there; -ENOBUFS: the guest's
     * memory list ends here. Answers of 1..@n bytes that are not sectors are fine on the way in;
     * on the way out all @n bytes or none.
     */
    int64_t (*move)(struct ata_job *job, uint8_t *bytes, uint32_t n, bool in);
    /* Called once for each ata_job_start: 0 or a negative errno. May start the next one. */
    void (*ended)(struct ata_job *job, int result);
    void *opaque;   /* the cable's */
    uint32_t piece; /* bytes at a time, a multiple of 512 up to ATA_JOB_BUFFER */
    struct ata_drive *drive;
    struct ata_action action;
    uint64_t done; /* bytes that have arrived */
    uint8_t active;
    /* Host side. */
    struct block_request io;
    struct block_span span;
    uint8_t *buffer;
    uint32_t have, used; /* bytes in the buffer, and those of them moved on */
    uint8_t step;
    bool in_flight, running;
    struct block *block; /* what it works on; a disc may be changed meanwhile */
};

/* Gives the job its buffer. -ENOMEM. */
int ata_job_init(struct ata_job *job, struct error *err);
/* Stops it and frees the buffer. */
void ata_job_done(struct ata_job *job);

/* Starts @job->action (set by the caller) on @drive. */
void ata_job_start(struct ata_job *job, struct ata_drive *drive);
/* The cable can move again. Also takes up an action that was loaded with a snapshot. */
void ata_job_run(struct ata_job *job);
/*
 * After a load of active, action and done, which may come from a damaged file: whether @drive can
 * go on with them. Otherwise the job is made inactive.
 */
bool ata_job_loaded(struct ata_job *job, struct ata_drive *drive);
/* Waits until the host has nothing in hand: the job has ended, or waits for the cable. */
void ata_job_settle(struct ata_job *job);
/*
 * Ends it without a word; waits for what the host has in hand, unless called out of an end: then
 * in_flight says whether the job may be used again.
 */
void ata_job_stop(struct ata_job *job);

/* Fields of a state table; @job is a member of @type. */
#define ATA_JOB_STATE(type, job)                                                                   \
    STATE_FIELD(type, job.active, 0), STATE_FIELD(type, job.done, 0),                              \
        STATE_FIELD(type, job.action.protocol, 0), STATE_FIELD(type, job.action.source, 0),        \
        STATE_FIELD(type, job.action.error, 0), STATE_FIELD(type, job.action.flush, 0),            \
        STATE_FIELD(type, job.action.packet, 0), STATE_FIELD(type, job.action.drq, 0),             \
        STATE_FIELD(type, job.action.offset, 0), STATE_FIELD(type, job.action.len, 0),             \
        STATE_BLOB(type, job.action.data)

#endif
