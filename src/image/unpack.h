/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child that unpacks one layer, and how its parent talks with it.
 *
 * The child follows a file that its parent makes longer. Three threads share a ring of buffers: one
 * decompresses into it, one hashes what is in it, one extracts it. The child lives in a user
 * namespace with the layer's directory as its root, under a system call filter, and knows no other
 * files than the one it reads.
 *
 * Messages on a SOCK_SEQPACKET pair; in brackets who sends:
 *   UNPACK_BORN   [child]  it is in its namespaces, or (code) could not make them
 *   UNPACK_MAPPED [parent] ids are mapped
 *   UNPACK_MKNOD  [child]  make a device node; with the directory's descriptor
 *   UNPACK_MADE   [parent] what came of it
 *   UNPACK_DONE   [child]  everything is extracted: the diff id and counts
 *   UNPACK_LOWER  [parent] a layer below, the topmost first; with its descriptor
 *   UNPACK_FINISH [parent] all layers below were sent: directories may inherit from them
 *   UNPACK_BYE    [child]  inherited; the child exits
 *   UNPACK_FAILED [child]  an error instead of DONE or BYE; the child exits
 */
#ifndef IMAGE_UNPACK_H
#define IMAGE_UNPACK_H

#include <stdatomic.h>
#include <sys/types.h>

#include "image/extract.h"
#include "image/idmap.h"
#include "image/writer.h"

/* Memory that parent and child share. */
struct unpack_feed {
    _Atomic uint64_t available; /* bytes in the file */
    _Atomic uint64_t taken;     /* bytes that were decompressed */
    _Atomic uint32_t turn;      /* futex: changes whenever available or end do */
    _Atomic uint32_t end;       /* no more bytes will come */
};
/* Changes the feed and wakes the child. */
void unpack_feed(struct unpack_feed *feed, uint64_t available, bool end);

enum unpack_kind {
    UNPACK_BORN,
    UNPACK_MAPPED,
    UNPACK_MKNOD,
    UNPACK_MADE,
    UNPACK_DONE,
    UNPACK_LOWER,
    UNPACK_FINISH,
    UNPACK_BYE,
    UNPACK_FAILED,
};

struct unpack_message {
    enum unpack_kind kind;
    int code; /* MADE: 0, 1 (left out) or a negative errno; FAILED: a negative errno */
    mode_t mode;
    dev_t device;
    struct digest diff_id;
    struct extract_result result;
    char text[768]; /* FAILED: the error; MKNOD: the name */
};

struct unpack {
    int root;   /* the layer's directory */
    int file;   /* the compressed layer */
    int socket; /* to the parent */
    struct unpack_feed *feed;
    struct hash *hash;
    bool squash;
};

/* What a child is born with. Descriptors of its own; path is that of root. */
struct unpack_child {
    int root, file, socket;
    int feed; /* memory with a struct unpack_feed */
    enum idmap_kind ids;
    pid_t parent;
    const char *path;
};
/*
 * The life of a child that was just forked or executed: namespaces, walls, unpack_main. Returns its
 * exit status. The process has no other threads.
 */
int unpack_child_run(const struct unpack_child *c);

/* Sends or receives a message; *fd (NULL: none; -1: none) goes with it, new for a receiver. */
int unpack_send(int socket, const struct unpack_message *m, int fd);
int unpack_receive(int socket, struct unpack_message *m, int *ret_fd);

/* The child's life, after unpack_confine. Returns its exit status. */
int unpack_main(const struct unpack *u);

/*
 * Takes the calling child out of the world: the directory @root with the absolute path @path
 * becomes its root directory; then no new privileges, few capabilities, few system calls.
 * @namespaced: it is in its own user and mount namespace; otherwise only chroot. @root is replaced
 * by a descriptor in the new world. Descriptors except @root, standard error and those in @keep are
 * closed.
 */
int unpack_confine(int root, const char *path, const int *keep, size_t keep_count, bool namespaced,
                   struct error *err) error_must_check;

/* The same for a child that only reads and writes the descriptors in @keep: it cannot open files.
 */
int unpack_confine_stream(const int *keep, size_t keep_count, struct error *err) error_must_check;

#endif
