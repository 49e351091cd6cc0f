/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory.
 *
 * RAM is one array of 4 KiB pages ("gfn" = index into that array, not a guest-physical page number;
 * the memory space of bus/space.h maps guest-physical addresses to it). It is layered: a sealed
 * base that several machines may share, and a delta that belongs to this machine alone. Both are
 * shared mappings of memfds. A page is read from the delta when it is present there and from the
 * base otherwise (absent from both: zeroes); the first write to a base page copies it into the
 * delta (copy-on-write is done here and not by the kernel, so that several views of one page never
 * diverge). Whoever keeps host pointers to pages (the software TLBs, later windows) registers as a
 * listener and drops them when told.
 *
 * Each page carries flags:
 *   DELTA  the delta holds the page
 *   DIRTY  written since the dirty log was last cleared for the page; the one log of all users
 *   CODE   instructions decoded from this page are cached somewhere: each write must be told to the
 *          listeners, so nobody keeps a direct write pointer to such a page; one bit for each kind
 *          of cache, so that one may forget a page that the other still holds
 * A write pointer may be kept only while the page is DELTA and DIRTY and not CODE.
 */
#ifndef BUS_GMEM_H
#define BUS_GMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { GMEM_PAGE_BITS = 12, GMEM_PAGE_SIZE = 1 << GMEM_PAGE_BITS };
/* Of how many parts a layer is made at most, and how many descriptors pass it on. */
enum { GMEM_PARTS = 16, GMEM_LAYER_FDS = GMEM_PARTS + 1 };
enum {
    GMEM_DELTA = 1,
    GMEM_DIRTY = 2,
    GMEM_CODE_DECODED = 4,    /* the interpreter's cache of decoded instructions */
    GMEM_CODE_TRANSLATED = 8, /* the translator's cache */
    GMEM_CODE = GMEM_CODE_DECODED | GMEM_CODE_TRANSLATED,
};

struct gmem;
struct gmem_layer;

struct gmem_listener {
    /* Host pointers to @gfn kept for reading or writing are stale: the page moved, became clean
     * (dirty log cleared) or got CODE. */
    void (*page_changed)(void *opaque, uint64_t gfn);
    /* As page_changed for every page. */
    void (*all_changed)(void *opaque);
    /* Bytes [offset, offset + len) of CODE page @gfn are about to be written. */
    void (*code_written)(void *opaque, uint64_t gfn, unsigned offset, unsigned len);
    void *opaque;
    struct gmem_listener *next; /* gmem's */
};

/* RAM of @bytes (a multiple of 4 KiB, sparse) without a base layer. NULL with @err set on failure.
 */
struct gmem *gmem_new(uint64_t bytes, struct error *err);
void gmem_free(struct gmem *gm);

uint64_t gmem_pages(const struct gmem *gm);

/* Adds a listener (borrowed until gmem_unlisten or gmem_free). */
void gmem_listen(struct gmem *gm, struct gmem_listener *l);
void gmem_unlisten(struct gmem *gm, struct gmem_listener *l);

unsigned gmem_page_flags(const struct gmem *gm, uint64_t gfn);

/* The host address of page @gfn for reading; valid until page_changed. NULL when out of range. */
const uint8_t *gmem_read_page(const struct gmem *gm, uint64_t gfn);

/*
 * The host address of page @gfn for writing: copies the page up from the base if need be and marks
 * it DIRTY. When the page has CODE, the caller must call gmem_code_write before each write and must
 * not keep the pointer. NULL when out of range.
 */
uint8_t *gmem_write_page(struct gmem *gm, uint64_t gfn);

/* Sets @bit of CODE on @gfn (listeners drop their write pointers if it had neither). */
void gmem_set_code(struct gmem *gm, uint64_t gfn, unsigned bit);
/* Clears @bit of CODE: that cache holds nothing from the page any more. */
void gmem_clear_code(struct gmem *gm, uint64_t gfn, unsigned bit);
/* Tells the listeners of a write to a CODE page; does nothing for others. */
void gmem_code_write(struct gmem *gm, uint64_t gfn, unsigned offset, unsigned len);

/* Copies out of / into RAM at byte @offset of the page array; -EFAULT when out of range (nothing
 * done). */
int gmem_read(const struct gmem *gm, uint64_t offset, void *to, size_t len);
int gmem_write(struct gmem *gm, uint64_t offset, const void *from, size_t len);

/*
 * Gives pages [first, first + count) back to the host, which the guest has no use for: they read as
 * they do in the base layer, without one as zeroes, until they are written again. They stay DIRTY.
 * A host that fails to take them is no error. -EFAULT when out of range (nothing done).
 */
int gmem_discard(struct gmem *gm, uint64_t first, uint64_t count);

/* Makes all of RAM zero again (power cycle) and drops the base layer. 0 or a negative errno. */
int gmem_clear(struct gmem *gm, struct error *err);

/*
 * The dirty log. gmem_dirty_take copies the DIRTY bits of all pages into @bitmap (one bit a page,
 * LSB first, (gmem_pages + 63) / 64 words; may be NULL), clears them and tells the listeners.
 * Returns the number of pages that were dirty.
 */
uint64_t gmem_dirty_take(struct gmem *gm, uint64_t *bitmap);
/*
 * The same for pages [first, first + count) alone, which their reader shares with nobody (video
 * memory): bit 0 of @bitmap ((count + 63) / 64 words) is page @first. A processor that runs
 * meanwhile may write through a pointer it holds until it notices, so that a reader looks at a page
 * once more in its next turn.
 */
uint64_t gmem_dirty_take_range(struct gmem *gm, uint64_t first, uint64_t count, uint64_t *bitmap);

/*
 * Freezes the present content as a sealed base that other machines may be made from; this machine
 * goes on with an empty delta above it. Returns a new reference to the layer, NULL with @err set.
 */
struct gmem_layer *gmem_freeze(struct gmem *gm, struct error *err);
/* RAM that starts as a copy of @layer (gets a reference of its own). NULL with @err set on failure.
 */
struct gmem *gmem_new_on(struct gmem_layer *layer, struct error *err);
void gmem_layer_unref(struct gmem_layer *layer);

/*
 * A layer whose pages lie in a file (borrowed; mapped, so that they are read when they are used):
 * page n at byte n * 4096 of @fd where @present[n] (borrowed, @bytes / 4096 entries) is 1, else
 * zeroes. Whoever can change the file changes the guest. NULL with @err set on failure.
 */
struct gmem_layer *gmem_layer_map(int fd, uint64_t bytes, const uint8_t *present,
                                  struct error *err);
/*
 * The descriptors (borrowed) by which another process takes the layer over; returns how many. What
 * they hold can not be changed by anybody, but for a file of gmem_layer_map.
 */
unsigned gmem_layer_fds(const struct gmem_layer *layer, int fds[GMEM_LAYER_FDS]);
/* There: a layer of @bytes of RAM from them (borrowed). NULL with @err set on failure. */
struct gmem_layer *gmem_layer_from_fds(const int *fds, unsigned count, uint64_t bytes,
                                       struct error *err);
/* Pages of a layer, and page @gfn in it; NULL: zeroes, or out of range.
 */
uint64_t gmem_layer_pages(const struct gmem_layer *layer);
const uint8_t *gmem_layer_page(const struct gmem_layer *layer, uint64_t gfn);

/* Pages of the delta that are present (the private memory of this machine). */
uint64_t gmem_delta_pages(const struct gmem *gm);

#endif
