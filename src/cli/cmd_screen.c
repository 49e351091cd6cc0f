/* SPDX-License-Identifier: Apache-2.0 */
/* screenshot, type, sendkey: the screen and keyboard of virtual machines. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "cli/png.h"
#include "cli/verbs.h"
#include "instance/instance.h"
#include "instance/screen.h"

static struct instance_screen *open_screen(struct cli *cli, const struct args *args)
{
    struct instance_screen *s = NULL;
    struct error err = {0};

    if (!cli_home(cli))
        return NULL;
    if (instance_screen_open(cli->home, args->words[0], &s, &err) < 0) {
        cli_error(cli, &err);
        return NULL;
    }
    return s;
}

/* Writes all of @out to @path, or to stdout without one. */
static int write_out(const struct str *out, const char *path, struct error *err)
{
    cleanup_fd int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;
    int to = path ? fd : STDOUT_FILENO;
    size_t done = 0;

    if (out->failed)
        return error_set(err, -ENOMEM, "out of memory");
    if (to < 0)
        return error_set_errno(err, -errno, "create %s", path);
    while (done < out->len) {
        ssize_t n = write(to, out->data + done, out->len - done);
        if (n < 0 && errno != EINTR)
            return error_set_errno(err, -errno, "write %s", path ? path : "to stdout");
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int take(struct instance_screen *s, bool text, struct str *out, struct error *err)
{
    struct instance_picture p;
    int r;

    if (text)
        return instance_screen_text(s, out, err);
    r = instance_screen_update(s, &p, err);
    if (r == 0)
        png_encode(p.pixels, p.width, p.height, out);
    return r;
}

int verb_screenshot(struct cli *cli, struct args *args)
{
    const char *path = args->word_count > 1 ? args->words[1] : NULL;
    bool text = args_bool(args, "text");
    struct instance_screen *s;
    struct error err = {0};
    struct str out = {0};
    int r;

    if (!text && !path && isatty(STDOUT_FILENO)) {
        cli_complain(cli, "a picture is nothing for a terminal; name a file, or use --text");
        return EXIT_USAGE;
    }
    s = open_screen(cli, args);
    if (!s)
        return EXIT_FAILED;
    r = take(s, text, &out, &err);
    if (r == 0)
        r = write_out(&out, path, &err);
    if (r < 0)
        cli_error(cli, &err);
    str_done(&out);
    instance_screen_close(s);
    return r < 0 ? EXIT_FAILED : 0;
}

int verb_type(struct cli *cli, struct args *args)
{
    struct instance_screen *s = open_screen(cli, args);
    struct error err = {0};
    int r = 0;

    if (!s)
        return EXIT_FAILED;
    for (int i = 1; i < args->word_count && r == 0; i++) {
        if (i > 1)
            r = instance_screen_type(s, " ", &err);
        if (r == 0)
            r = instance_screen_type(s, args->words[i], &err);
    }
    if (r == 0 && args_bool(args, "enter"))
        r = instance_screen_press(s, "enter", &err);
    if (r < 0)
        cli_error(cli, &err);
    instance_screen_close(s);
    return r < 0 ? EXIT_FAILED : 0;
}

int verb_sendkey(struct cli *cli, struct args *args)
{
    struct instance_screen *s = open_screen(cli, args);
    struct error err = {0};
    int r = 0;

    if (!s)
        return EXIT_FAILED;
    for (int i = 1; i < args->word_count && r == 0; i++)
        r = instance_screen_press(s, args->words[i], &err);
    if (r < 0)
        cli_error(cli, &err);
    instance_screen_close(s);
    return r < 0 ? EXIT_FAILED : 0;
}
