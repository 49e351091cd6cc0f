/* SPDX-License-Identifier: Apache-2.0 */
#include "device/checksum.h"

#include "base/mem.h"

uint16_t checksum_add(const uint8_t *bytes, size_t len, uint64_t sum)
{
    uint32_t last = 0;
    size_t i;

    for (i = 0; i + 4 <= len; i += 4)
        sum += load_le32(bytes + i);
    memcpy(&last, bytes + i, len - i);
    sum += last;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

uint16_t checksum_pseudo(const uint8_t *addresses, size_t address_len, uint8_t protocol, size_t len)
{
    const uint8_t words[4] = {0, protocol, (uint8_t)(len >> 8), (uint8_t)len};

    return checksum_add(words, sizeof(words), checksum_add(addresses, address_len, 0));
}
