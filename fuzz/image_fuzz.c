/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations of images on any bytes. */
#include <assert.h>
#include <string.h>

#include "image/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_config config;

    if (image_config_parse((const char *)data, size, &config, NULL) < 0)
        return 0;
    for (size_t i = 0; i < config.diff_count; i++)
        assert(strlen(config.diff_ids[i]) == 71);
    (void)image_platform_match(&config, "linux/arm64/v8");
    image_config_done(&config);
    return 0;
}
