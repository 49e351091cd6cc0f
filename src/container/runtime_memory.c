/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of the runtime where it is linked with musl, whose allocator gives every few blocks to the
 * kernel and takes them back: 4 % of the cycles of a run.
 *
 * Blocks have sizes of powers of two, with a header of 16 bytes, so that all are aligned to 16.
 * They are cut off the front of an arena, first a static one; freed ones wait in a list for their
 * size. Beyond BLOCK_MAX each has a mapping of its own. For one thread: the runtime has no other.
 */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    FIRST = 256 << 10, /* the static arena: pages that nobody touches cost nothing */
    MORE = 1 << 20,
    SMALLEST = 32,
    CLASSES = 14,
    BLOCK_MAX = SMALLEST << (CLASSES - 1)
};

struct block {
    size_t size; /* with this header */
    struct block *next;
};
static_assert(sizeof(struct block) == 16, "blocks are aligned to 16");

static _Alignas(4096) char first[FIRST];
static char *at, *end;
static struct block *unused[CLASSES];

/* The class of a block of @size bytes, header included. */
static unsigned class_of(size_t size)
{
    unsigned c = 0;
    while ((size_t)SMALLEST << c < size)
        c++;
    return c;
}

static struct block *map(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* Room for a block at @at. What is left of the arena before is small beside it. */
static bool more(void)
{
    at = end ? (char *)map(MORE) : first;
    if (!at)
        at = end; /* none, and full as before */
    else
        end = at + (at == first ? (size_t)FIRST : (size_t)MORE);
    return at != end;
}

/* A block for @n bytes; *@ret_zero: it holds zeros. */
static void *take(size_t n, bool *ret_zero)
{
    struct block *b = NULL;
    *ret_zero = true;
    if (n > PTRDIFF_MAX - 4096) {
        errno = ENOMEM;
        return NULL;
    }
    size_t size = n + sizeof *b;
    if (size > BLOCK_MAX) {
        size = (size + 4095) & ~(size_t)4095;
        b = map(size);
    } else {
        unsigned c = class_of(size);
        size = (size_t)SMALLEST << c;
        if (unused[c]) {
            b = unused[c];
            unused[c] = b->next;
            *ret_zero = false;
        } else if ((size_t)(end - at) >= size || more()) {
            b = (struct block *)at;
            at += size;
        }
    }
    if (!b) {
        errno = ENOMEM;
        return NULL;
    }
    b->size = size;
    return b + 1;
}

void *malloc(size_t n)
{
    bool zero;
    return take(n, &zero);
}

void *calloc(size_t count, size_t size)
{
    size_t n;
    bool zero;
    if (__builtin_mul_overflow(count, size, &n)) {
        errno = ENOMEM;
        return NULL;
    }
    void *p = take(n, &zero);
    return p && !zero ? memset(p, 0, n) : p;
}

void free(void *p)
{
    if (!p)
        return;
    struct block *b = (struct block *)p - 1;
    if (b->size > BLOCK_MAX) {
        int was = errno;
        munmap(b, b->size);
        errno = was;
        return;
    }
    unsigned c = class_of(b->size);
    b->next = unused[c];
    unused[c] = b;
}

/* The last block grows where it is: lists are built so. */
static bool grow(struct block *b, size_t n)
{
    if (n > BLOCK_MAX - sizeof *b || (char *)b + b->size != at)
        return false;
    size_t size = (size_t)SMALLEST << class_of(n + sizeof *b);
    if ((size_t)(end - (char *)b) < size)
        return false;
    b->size = size;
    at = (char *)b + size;
    return true;
}

void *realloc(void *p, size_t n)
{
    size_t room = p ? ((struct block *)p - 1)->size - sizeof(struct block) : 0;
    if (p && (n <= room || grow((struct block *)p - 1, n)))
        return p;
    void *q = malloc(n);
    if (q && p) {
        memcpy(q, p, room);
        free(p);
    }
    return q;
}
