/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Selecting an item rewinds it; each read of the data port gives its next byte and zeroes past its
 * end. The DMA interface takes the guest-physical address of a control structure:
 *
 *   be32 control   ERROR, READ, SKIP, SELECT, WRITE; the key in 31:16 with SELECT
 *   be32 length    bytes to read or skip
 *   be64 address   where they go
 *
 * Writing the low half of the address starts the transfer, which is complete when the write is;
 * control then reads 0 or ERROR.
 */
#include "device/fw_cfg.h"

#include <errno.h>

#include "base/log.h"
#include "base/mem.h"

enum { ID_TRADITIONAL = 1 << 0, ID_DMA = 1 << 1 };
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };
enum { DMA_CONTROL_SIZE = 16, KEY_MASK = 0x3fff, KEY_LOCAL = FW_CFG_LOCAL };
enum { LOCAL_ITEMS = 8 };
enum { DIRECTORY_HEADER = 4, DIRECTORY_ENTRY = 8 + FW_CFG_NAME };

struct item {
    const uint8_t *bytes;
    size_t len;
    uint8_t own[8]; /* content of integers */
};

struct file {
    char name[FW_CFG_NAME];
    const uint8_t *bytes;
    size_t len;
};

struct fw_cfg {
    struct device dev;
    struct ports *ports;
    struct space *space;
    struct port_range *data_range, *dma_range;
    uint16_t key;
    uint64_t offset, dma_address;
    struct item items[FW_CFG_FILE_FIRST];
    struct item local[LOCAL_ITEMS]; /* of the architecture: keys from FW_CFG_LOCAL on */
    void (*selected)(void *opaque, const char *name);
    void *selected_opaque;
    struct file files[FW_CFG_FILES];
    unsigned file_count;
    uint8_t directory[DIRECTORY_HEADER + FW_CFG_FILES * DIRECTORY_ENTRY];
};

static void store_be(uint8_t *to, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        to[i] = (uint8_t)(value >> 8 * (size - 1 - i));
}

static uint64_t load_be(const uint8_t *from, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value = value << 8 | from[i];
    return value;
}

/* ---- items ---- */

/* The bytes of the selected item from the present offset on, NULL when it is used up. */
static const uint8_t *rest(const struct fw_cfg *fw, size_t *ret_len)
{
    const uint8_t *bytes = NULL;
    unsigned file = (unsigned)fw->key - FW_CFG_FILE_FIRST;
    size_t len = 0;

    if (fw->key & KEY_LOCAL) {
        unsigned n = fw->key & KEY_MASK;
        bytes = n < LOCAL_ITEMS ? fw->local[n].bytes : NULL;
        len = n < LOCAL_ITEMS ? fw->local[n].len : 0;
    } else if (fw->key < FW_CFG_FILE_FIRST) {
        bytes = fw->items[fw->key].bytes;
        len = fw->items[fw->key].len;
    } else if (file < fw->file_count) {
        bytes = fw->files[file].bytes;
        len = fw->files[file].len;
    }
    *ret_len = fw->offset < len ? len - (size_t)fw->offset : 0;
    return *ret_len ? bytes + fw->offset : NULL;
}

static void select_key(struct fw_cfg *fw, uint16_t key)
{
    unsigned file;

    /* Bit 14 asks for writing, which none allows. */
    fw->key = key & (KEY_LOCAL | KEY_MASK);
    fw->offset = 0;
    file = (unsigned)fw->key - FW_CFG_FILE_FIRST;
    if (fw->selected && fw->key >= FW_CFG_FILE_FIRST && file < fw->file_count)
        fw->selected(fw->selected_opaque, fw->files[file].name);
}

/* ---- ports ---- */

static uint32_t data_read(void *dev, uint16_t offset, unsigned size)
{
    struct fw_cfg *fw = dev;
    size_t len;
    const uint8_t *bytes;

    if (offset != 1)
        return 0;
    bytes = rest(fw, &len);
    if (!bytes)
        return 0;
    fw->offset++;
    return *bytes;
}

static void data_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    if (offset == 0 && size == 2)
        select_key(dev, (uint16_t)value);
}

