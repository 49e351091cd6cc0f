/* SPDX-License-Identifier: Apache-2.0 */
/* doctor: what this host can do, and why not. */
#include <string.h>

#include "cli/doctor.h"
#include "cli/output.h"

static const char *const result_names[] = {
    [DOCTOR_OK] = "ok",
    [DOCTOR_INFO] = "info",
    [DOCTOR_NO] = "no",
    [DOCTOR_FAIL] = "FAIL",
};

static enum table_color color(json_t *row)
{
    const char *result = json_string_value(json_object_get(row, "result"));

    if (strcmp(result, "ok") == 0)
        return TABLE_GREEN;
    if (strcmp(result, "no") == 0)
        return TABLE_YELLOW;
    return strcmp(result, "FAIL") == 0 ? TABLE_RED : TABLE_PLAIN;
}

static const struct output_column columns[] = {
    {"CHECK", "check", NULL},
    {"RESULT", "result", color},
    {"DETAIL", "detail", NULL},
    {NULL, NULL, NULL},
};

int verb_doctor(struct cli *cli, struct args *args)
{
    struct output o = {.columns = columns};
    json_t *rows = json_array();
    bool failed = false;
    int status;

    output_from_args(&o, args);
    for (const struct doctor_check *c = doctor_checks; c->name; c++) {
        struct str detail = {0};
        enum doctor_result result = c->check(&detail);
        json_array_append_new(rows, json_pack("{s:s, s:s, s:s}", "check", c->name, "result",
                                              result_names[result], "detail", str_text(&detail)));
        str_done(&detail);
        failed = failed || result == DOCTOR_FAIL;
    }
    status = output_print(cli, &o, rows);
    return failed ? EXIT_FAILED : status;
}
