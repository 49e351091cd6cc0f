/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floppy disk controller 82077AA (Intel 290166-007) at ports 0x3F0-0x3F5 and 0x3F7 with two
 * drives; data move by DMA channel 2. The mode without DMA is not there: its data commands end with
 * an overrun.
 */
#ifndef DEVICE_FDC_H
#define DEVICE_FDC_H

#include "bus/irq.h"
#include "device/device.h"
#include "device/i8237.h"
#include "io/block.h"

enum { FDC_DRIVES = 2, FDC_DMA = 2 };

struct fdc;

/* The formats that a diskette image can have, by its size. */
struct fdc_format {
    uint32_t size; /* bytes */
    uint8_t cylinders, heads, sectors;
    uint8_t rate; /* as in the data rate select register */
};
/* NULL with @err set: @size is that of no diskette. */
const struct fdc_format *fdc_format_of(uint64_t size, struct error *err);

/*
 * @present: which drives there are; they are empty. Borrows @dma, whose channel it uses. NULL with
 * @err set.
 */
struct fdc *fdc_new(struct ports *ports, struct i8237 *dma, const struct irq_line *irq,
                    const bool present[FDC_DRIVES], struct error *err);
struct device *fdc_device(struct fdc *fdc);

/*
 * Puts a diskette (borrowed; NULL: none) into drive @n. The caller has drained the old one and
 * closes it afterwards. -EINVAL: it has the size of no diskette.
 */
int fdc_change(struct fdc *fdc, unsigned n, struct block *diskette, struct error *err);
struct block *fdc_diskette(const struct fdc *fdc, unsigned n);
/* What CMOS says of drive @n (0: none, 4: 1.44 MB, 5: 2.88 MB). */
uint8_t fdc_cmos_type(const struct fdc *fdc, unsigned n);

struct fdc_stats {
    uint64_t read_bytes, written_bytes;
};
void fdc_stats(const struct fdc *fdc, struct fdc_stats *ret);

#endif
