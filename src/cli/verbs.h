/* SPDX-License-Identifier: Apache-2.0 */
/* The commands' bodies. Each returns the exit status of the process. */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

#include "base/error.h"
#include "cli/parse.h"

struct instances;

enum { EXIT_FAILED = 1, EXIT_USAGE = 125, EXIT_OWN = 125 };

/* What a command works with; made by main. */
struct cli {
    const struct verb *verb; /* for messages */
    struct instances *home;  /* opened by cli_home */
    bool color;              /* stdout is a terminal that wants colours */
};

/* The store of instances, opened on first use. NULL with the error printed. */
struct instances *cli_home(struct cli *cli);

/* Prints "isola: VERB: " and the text on stderr. Control characters are made visible. */
void cli_complain(const struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void cli_error(const struct cli *cli, const struct error *err);
/* Writes @text to stdout. */
void cli_print(const char *text);

int verb_run(struct cli *cli, struct args *args);
int verb_create(struct cli *cli, struct args *args);
int verb_start(struct cli *cli, struct args *args);
int verb_restart(struct cli *cli, struct args *args);
int verb_attach(struct cli *cli, struct args *args);
int verb_exec(struct cli *cli, struct args *args);
int verb_ps(struct cli *cli, struct args *args);
int verb_inspect(struct cli *cli, struct args *args);
int verb_logs(struct cli *cli, struct args *args);
int verb_stats(struct cli *cli, struct args *args);
int verb_port(struct cli *cli, struct args *args);
int verb_events(struct cli *cli, struct args *args);
int verb_stop(struct cli *cli, struct args *args);
int verb_kill(struct cli *cli, struct args *args);
int verb_pause(struct cli *cli, struct args *args);
int verb_unpause(struct cli *cli, struct args *args);
int verb_wait(struct cli *cli, struct args *args);
int verb_media(struct cli *cli, struct args *args);
int verb_screenshot(struct cli *cli, struct args *args);
int verb_type(struct cli *cli, struct args *args);
int verb_sendkey(struct cli *cli, struct args *args);
int verb_device_add(struct cli *cli, struct args *args);
int verb_device_rm(struct cli *cli, struct args *args);
int verb_rename(struct cli *cli, struct args *args);
int verb_rm(struct cli *cli, struct args *args);
int verb_prune(struct cli *cli, struct args *args);
int verb_commit(struct cli *cli, struct args *args);
int verb_images(struct cli *cli, struct args *args);
int verb_rmi(struct cli *cli, struct args *args);
int verb_tag(struct cli *cli, struct args *args);
int verb_history(struct cli *cli, struct args *args);
int verb_image_inspect(struct cli *cli, struct args *args);
int verb_image_prune(struct cli *cli, struct args *args);
int verb_system_df(struct cli *cli, struct args *args);
int verb_system_prune(struct cli *cli, struct args *args);
int verb_gdb(struct cli *cli, struct args *args);
int verb_trace(struct cli *cli, struct args *args);
int verb_top(struct cli *cli, struct args *args);
int verb_diff(struct cli *cli, struct args *args);
int verb_update(struct cli *cli, struct args *args);
int verb_generate_systemd(struct cli *cli, struct args *args);
int verb_export(struct cli *cli, struct args *args);
int verb_cp(struct cli *cli, struct args *args);
int verb_volume_create(struct cli *cli, struct args *args);
int verb_volume_ls(struct cli *cli, struct args *args);
int verb_volume_inspect(struct cli *cli, struct args *args);
int verb_volume_rm(struct cli *cli, struct args *args);
int verb_volume_prune(struct cli *cli, struct args *args);
int verb_fork(struct cli *cli, struct args *args);
int verb_record_ls(struct cli *cli, struct args *args);
int verb_record_inspect(struct cli *cli, struct args *args);
int verb_record_rm(struct cli *cli, struct args *args);
int verb_replay(struct cli *cli, struct args *args);
int verb_snapshot_create(struct cli *cli, struct args *args);
int verb_snapshot_ls(struct cli *cli, struct args *args);
int verb_snapshot_inspect(struct cli *cli, struct args *args);
int verb_snapshot_rm(struct cli *cli, struct args *args);
int verb_restore(struct cli *cli, struct args *args);
int verb_disk_create(struct cli *cli, struct args *args);
int verb_disk_info(struct cli *cli, struct args *args);
int verb_disk_check(struct cli *cli, struct args *args);
int verb_import(struct cli *cli, struct args *args);
int verb_disk_convert(struct cli *cli, struct args *args);
int verb_doctor(struct cli *cli, struct args *args);
int verb_completion(struct cli *cli, struct args *args);
int verb_version(struct cli *cli, struct args *args);
int verb_help(struct cli *cli, struct args *args);
int verb_complete(struct cli *cli, struct args *args);
int verb_man(struct cli *cli, struct args *args);
int verb_markdown(struct cli *cli, struct args *args);
int verb_supervise(struct cli *cli, struct args *args);

#endif
