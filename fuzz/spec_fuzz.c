/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people and containers write for the engine of containers: records of specs, option texts,
 * password and group files, seccomp profiles. The first byte chooses.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "container/oci_config.h"
#include "instance/container_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A spec that parses is written, read again and made into a configuration. */
static void spec_text(const char *text, size_t size)
{
    static const struct container_user user = {.home = "/"};
    struct error err = {0};
    struct spec *s = spec_from_json(text, size, &err), *again;
    cleanup_free char *json = s ? spec_to_json(s) : NULL;
    struct str out = {0};

    if (!s)
        return;
    again = json ? spec_from_json(json, strlen(json), &err) : NULL;
    if (json && !again)
        __builtin_trap(); /* what was written must be readable */
    if (spec_check(s, &err) == 0 && s->wall == SPEC_WALL_CONTAINER && !s->container.privileged &&
        !s->container.devices.count && !s->container.security_opts.count) {
        const char *sources[SPEC_MOUNTS];
        const struct container_plan plan = {
            .spec = s, .id = "0123456789abcdef", .root = "/r", .user = &user, .sources = sources};
        struct oci_config *config = NULL;
        for (size_t i = 0; i < SPEC_MOUNTS; i++)
            sources[i] = "/source";
        if (container_config_make(&plan, &out, &err) == 0 &&
            oci_config_parse(str_text(&out), out.len, &config, &err) == 0)
            oci_config_free(config);
    }
    str_done(&out);
    spec_free(again);
    spec_free(s);
}

/* Lines KEY=VALUE as options, in their order. */
static void options(char *text)
{
    struct spec *s = spec_new();
    struct error err = {0};
    char *save = NULL;

    for (char *line = strtok_r(text, "\n", &save); s && line; line = strtok_r(NULL, "\n", &save)) {
        char *value = strchr(line, '=');
        if (value)
            *value++ = 0;
        if (spec_set(s, line, value, &err) < 0 && !err.text[0])
            __builtin_trap(); /* a refusal says why */
        err = (struct error){0};
    }
    if (s && spec_check(s, &err) == 0)
        free(spec_to_json(s));
    spec_free(s);
}

/* Bytes as passwd and group of a container; its first line is who is looked for. */
static void users(const uint8_t *data, size_t size)
{
    static char dir[] = "/tmp/isola-fuzz-XXXXXX", etc[64], path[2][80];
    static bool made;
    const char *roots[] = {dir, NULL};
    struct container_user user;
    struct error err = {0};
    char name[64];

    if (!made && mkdtemp(dir)) {
        snprintf(etc, sizeof etc, "%s/etc", dir);
        snprintf(path[0], sizeof path[0], "%s/passwd", etc);
        snprintf(path[1], sizeof path[1], "%s/group", etc);
        mkdir(etc, 0700);
        made = true;
    }
    mkdir(dir, 0700);
    mkdir(etc, 0700);
    snprintf(name, sizeof name, "%.*s", (int)min_of(size, (size_t)40), (const char *)data);
    name[strcspn(name, "\n")] = 0;
    for (int i = 0; i < 2; i++) {
        cleanup_fd int fd = open(path[i], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, data, size) < 0)
            return;
    }
    if (container_user_find(roots, 1, name, NULL, &user, &err) == 0 &&
        user.group_count > CONTAINER_GROUPS_MAX)
        __builtin_trap();
    unlink(path[0]);
    unlink(path[1]);
    rmdir(etc);
    rmdir(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_free char *text = size ? strndup((const char *)data + 1, size - 1) : NULL;

    if (!text)
        return 0;
    switch (data[0]) {
    case 's':
        spec_text((const char *)data + 1, size - 1);
        break;
    case 'o':
        options(text);
        break;
    case 'u':
        users(data + 1, size - 1);
        break;
    default:
        break;
    }
    return 0;
}
