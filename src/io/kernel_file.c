/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets: Linux boot protocol, payload_offset and payload_length. The payload ends with its
 * unpacked size. */
#include "io/kernel_file.h"

#include <dlfcn.h>
#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "base/mem.h"

enum {
    HDR_SETUP_SECTS = 0x1f1,
    HDR_MAGIC = 0x202,
    HDR_VERSION = 0x206,
    HDR_PAYLOAD_OFFSET = 0x248,
    HDR_PAYLOAD_LENGTH = 0x24c,
    UNPACKED_MAX = 1 << 30,
};

/* Each unpacks exactly @out_len bytes; 0, -ENOSYS (library missing) or -EIO (damaged). */
static int unpack_xz(const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len)
{
    void *lib = dlopen("liblzma.so.5", RTLD_NOW | RTLD_LOCAL);
    __typeof__(&lzma_stream_buffer_decode) decode;
    uint64_t memory = UINT64_MAX;
    size_t in_pos = 0, out_pos = 0;
    int r = -ENOSYS;

    if (!lib)
        return -ENOSYS;
    *(void **)&decode = dlsym(lib, "lzma_stream_buffer_decode");
    if (decode) {
        lzma_ret ret = decode(&memory, 0, NULL, in, &in_pos, in_len, out, &out_pos, out_len);
        r = ret == LZMA_OK && out_pos == out_len ? 0 : -EIO;
    }
    dlclose(lib);
    return r;
}

static int unpack_zstd(const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len)
{
    void *lib = dlopen("libzstd.so.1", RTLD_NOW | RTLD_LOCAL);
    __typeof__(&ZSTD_decompress) decompress;
    __typeof__(&ZSTD_findFrameCompressedSize) frame_size;
    int r = -ENOSYS;

    if (!lib)
        return -ENOSYS;
    *(void **)&decompress = dlsym(lib, "ZSTD_decompress");
    *(void **)&frame_size = dlsym(lib, "ZSTD_findFrameCompressedSize");
    if (decompress && frame_size) {
        size_t frame = frame_size(in, in_len);
        r = frame <= in_len && decompress(out, out_len, in, frame) == out_len ? 0 : -EIO;
    }
    dlclose(lib);
    return r;
}

/* LZ4's legacy frames, as the kernel packs: a magic number, then blocks of up to 8 MiB behind their
 * size. */
static int unpack_lz4(const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len)
{
    void *lib = dlopen("liblz4.so.1", RTLD_NOW | RTLD_LOCAL);
    __typeof__(&LZ4_decompress_safe) decompress;
    size_t at = 4, done = 0;
    int r = -ENOSYS;

    if (!lib)
        return -ENOSYS;
    *(void **)&decompress = dlsym(lib, "LZ4_decompress_safe");
    if (decompress) {
        r = 0;
        while (r == 0 && done < out_len && in_len - at >= 4) {
            size_t block = load_le32(in + at), room = min_of(out_len - done, (size_t)8 << 20);
            int n;
            at += 4;
            n = block <= in_len - at
                    ? decompress((const char *)in + at, (char *)out + done, (int)block, (int)room)
                    : -1;
            if (n < 0)
                r = -EIO;
            at += block;
            done += n < 0 ? 0 : (size_t)n;
        }
        if (done != out_len)
            r = -EIO;
    }
    dlclose(lib);
    return r;
}

static int unpack_gzip(const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len)
{
    void *lib = dlopen("libz.so.1", RTLD_NOW | RTLD_LOCAL);
    __typeof__(&inflateInit2_) init;
    __typeof__(&inflate) run;
    __typeof__(&inflateEnd) end;
    z_stream z = {.next_in = (Bytef *)(uintptr_t)in,
                  .avail_in = (uInt)in_len,
                  .next_out = out,
                  .avail_out = (uInt)out_len};
    int r = -ENOSYS;

    if (!lib)
        return -ENOSYS;
    *(void **)&init = dlsym(lib, "inflateInit2_");
    *(void **)&run = dlsym(lib, "inflate");
    *(void **)&end = dlsym(lib, "inflateEnd");
    if (init && run && end && init(&z, 16 + MAX_WBITS, ZLIB_VERSION, sizeof(z)) == Z_OK) {
        r = run(&z, Z_FINISH) == Z_STREAM_END && z.avail_out == 0 ? 0 : -EIO;
        end(&z);
    }
    dlclose(lib);
    return r;
}

static const struct {
    const char *name;
    uint8_t magic[6];
    unsigned magic_len;
    int (*unpack)(const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len);
} formats[] = {
    {"xz", {0xfd, '7', 'z', 'X', 'Z', 0}, 6, unpack_xz},
    {"lz4", {0x02, 0x21, 0x4c, 0x18}, 4, unpack_lz4},
    {"zstd", {0x28, 0xb5, 0x2f, 0xfd}, 4, unpack_zstd},
    {"gzip", {0x1f, 0x8b}, 2, unpack_gzip},
};

/* Finds the payload. False when @image is not a bzImage that says where it is. */
static bool find_payload(const uint8_t *image, size_t len, const uint8_t **ret, size_t *ret_len)
{
    uint64_t start;
    uint32_t bytes;

    if (len < 0x260 || memcmp(image + HDR_MAGIC, "HdrS", 4) != 0 ||
        load_le16(image + HDR_VERSION) < 0x208)
        return false;
    start = ((uint64_t)(image[HDR_SETUP_SECTS] ? image[HDR_SETUP_SECTS] : 4) + 1) * 512 +
            load_le32(image + HDR_PAYLOAD_OFFSET);
    bytes = load_le32(image + HDR_PAYLOAD_LENGTH);
    if (bytes < 16 || start > len || bytes > len - start)
        return false;
    *ret = image + start;
    *ret_len = bytes;
    return true;
}

int kernel_file_unpack(const uint8_t *image, size_t len, uint8_t **ret_vmlinux, size_t *ret_len,
                       struct error *err)
{
    const uint8_t *payload;
    size_t payload_len, out_len;

    if (!find_payload(image, len, &payload, &payload_len))
        return 0;
    out_len = load_le32(payload + payload_len - 4);
    for (unsigned i = 0; i < array_size(formats); i++) {
        uint8_t *out;
        int r;
        if (memcmp(payload, formats[i].magic, formats[i].magic_len) != 0)
            continue;
        if (!out_len || out_len > UNPACKED_MAX)
            return error_set(err, -ENOEXEC, "unpack kernel: the payload claims %zu bytes", out_len);
        out = malloc(out_len);
        if (!out)
            return error_set(err, -ENOMEM, "unpack kernel: out of memory for %zu MiB",
                             out_len >> 20);
        r = formats[i].unpack(payload, payload_len, out, out_len);
        if (r < 0) {
            free(out);
            return r == -ENOSYS
                       ? 0
                       : error_set(err, -ENOEXEC, "unpack kernel: the %s payload is damaged",
                                   formats[i].name);
        }
        *ret_vmlinux = out;
        *ret_len = out_len;
        return 1;
    }
    return 0;
}
