/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of Go's templates that people use with --format, over JSON values.
 *
 *   {{.}} {{.Name}} {{.State.ExitCode}}   the object, a field, a field of a field
 *   {{index .Labels "key"}} {{index .Disks 0}}  an element
 *   {{json .}} {{json .Labels}}           as JSON
 *   {{len .Disks}} {{upper .Name}} {{lower .Name}} {{title .Name}}
 *   {{join .Names ", "}} {{split .Id "a"}} {{printf "%-10s" .Name}}
 *   {{.Name | upper}} {{(index .List 0).Name}}  a pipeline, a field of what one gives
 *   {{if eq .State "running"}}..{{else if .X}}..{{else}}..{{end}}   eq ne lt le gt ge and or not
 *   {{range .Mounts}}{{.Source}}{{else}}none{{end}} {{with .Config}}{{.Image}}{{end}}
 *   {{range $key, $value := .Labels}}{{println $key $value}}{{end}} {{$.Name}}
 *   {{"text"}} {{- .Name -}}              a literal; "-" trims blanks on its side
 *
 * Outside of {{ }} text is copied, \n and \t mean what they do in C. Names of fields match without
 * regard to case and underscores, so that {{.ExitCode}} finds "exit_code".
 */
#ifndef CLI_TEMPLATE_H
#define CLI_TEMPLATE_H

#include <jansson.h>

#include "base/error.h"
#include "base/str.h"

/* Renders @template for @value, appending to @out. 0, or -EINVAL with what is wrong and where. */
int template_render(const char *template, json_t *value, struct str *out,
                    struct error *err) error_must_check;

/* Calls @field with the name of each {{.Field}} (the last part), for the headings of a table. */
void template_fields(const char *template, void (*field)(void *opaque, const char *name, size_t n),
                     void *opaque);

/* The member of @object called @name (@n bytes), tolerant of case and underscores. NULL: none. */
json_t *template_member(json_t *object, const char *name, size_t n);

#endif
