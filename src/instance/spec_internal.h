/* SPDX-License-Identifier: Apache-2.0 */
/* The field table of a spec, shared by its text and JSON sides. */
#ifndef INSTANCE_SPEC_INTERNAL_H
#define INSTANCE_SPEC_INTERNAL_H

#include "instance/spec.h"

enum spec_kind {
    SPEC_KIND_STRING, /* any text */
    SPEC_KIND_NAME,   /* spec_name_ok */
    SPEC_KIND_WORD,   /* not empty */
    SPEC_KIND_PATH,   /* becomes absolute */
    SPEC_KIND_BOOL,
    SPEC_KIND_UINT,   /* unsigned, min..max */
    SPEC_KIND_SIZE,   /* uint64_t bytes, min..max */
    SPEC_KIND_LIMIT,  /* as SIZE, and -1: SPEC_UNLIMITED */
    SPEC_KIND_COUNT,  /* uint64_t, min..max, and -1: SPEC_UNLIMITED when max allows it */
    SPEC_KIND_SIGNED, /* int, -max..max */
    SPEC_KIND_MILLI,  /* uint64_t thousandths, from "1.5" */
    SPEC_KIND_TIME,   /* uint64_t ns, from "1m30s" */
    SPEC_KIND_ENUM,   /* an enum of the size of unsigned, by names */
    SPEC_KIND_MAC,
    SPEC_KIND_UUID,
    SPEC_KIND_RESTART, /* restart and restart_max */
    SPEC_KIND_NET,     /* net and container.net_from */
    SPEC_KIND_LIST     /* struct spec_list */
};

/* Who has a field. */
enum spec_side {
    SPEC_SIDE_BOTH,
    SPEC_SIDE_VM,
    SPEC_SIDE_CONTAINER,
    SPEC_SIDE_IMAGE, /* containers, and virtual machines that are made from an image */
};

struct spec_field {
    const char *json;   /* key in JSON */
    const char *option; /* long option, NULL: none */
    enum spec_kind kind;
    size_t offset;
    const char *const *names;
    uint64_t min, max;
    bool alias;    /* a second option for a field named elsewhere in the table */
    bool negative; /* COUNT: takes -1 */
    enum spec_side side;
    /* Of texts and of list entries: whether the text will do. NULL: any. */
    int (*check)(const char *text, struct error *err);
};

/* The tables of spec.c, spec_vm.c and spec_container.c; they end with a zero json. */
extern const struct spec_field spec_vm_fields[], spec_container_fields[];

static inline bool spec_kind_is_text(enum spec_kind kind)
{
    return kind <= SPEC_KIND_PATH;
}

extern const char *const spec_cache_names[], *const spec_bus_names[], *const spec_mount_names[];

/* NULL after the last. */
const struct spec_field *spec_field_at(unsigned i);
/* Whether nothing was said about it. */
bool spec_field_unset(const struct spec *s, const struct spec_field *f);
int spec_parse_enum(const char *const *names, const char *text, unsigned *ret, struct error *err);
/* @text as an absolute path; *ret is new. */
int spec_absolute(const char *text, char **ret, struct error *err);
int spec_list_add(struct spec_list *list, const char *text, struct error *err);
void spec_list_clear(struct spec_list *list);
/* "1m30s", "500ms", "2h" as ns. */
int spec_parse_time(const char *text, uint64_t *ret, struct error *err);
int spec_field_text(struct spec *s, const struct spec_field *f, const char *text,
                    struct error *err);
int spec_field_number(struct spec *s, const struct spec_field *f, uint64_t n, struct error *err);
int spec_set_firmware(struct spec *s, const char *text, struct error *err);
int spec_add_disk(struct spec *s, const char *text, struct error *err);
/* Takes the disk with path @text away. */
int spec_remove_disk(struct spec *s, const char *text, struct error *err);
/* The same for network adapters beside the first, by their addresses. */
int spec_add_nic(struct spec *s, const char *text, struct error *err);
int spec_remove_nic(struct spec *s, const char *text, struct error *err);
int spec_set_cdrom(struct spec *s, const char *text, struct error *err);
int spec_set_floppy(struct spec *s, const char *text, struct error *err);
/* The three ways to say a mount (spec_mount.c). */
int spec_add_volume(struct spec *s, const char *text, struct error *err);
int spec_add_tmpfs(struct spec *s, const char *text, struct error *err);
int spec_add_mount(struct spec *s, const char *text, struct error *err);
/* Takes @m's strings, also on failure. */
int spec_put_mount(struct spec *s, struct spec_mount *m, struct error *err);
void spec_mount_clear(struct spec_mount *m);
int spec_security_opt_check(const char *text, struct error *err);
int spec_vm_check(const struct spec *s, struct error *err);
int spec_container_check(const struct spec *s, struct error *err);
int spec_add_port(struct spec *s, const char *text, struct error *err);
int spec_add_label(struct spec *s, const char *key, size_t key_len, const char *value,
                   struct error *err);

#endif
