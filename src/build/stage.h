/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stage while it is built: its image so far (configuration and layers), what its variables mean,
 * and the key of the cache, which stands for everything that was done.
 */
#ifndef BUILD_STAGE_H
#define BUILD_STAGE_H

#include <jansson.h>

#include "base/str.h"
#include "build/containerfile.h"
#include "build/words.h"
#include "image/change.h"
#include "image/writer.h"

enum { STAGE_LAYERS_MAX = 500 }; /* what overlayfs takes */

struct stage {
    const struct containerfile *file;
    size_t first, end; /* instructions: [first] is FROM */
    const char *name;  /* of "AS name", borrowed from @from_words; NULL */
    char **from_words; /* "image [AS name]", expanded */
    bool needed, done;
    json_t *image; /* the whole configuration of an image */
    json_t *args;  /* ARGs that are declared: name -> value, or null */
    char **shell;  /* of SHELL; NULL: the default */
    bool has_cmd;  /* CMD was set here and not by the base */
    struct layer *layers;
    size_t layer_count;
    struct digest key;
    /* When the last step that made something was done. A step from the cache keeps its time, so
     * that a build that is all in the cache gives the same image. RFC 3339. */
    char created[IMAGE_TIME_TEXT];
};

void stage_done(struct stage *s);

/* An empty image, or a copy of what @base has become. */
int stage_from_scratch(struct stage *s, const char *os, const char *architecture,
                       struct error *err) error_must_check;
int stage_from_stage(struct stage *s, const struct stage *base, struct error *err) error_must_check;
/* An image of the store. */
int stage_from_image(struct stage *s, struct image_store *store, const struct image *image,
                     struct error *err) error_must_check;

/* The member "config" of the configuration. Borrowed. */
json_t *stage_config(struct stage *s);
/* A text of it, "" when not said. */
const char *stage_text(struct stage *s, const char *key);

/* Variables as an instruction of this stage sees them: ENV, then ARG. */
struct words_scope stage_scope(struct stage *s);

/* Sets NAME to VALUE in Env. */
int stage_set_env(struct stage *s, const char *name, const char *value,
                  struct error *err) error_must_check;
/*
 * A new list of "NAME=value" for RUN: Env, the ARGs it does not hide, PATH, and HOME unless @home
 * is NULL. Free with words_free.
 */
char **stage_environment(struct stage *s, const char *home);
/* A new list: the shell's words and then @command. */
char **stage_shell(struct stage *s, const char *command);

/* Adds to the cache's key what decides the result of a step. */
void stage_key_add(struct stage *s, const char *text, size_t n);

/* Takes @layer (NULL: the step made none) and a line of history. */
int stage_step(struct stage *s, const struct layer *layer, const char *created_by,
               struct error *err) error_must_check;

/* Directories of the layers, topmost first: a new array of new texts, NULL after the last. */
char **stage_directories(const struct stage *s, struct image_store *store);

/*
 * Performs an instruction that only changes the configuration: CMD ENTRYPOINT ENV EXPOSE
 * HEALTHCHECK LABEL MAINTAINER ONBUILD SHELL STOPSIGNAL USER VOLUME. (WORKDIR makes a directory,
 * too: it is only noted here.) Errors do not name the line.
 */
int stage_configure(struct stage *s, const struct instruction *i,
                    struct error *err) error_must_check;

/* WORKDIR's meaning of @path, absolute and clean. New. */
char *stage_path(struct stage *s, const char *path);

#endif
