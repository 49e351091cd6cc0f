/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocation and small numeric helpers. Allocation at set-up time goes through mem_new/mem_alloc,
 * which return zeroed memory or NULL; the caller reports -ENOMEM.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define likely(x)                       __builtin_expect(!!(x), 1)
#define unlikely(x)                     __builtin_expect(!!(x), 0)
#define array_size(a)                   (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define min_of(a, b)                                                                               \
    ({                                                                                             \
        __typeof__(a) min_a_ = (a);                                                                \
        __typeof__(b) min_b_ = (b);                                                                \
        min_a_ < min_b_ ? min_a_ : min_b_;                                                         \
    })
#define max_of(a, b)                                                                               \
    ({                                                                                             \
        __typeof__(a) max_a_ = (a);                                                                \
        __typeof__(b) max_b_ = (b);                                                                \
        max_a_ > max_b_ ? max_a_ : max_b_;                                                         \
    })

/* Zeroed memory for @count objects of @size bytes, NULL on overflow or exhaustion. New. */
void *mem_alloc(size_t count, size_t size);

/* One zeroed object of @type, NULL on exhaustion. New. */
#define mem_new(type) ((type *)mem_alloc(1, sizeof(type)))

/*
 * Makes @nth allocation through mem_alloc from now fail (1 = the next), for tests of error paths;
 * 0 switches this off.
 */
void mem_fail_at(unsigned long nth);

/* Little-endian access to unaligned bytes. */
static inline uint16_t load_le16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return v;
}
static inline uint32_t load_le32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}
static inline uint64_t load_le64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}
static inline void store_le16(void *p, uint16_t v)
{
    memcpy(p, &v, 2);
}
static inline void store_le32(void *p, uint32_t v)
{
    memcpy(p, &v, 4);
}
static inline void store_le64(void *p, uint64_t v)
{
    memcpy(p, &v, 8);
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "big-endian hosts need byte swaps in mem.h");

#endif