/* Copies @len bytes of the item to guest memory, zeroes past its end. */
static int dma_copy(struct fw_cfg *fw, uint64_t address, uint32_t len)
{
    static const uint8_t zeroes[4096];

    while (len) {
        size_t left;
        const uint8_t *bytes = rest(fw, &left);
        size_t n = bytes ? min_of((size_t)len, left) : min_of((size_t)len, sizeof(zeroes));
        if (space_write(fw->space, address, bytes ? bytes : zeroes, n) < 0)
            return -EFAULT;
        fw->offset += n;
        address += n;
        len -= (uint32_t)n;
    }
    return 0;
}

static void dma_run(struct fw_cfg *fw)
{
    uint8_t request[DMA_CONTROL_SIZE], done[4];
    uint32_t control, len;
    bool failed = false;

    if (space_read(fw->space, fw->dma_address, request, sizeof(request)) < 0) {
        log_debug("fw_cfg", "DMA control at 0x%llx is not in memory",
                  (unsigned long long)fw->dma_address);
        return;
    }
    control = (uint32_t)load_be(request, 4);
    len = (uint32_t)load_be(request + 4, 4);
    if (control & DMA_SELECT)
        select_key(fw, (uint16_t)(control >> 16));
    if (control & DMA_READ)
        failed = dma_copy(fw, load_be(request + 8, 8), len) < 0;
    else if (control & DMA_SKIP)
        fw->offset += len;
    else if (control & DMA_WRITE)
        failed = true;
    store_be(done, failed ? DMA_ERROR : 0, sizeof(done));
    space_write(fw->space, fw->dma_address, done, sizeof(done));
}

/* Reads as "QEMU CFG", which says that the interface is there. */
static uint32_t dma_read(void *dev, uint16_t offset, unsigned size)
{
    static const uint8_t signature[8] = {'Q', 'E', 'M', 'U', ' ', 'C', 'F', 'G'};
    uint32_t value = 0;

    memcpy(&value, signature + offset, size);
    return value;
}

static void dma_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    struct fw_cfg *fw = dev;

    if (size != 4 || offset % 4)
        return;
    value = __builtin_bswap32(value); /* the register is big-endian */
    if (offset == 0) {
        fw->dma_address = (uint64_t)value << 32;
        return;
    }
    fw->dma_address |= value;
    dma_run(fw);
    fw->dma_address = 0;
}

static const struct port_ops data_ops = {.read = data_read, .write = data_write};
static const struct port_ops dma_ops = {.read = dma_read, .write = dma_write};

/* ---- the board's side ---- */

static int check_key(uint16_t key, struct error *err)
{
    if (key >= FW_CFG_LOCAL && key < FW_CFG_LOCAL + LOCAL_ITEMS)
        return 0;
    if (key >= FW_CFG_FILE_FIRST || key == FW_CFG_SIGNATURE || key == FW_CFG_ID ||
        key == FW_CFG_FILE_DIR)
        return error_set(err, -EINVAL, "fw_cfg item 0x%x is not the board's", key);
    return 0;
}

static struct item *item_of(struct fw_cfg *fw, uint16_t key)
{
    return key & KEY_LOCAL ? &fw->local[key & KEY_MASK] : &fw->items[key];
}

int fw_cfg_set_item(struct fw_cfg *fw, uint16_t key, const void *bytes, size_t len,
                    struct error *err)
{
    int r = check_key(key, err);

    if (!r) {
        item_of(fw, key)->bytes = bytes;
        item_of(fw, key)->len = len;
    }
    return r;
}

int fw_cfg_set_uint(struct fw_cfg *fw, uint16_t key, uint64_t value, unsigned size,
                    struct error *err)
{
    int r = check_key(key, err);
    struct item *item;

    if (r)
        return r;
    item = item_of(fw, key);
    if (size > sizeof(item->own))
        return error_set(err, -EINVAL, "fw_cfg item 0x%x: integer of %u bytes", key, size);
    store_le64(item->own, value);
    item->bytes = item->own;
    item->len = size;
    return 0;
}

static void build_directory(struct fw_cfg *fw)
{
    uint8_t *at = fw->directory + DIRECTORY_HEADER;

    store_be(fw->directory, fw->file_count, DIRECTORY_HEADER);
    for (unsigned i = 0; i < fw->file_count; i++, at += DIRECTORY_ENTRY) {
        store_be(at, fw->files[i].len, 4);
        store_be(at + 4, FW_CFG_FILE_FIRST + i, 2);
        store_be(at + 6, 0, 2);
        memcpy(at + 8, fw->files[i].name, FW_CFG_NAME);
    }
    fw->items[FW_CFG_FILE_DIR].len = DIRECTORY_HEADER + fw->file_count * (size_t)DIRECTORY_ENTRY;
}

