/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What host and agent say to each other over the port org.isola.agent: docs/agent-protocol.md.
 * Both ends are of one build: there is one version, and no other is understood.
 *
 * A frame is a header (le32 length of the payload, le16 process, u8 type, u8 zero) and the payload.
 */
#ifndef GUEST_PROTOCOL_H
#define GUEST_PROTOCOL_H

enum {
    AGENT_VERSION = 1,
    AGENT_HEADER = 8,
    AGENT_DATA_MAX = 31 << 10,   /* payload of what the guest sends, and of AGENT_INPUT */
    AGENT_REQUEST_MAX = 1 << 20, /* payload of AGENT_SETUP and AGENT_RUN */
    AGENT_WINDOW = 128 << 10,    /* bytes of a stream on their way before a credit is needed */
    AGENT_CREDIT_MIN = 32 << 10, /* credits are not given for less */
    AGENT_PROCESSES = 64,        /* at once */
    AGENT_MAIN = 1,              /* the process whose end is the end of the machine */
    AGENT_NOBODY = 0,            /* "process" of frames that are about the machine */
};

enum agent_stream { AGENT_STDIN, AGENT_STDOUT, AGENT_STDERR };

/*
 * Payloads are texts "key=value", each ended by a zero byte (settings); bytes; or numbers of 32
 * bits, little-endian.
 */
enum agent_frame {
    /* From the host. */
    AGENT_SETUP = 1,  /* settings of the machine: the first frame */
    AGENT_RUN = 2,    /* settings of a process */
    AGENT_INPUT = 3,  /* bytes of standard input */
    AGENT_END = 4,    /* standard input has ended */
    AGENT_RESIZE = 5, /* columns, rows */
    AGENT_SIGNAL = 6, /* Linux's number */
    AGENT_TIME = 7,   /* ns since 1970, low and high half: the machine stood still meanwhile */
    /* From the guest. */
    AGENT_HELLO = 0x81,   /* version: the first frame */
    AGENT_READY = 0x82,   /* the set-up is done */
    AGENT_FAILED = 0x83,  /* text: the set-up failed; the last frame */
    AGENT_REFUSED = 0x84, /* exit code, then text: the process could not be made; its last frame */
    AGENT_OUTPUT = 0x85,  /* bytes of standard output, or of the terminal */
    AGENT_ERRORS = 0x86,  /* bytes of standard error */
    AGENT_EXIT = 0x87,    /* exit code, 128+n after signal n; all output came before; the last */
    /* From both. */
    AGENT_CREDIT = 0x40, /* stream, bytes: that many were taken, as many may follow */
};

/* Exit codes of AGENT_REFUSED, as of Docker. */
enum { AGENT_EXIT_OWN = 125, AGENT_EXIT_CANNOT = 126, AGENT_EXIT_NOT_FOUND = 127 };

#endif
