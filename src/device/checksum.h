/* SPDX-License-Identifier: Apache-2.0 */
/* The Internet checksum (RFC 1071), which network adapters complete for their drivers. */
#ifndef DEVICE_CHECKSUM_H
#define DEVICE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/*
 * The one's complement sum of @len bytes and of @sum (what went before, an even number of bytes),
 * folded to 16 bits and not inverted. The result has the byte order of the bytes: store it as it
 * came, with store_le16.
 */
uint16_t checksum_add(const uint8_t *bytes, size_t len, uint64_t sum);

/*
 * The part of @len bytes of @protocol between IPv4 or IPv6 addresses (@addresses: both of them,
 * @address_len bytes together) in a TCP or UDP checksum: the sum of the pseudo header.
 */
uint16_t checksum_pseudo(const uint8_t *addresses, size_t address_len, uint8_t protocol,
                         size_t len);

#endif
