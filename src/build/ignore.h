/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns for paths, as .dockerignore and the sources of COPY use them: * and ? stay within a
 * component, [a-z] is a set, ** is any number of components, \ protects a character.
 */
#ifndef BUILD_IGNORE_H
#define BUILD_IGNORE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum { IGNORE_PATTERNS_MAX = 10000, IGNORE_COMPONENTS_MAX = 128 };

/* Whether the relative @path, "a/b/c", matches @pattern. */
bool path_match(const char *pattern, const char *path);

struct ignore;
/*
 * Reads a .dockerignore: a pattern per line, # comments, ! for exceptions; the last that matches
 * counts. NULL with @err set.
 */
struct ignore *ignore_parse(const char *text, size_t n, struct error *err);
/* Adds one pattern, as --exclude gives it. */
int ignore_add(struct ignore *ignore, const char *pattern, struct error *err) error_must_check;
void ignore_free(struct ignore *ignore);
/* Whether @path or a directory above it is left out. NULL: nothing is. */
bool ignore_matches(const struct ignore *ignore, const char *path);
/* Whether something below a directory that is left out may be in again. */
bool ignore_has_exceptions(const struct ignore *ignore);

/*
 * Appends @path without "." and empty components, with ".." taken back, without "/" in front;
 * "" is the top. False: it leads above the top or is too long.
 */
bool path_clean(const char *path, char *out, size_t size);
/* The same below a root: above the top there is only the top. False: too long. */
bool path_clean_root(const char *path, char *out, size_t size);

#endif
