/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a build share. */
#ifndef BUILD_BUILD_INTERNAL_H
#define BUILD_BUILD_INTERNAL_H

#include "build/build.h"
#include "build/copy.h"
#include "build/rootfs.h"
#include "build/stage.h"

enum { BUILD_STAGES_MAX = 1000 };

struct build {
    const struct build_options *options;
    struct image_store *store;
    struct containerfile file;
    struct stage *stages;
    size_t stage_count;
    json_t *globals;    /* ARGs before the first FROM and what is always known: name -> value */
    json_t *build_args; /* name -> value */
    json_t *used_args;  /* names of those that an ARG asked for */
    int context;        /* of the directory */
    struct ignore *ignore;
    char *dir; /* DATA/build */
    char *work, *cache;
    int lock;
    int output;     /* where lines go */
    bool replaying; /* a child has done the steps: what it left in the cache counts in any case */
    bool waiting;   /* an answer of each_base */
    size_t step, steps;
};

/* Writes a line to the output of the build. */
void build_say(struct build *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Another stage or an image whose files are wanted: --from. */
struct build_source {
    int fd; /* of its root; borrowed for the context, else closed by build_source_done */
    struct rootfs rootfs;
    struct stage image; /* when it is an image */
    char **dirs;
    bool mounted;
    bool is_context;
};
/* @from NULL or "": the context. @s: the stage that asks; only those before it count. */
int build_source_open(struct build *b, struct stage *s, const char *from, struct build_source *ret,
                      struct error *err) error_must_check;
void build_source_done(struct build_source *source);

/* The layer of a step that is in the cache: 1, or 0 when there is none. *ret_empty: it made none.
 */
int build_cached(struct build *b, struct stage *s, struct layer *ret, bool *ret_empty);
void build_remember(struct build *b, struct stage *s, const struct layer *layer);

/* Makes the layer of what is in @rootfs's branch. *ret_empty: there is nothing in it. */
int build_seal(struct build *b, struct stage *s, struct rootfs *rootfs, struct layer *ret,
               bool *ret_empty, struct error *err) error_must_check;

/* Performs RUN, COPY and ADD, WORKDIR. The key of @s is set for the cache before anything is done.
 */
int build_run(struct build *b, struct stage *s, const struct instruction *i,
              struct error *err) error_must_check;
int build_copy(struct build *b, struct stage *s, const struct instruction *i,
               struct error *err) error_must_check;
int build_workdir(struct build *b, struct stage *s, const struct instruction *i,
                  struct error *err) error_must_check;

/* Whether @s is needed, not done, and everything that it needs is there. */
bool build_ready(struct build *b, struct stage *s);
/* Does all steps of @s. */
int build_stage(struct build *b, struct stage *s, struct error *err) error_must_check;
/* Builds all stages that are ready now, the first of them in this process. There is one. */
int build_ready_stages(struct build *b, struct error *err) error_must_check;

/* Says the step, and whether it was in the cache. */
void build_announce(struct build *b, const struct instruction *i, bool cached);

/* "a=1,b=2" of --mount and --secret. New; NULL: not there. */
char *build_field(const char *text, const char *name);
/* Whether the bare word or name=true is there. */
bool build_field_flag(const char *text, const char *name);

#endif
