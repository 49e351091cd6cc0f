/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime's allocator, under other names beside the one of the C library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void *own_malloc(size_t n);
static void *own_calloc(size_t count, size_t size);
static void *own_realloc(void *p, size_t n);
static void own_free(void *p);
#define malloc  own_malloc
#define calloc  own_calloc
#define realloc own_realloc
#define free    own_free
#include "container/runtime_memory.c"
#undef malloc
#undef calloc
#undef realloc
#undef free

enum { SLOTS = 300, STEPS = 60000 };

static uint64_t seed = 1;

static unsigned random_below(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed % n);
}

/* Mostly small; some beyond the first arena, some with a mapping of their own. */
static size_t some_size(void)
{
    unsigned kind = random_below(100);
    return kind < 80 ? random_below(300) : kind < 98 ? random_below(20000) : random_below(600000);
}

struct slot {
    unsigned char *p, mark;
    size_t n;
};

static void check(const struct slot *s)
{
    for (size_t i = 0; i<s->n; i += s->n> 64 ? s->n / 64 : 1)
        assert_int_equal(s->p[i], s->mark);
    if (s->n)
        assert_int_equal(s->p[s->n - 1], s->mark);
}

static void fill(struct slot *s, size_t n)
{
    assert_non_null(s->p);
    assert_int_equal((uintptr_t)s->p % 16, 0);
    s->n = n;
    s->mark = (unsigned char)random_below(256);
    memset(s->p, s->mark, n);
}

/* What one block holds stays, whatever is done with the others. */
static void test_blocks(void **state)
{
    static struct slot slots[SLOTS];
    (void)state;
    for (unsigned step = 0; step < STEPS; step++) {
        struct slot *s = &slots[random_below(SLOTS)];
        size_t n = some_size();
        check(s);
        switch (random_below(4)) {
        case 0: {
            size_t keep = s->n < n ? s->n : n;
            s->p = own_realloc(s->p, n);
            assert_non_null(s->p);
            s->n = keep;
            check(s);
            fill(s, n);
            break;
        }
        case 1:
            own_free(s->p);
            s->p = own_calloc(n / 8 + 1, 8);
            assert_non_null(s->p);
            s->n = n;
            s->mark = 0;
            check(s);
            fill(s, n);
            break;
        case 2:
            own_free(s->p);
            s->p = own_malloc(n);
            fill(s, n);
            break;
        default:
            own_free(s->p);
            *s = (struct slot){0};
        }
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        check(&slots[i]);
        own_free(slots[i].p);
    }
}

/* A loop that gives back what it took does not grow. */
static void test_reuse(void **state)
{
    (void)state;
    void *a = own_malloc(1000);
    own_free(a);
    for (int i = 0; i < 1000; i++) {
        void *b = own_malloc(1000);
        assert_ptr_equal(a, b);
        own_free(b);
    }
}

static void test_limits(void **state)
{
    (void)state;
    volatile size_t huge = SIZE_MAX;
    assert_null(own_malloc(huge));
    assert_null(own_malloc(huge / 2));
    assert_null(own_calloc(huge / 2, 4));
    char *p = own_malloc(10);
    strcpy(p, "unchanged");
    assert_null(own_realloc(p, huge / 2));
    assert_string_equal(p, "unchanged");
    own_free(p);
    own_free(NULL);
    p = own_malloc(0);
    assert_non_null(p);
    own_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
