/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ATA disk or an ATAPI CD drive, without its cable: it makes sense of commands (ATA/ATAPI
 * Command Set 3, T13/2161-D; MMC-6 for CDs) and says what is to be moved. IDE (ide.h) and AHCI
 * (ahci.h) are the cables. The moving itself is an ata_job (ata_job.h).
 */
#ifndef DEVICE_ATA_ATA_H
#define DEVICE_ATA_ATA_H

#include "device/device.h"
#include "io/block.h"

enum {
    ATA_SECTOR = 512,
    ATA_CD_SECTOR = 2048,
    ATA_DATA = 512,    /* the longest answer that does not come from the medium */
    ATA_PACKET = 12,   /* bytes of a packet command */
    ATA_MULTIPLE = 16, /* sectors in a DRQ block of the MULTIPLE commands, at most */
    ATA_QUEUE = 32,    /* commands of native queuing */
};
/* Status register (6.2 of the command set). */
enum {
    ATA_ERR = 0x01,
    ATA_DRQ = 0x08,
    ATA_SERVICE = 0x10, /* seek complete in old drives, which old software waits for */
    ATA_DF = 0x20,
    ATA_RDY = 0x40,
    ATA_BSY = 0x80,
    ATA_READY = ATA_RDY | ATA_SERVICE,
};
/* Error register. */
enum { ATA_E_ABRT = 0x04, ATA_E_IDNF = 0x10, ATA_E_UNC = 0x40, ATA_E_ICRC = 0x80 };

/* The command block; index 1 is what stood there before the last write (for 48 bits). */
struct ata_regs {
    uint8_t feature[2], count[2], lba[2][3];
    uint8_t device, error, status;
};

/* How the data of a command moves. */
enum ata_protocol {
    ATA_P_NONE,
    ATA_P_PIO_IN,
    ATA_P_PIO_OUT,
    ATA_P_DMA_IN,
    ATA_P_DMA_OUT,
    ATA_P_PACKET,     /* the host sends a packet command first: ata_packet */
    ATA_P_DIAGNOSTIC, /* both drives of the cable reset themselves */
    ATA_P_RESET,      /* this one does */
};
/* Where it comes from or goes to. */
enum ata_source {
    ATA_S_NONE,
    ATA_S_DATA,   /* ata_action.data */
    ATA_S_MEDIUM, /* offset, len on the medium */
    ATA_S_VERIFY, /* read from the medium and thrown away */
    ATA_S_FLUSH,
    ATA_S_TRIM, /* 512-byte blocks of ranges to discard */
};

struct ata_action {
    uint8_t protocol, source;
    uint8_t error;  /* not 0: the command is aborted with it */
    uint8_t flush;  /* durable when done */
    uint8_t packet; /* belongs to a packet command: an error is a sense code */
    uint32_t drq;   /* bytes in one DRQ block of PIO */
    uint64_t offset, len;
    uint8_t data[ATA_DATA];
};

struct ata_drive {
    struct device dev;
    struct block *block; /* borrowed; a CD: the disc, NULL when there is none */
    bool cd, sata;       /* sata: on a serial cable, with native queuing */
    char serial[21];
    /* State. */
    uint8_t multiple, write_cache, look_ahead;
    uint8_t mwdma, udma;    /* mode bits as in words 63 and 88 */
    uint8_t heads, sectors; /* the translation of cylinder/head/sector addresses */
    uint8_t sense[3];       /* key, additional code, qualifier */
    uint8_t attention;      /* additional code of a pending unit attention: 0x28, 0x29 */
    uint8_t locked, tray_open, media_event;
    uint8_t error_log[14]; /* of the queued command that failed (A.14.2 of ACS-3) */
    /* Counters. */
    uint64_t read_bytes, written_bytes;
};

/*
 * Makes a drive. @cd: a CD drive, whose @block (NULL: no disc) may change; its size is a multiple
 * of 512. Borrows @block. The name is the device's, unique in its machine. NULL with @err set.
 */
struct ata_drive *ata_drive_new(const char *name, struct block *block, bool cd, struct error *err);
struct device *ata_drive_device(struct ata_drive *d);

/*
 * Puts another disc (NULL: none) into a CD drive and closes its tray, whatever the guest's lock
 * says. The caller has drained the old one (block_drain) and closes it afterwards.
 */
void ata_cd_change(struct ata_drive *d, struct block *disc);

/* After power-up, a hardware or a software reset (9.2 of ATA8-AST): drive state and signature. */
void ata_drive_reset(struct ata_drive *d, struct ata_regs *regs);
/* The signature that tells a disk from a CD drive (9.12 of ACS). */
void ata_signature(const struct ata_drive *d, struct ata_regs *regs);

/* Makes sense of command @code with the registers @regs, which it may change. */
void ata_command(struct ata_drive *d, uint8_t code, struct ata_regs *regs, struct ata_action *ret);
/* Of a packet command. @limit: the byte count limit of PIO (0: DMA). */
void ata_packet(struct ata_drive *d, const uint8_t packet[ATA_PACKET], uint32_t limit,
                struct ata_action *ret);
/*
 * What an action that ended with @result (0 or a negative errno) leaves in @regs: status and error,
 * and for packet commands the sense code and interrupt reason.
 */
void ata_end(struct ata_drive *d, const struct ata_action *a, int result, struct ata_regs *regs);

/* Notes for the log that queued command @tag failed, with what is in @regs. */
void ata_log_error(struct ata_drive *d, unsigned tag, const struct ata_regs *regs);
/* The address of 28 or 48 bits in @regs, and back. */
uint64_t ata_lba(const struct ata_regs *regs, bool ext);

/* For ata.c and atapi.c. */
void ata_identify(const struct ata_drive *d, uint8_t data[ATA_DATA]);
/* "key, code, qualifier" of the sense data; the next command but REQUEST SENSE clears it. */
void ata_sense(struct ata_drive *d, uint8_t key, uint8_t code, uint8_t qualifier);

#endif