int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *bytes, size_t len,
                    struct error *err)
{
    unsigned at = 0;

    if (strlen(name) >= FW_CFG_NAME || fw->file_count == FW_CFG_FILES || len > UINT32_MAX)
        return error_set(err, -ENOSPC, "add fw_cfg file %s: name or file too long, or too many",
                         name);
    while (at < fw->file_count && strcmp(fw->files[at].name, name) < 0)
        at++;
    if (at < fw->file_count && strcmp(fw->files[at].name, name) == 0)
        return error_set(err, -EEXIST, "add fw_cfg file %s: it is there already", name);
    memmove(&fw->files[at + 1], &fw->files[at], (fw->file_count - at) * sizeof(fw->files[0]));
    fw->files[at] = (struct file){.bytes = bytes, .len = len};
    memcpy(fw->files[at].name, name, strlen(name) + 1);
    fw->file_count++;
    build_directory(fw);
    return 0;
}

int fw_cfg_replace_file(struct fw_cfg *fw, const char *name, const void *bytes, size_t len,
                        struct error *err)
{
    for (unsigned i = 0; i < fw->file_count; i++) {
        if (strcmp(fw->files[i].name, name) != 0)
            continue;
        /* The guest may have read the directory. */
        if (fw->files[i].len != len)
            return error_set(err, -EINVAL, "replace fw_cfg file %s: %zu bytes by %zu", name,
                             fw->files[i].len, len);
        fw->files[i].bytes = bytes;
        return 0;
    }
    return error_set(err, -ENOENT, "replace fw_cfg file %s: there is none", name);
}

void fw_cfg_on_select(struct fw_cfg *fw, void (*fn)(void *opaque, const char *name), void *opaque)
{
    fw->selected = fn;
    fw->selected_opaque = opaque;
}

/* ---- state ---- */

static const struct state_field fw_cfg_fields[] = {
    STATE_FIELD(struct fw_cfg, key, 0),
    STATE_FIELD(struct fw_cfg, offset, 0),
    STATE_FIELD(struct fw_cfg, dma_address, 0),
};

static void after(void *dev)
{
    struct fw_cfg *fw = dev;
    fw->key &= KEY_LOCAL | KEY_MASK;
}

static const struct state_table fw_cfg_state = {.name = "fw-cfg",
                                                .version = 1,
                                                .fields = fw_cfg_fields,
                                                .field_count = array_size(fw_cfg_fields),
                                                .after = after};

static void fw_cfg_free(struct device *dev)
{
    struct fw_cfg *fw = container_of(dev, struct fw_cfg, dev);

    ports_unmap(fw->ports, fw->data_range);
    ports_unmap(fw->ports, fw->dma_range);
    free(fw);
}

struct fw_cfg *fw_cfg_new(struct ports *ports, struct space *space, struct error *err)
{
    struct fw_cfg *fw = mem_new(struct fw_cfg);
    struct item *signature, *id;

    if (!fw) {
        error_set(err, -ENOMEM, "create fw_cfg: out of memory");
        return NULL;
    }
    fw->dev = (struct device){.state = &fw_cfg_state, .name = "fw_cfg", .free = fw_cfg_free};
    fw->ports = ports;
    fw->space = space;
    signature = &fw->items[FW_CFG_SIGNATURE];
    *signature = (struct item){.bytes = signature->own, .len = 4, .own = {'Q', 'E', 'M', 'U'}};
    id = &fw->items[FW_CFG_ID];
    *id = (struct item){.bytes = id->own, .len = 4, .own = {ID_TRADITIONAL | ID_DMA}};
    fw->items[FW_CFG_FILE_DIR].bytes = fw->directory;
    build_directory(fw);
    fw->data_range = ports_map(ports, "fw_cfg", 0x510, 2, &data_ops, fw, err);
    if (fw->data_range)
        fw->dma_range = ports_map(ports, "fw_cfg-dma", 0x514, 8, &dma_ops, fw, err);
    if (!fw->dma_range) {
        fw_cfg_free(&fw->dev);
        return NULL;
    }
    return fw;
}

struct device *fw_cfg_device(struct fw_cfg *fw)
{
    return &fw->dev;
}
