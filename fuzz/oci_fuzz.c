/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json as any text, as far as the block that init walks through and the filter program; the
 * first byte chooses between a whole configuration, a process and resources.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "container/plan_build.h"
#include "container/seccomp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the block says about itself must hold: init trusts it. */
static void check_list(const struct plan_builder *b, struct plan_list list, size_t size)
{
    if (list.n && (list.at < sizeof(struct plan) || list.at + list.n * size > b->bytes.len))
        abort();
}

static void build(const struct oci_config *config)
{
    struct container_options options = {.bundle = "/nonexistent", .console_socket = -1};
    struct plan_context context = {.config = config, .options = &options};
    struct plan_process_options process = {.columns = 0};
    struct seccomp_filter filter = {0};
    struct plan_builder b;
    plan_begin(&b);
    (void)plan_add_rootfs(&b, &context, NULL);
    if (config->has_process)
        (void)plan_add_process(&b, &config->process, &process, NULL);
    check_list(&b, b.plan.mounts, sizeof(struct plan_mount));
    check_list(&b, b.plan.devices, sizeof(struct plan_device));
    check_list(&b, b.plan.sysctls, sizeof(struct plan_pair));
    check_list(&b, b.plan.args, sizeof(uint32_t));
    check_list(&b, b.plan.masked, sizeof(uint32_t));
    plan_done(&b);
    if (config->seccomp && seccomp_compile(config->seccomp, &filter, NULL) == 0)
        seccomp_filter_done(&filter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct oci_config *config = NULL;
    if (!size)
        return 0;
    const char *text = (const char *)data + 1;
    int r = data[0] % 3 == 0   ? oci_config_parse(text, size - 1, &config, NULL)
            : data[0] % 3 == 1 ? oci_config_parse_process(text, size - 1, &config, NULL)
                               : oci_config_parse_resources(text, size - 1, &config, NULL);
    if (r == 0 && data[0] % 3 == 0)
        build(config);
    oci_config_free(config);
    return 0;
}
