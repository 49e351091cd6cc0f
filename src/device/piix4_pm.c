/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PM block is decoded where PMBA (configuration 0x40) says while PMREGMISC bit 0 is set.
 * Registers are those of ACPI 6.4, 4.8.3; the sleep values are this board's (SLP_TYP in its DSDT).
 */
#include "device/piix4_pm.h"

#include <errno.h>

#include "base/mem.h"

/* Configuration registers (290562-001, 7.1). */
enum { CONFIG_PMBA = 0x40, CONFIG_DEVACTB = 0x58, CONFIG_PMREGMISC = 0x80 };
enum { DEVACTB_APMC_EN = 1 << 25 };
enum { PM_PORTS = 64, APM_BASE = 0xb2 };
enum { PM_HZ = 3579545 };
#define NS_PER_S 1000000000ull

/* PM block: offsets, and bits of status, enable and control. */
enum { PM1_STATUS = 0, PM1_ENABLE = 2, PM1_CONTROL = 4, PM_TIMER = 8 };
enum {
    STS_TIMER = 1 << 0,
    STS_GLOBAL = 1 << 5,
    STS_POWER_BUTTON = 1 << 8,
    STS_SLEEP_BUTTON = 1 << 9,
    STS_RTC = 1 << 10,
    STS_WAKE = 1 << 15,
    STATUS_BITS = STS_TIMER | STS_GLOBAL | STS_POWER_BUTTON | STS_SLEEP_BUTTON | STS_RTC | STS_WAKE,
    ENABLE_BITS = STS_TIMER | STS_GLOBAL | STS_POWER_BUTTON | STS_SLEEP_BUTTON | STS_RTC,
};
enum { CNT_SCI_EN = 1 << 0, CNT_SLP_TYP = 7 << 10, CNT_SLP_EN = 1 << 13 };

struct piix4_pm {
    struct device dev;
    struct ports *ports;
    struct pci_function *function;
    struct gclock *clock;
    struct irq_line sci;
    struct piix4_pm_ops ops;
    struct port_range *pm, *gpe, *apm;
    uint16_t pm_base; /* derived: where pm is mapped */
    struct gtimer timer;
    uint16_t status, enable, control;
    uint16_t gpe_status, gpe_enable;
    uint8_t apm_control, apm_status;
    uint8_t rtc_level;   /* of the RTC's wire */
    uint64_t timer_seen; /* PM clocks up to which TMR_STS is known */
};

/* ---- timer (4.8.3.3): 24 bits; TMR_STS is set whenever bit 23 changes ---- */

static uint64_t pm_clocks(const struct piix4_pm *pm)
{
    return gclock_muldiv(gclock_now(pm->clock), PM_HZ, NS_PER_S);
}

static void catch_up(struct piix4_pm *pm)
{
    uint64_t now = pm_clocks(pm);

    if (now >> 23 != pm->timer_seen >> 23)
        pm->status |= STS_TIMER;
    pm->timer_seen = now;
}

static void update(struct piix4_pm *pm)
{
    catch_up(pm);
    irq_set(&pm->sci, pm->control & CNT_SCI_EN &&
                          (pm->status & pm->enable || pm->gpe_status & pm->gpe_enable));
    if (pm->enable & STS_TIMER && !(pm->status & STS_TIMER)) {
        uint64_t next = (pm->timer_seen >> 23) + 1;
        gtimer_set(&pm->timer,
                   (uint64_t)(((unsigned __int128)(next << 23) * NS_PER_S + PM_HZ - 1) / PM_HZ));
    } else {
        gtimer_clear(&pm->timer);
    }
}

static void timer_due(void *opaque)
{
    update(opaque);
}

void piix4_pm_power_button(struct piix4_pm *pm)
{
    pm->status |= STS_POWER_BUTTON;
    update(pm);
}

static void rtc_set(void *opaque, unsigned input, int level)
{
    struct piix4_pm *pm = opaque;

    if (level && !pm->rtc_level)
        pm->status |= STS_RTC;
    pm->rtc_level = level != 0;
    update(pm);
}

struct irq_line piix4_pm_rtc_input(struct piix4_pm *pm)
{
    return (struct irq_line){.set = rtc_set, .opaque = pm};
}

void piix4_pm_gpe(struct piix4_pm *pm, unsigned bit)
{
    if (bit < 16)
        pm->gpe_status |= (uint16_t)(1 << bit);
    update(pm);
}

/* ---- registers ---- */

static uint8_t byte_of(uint64_t value, unsigned n)
{
    return (uint8_t)(value >> 8 * n);
}

static void set_byte(uint16_t *value, unsigned n, uint8_t byte)
{
    *value = (uint16_t)((*value & ~(0xff << 8 * n)) | byte << 8 * n);
}

static void write_control(struct piix4_pm *pm, unsigned n, uint8_t value)
{
    set_byte(&pm->control, n, value);
    if (pm->control & CNT_SLP_EN) { /* reads as zero */
        pm->control &= (uint16_t)~CNT_SLP_EN;
        /* The states that keep memory are not offered by the board: only S5 is acted on. */
        if ((pm->control & CNT_SLP_TYP) >> 10 == PIIX4_PM_S5)
            pm->ops.poweroff(pm->ops.opaque);
    }
}

static uint8_t pm_read_byte(struct piix4_pm *pm, unsigned offset)
{
    switch (offset & ~1u) {
    case PM1_STATUS:
        update(pm);
        return byte_of(pm->status, offset & 1);
    case PM1_ENABLE:
        return byte_of(pm->enable, offset & 1);
    case PM1_CONTROL:
        return byte_of(pm->control, offset & 1);
    case PM_TIMER:
    case PM_TIMER + 2:
        return byte_of(pm_clocks(pm) & 0xffffff, offset - PM_TIMER);
    default:
        return 0;
    }
}

static void pm_write_byte(struct piix4_pm *pm, unsigned offset, uint8_t value)
{
    unsigned n = offset & 1;

    switch (offset & ~1u) {
    case PM1_STATUS:
        catch_up(pm);
        pm->status &= (uint16_t) ~((unsigned)value << 8 * n); /* write one to clear */
        break;
    case PM1_ENABLE:
        set_byte(&pm->enable, n, value);
        pm->enable &= ENABLE_BITS;
        break;
    case PM1_CONTROL:
        write_control(pm, n, value);
        break;
    default:
        break;
    }
}

static uint32_t pm_read(void *dev, uint16_t offset, unsigned size)
{
    struct piix4_pm *pm = dev;
    uint32_t value = 0;

    if (offset == PM_TIMER && size == 4) /* in one piece: the usual clock source */
        return (uint32_t)pm_clocks(pm) & 0xffffff;
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)pm_read_byte(pm, offset + i) << 8 * i;
    return value;
}

static void pm_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    struct piix4_pm *pm = dev;

    for (unsigned i = 0; i < size; i++)
        pm_write_byte(pm, offset + i, (uint8_t)(value >> 8 * i));
    update(pm);
}

static uint32_t gpe_read(void *dev, uint16_t offset, unsigned size)
{
    const struct piix4_pm *pm = dev;
    return byte_of(offset < 2 ? pm->gpe_status : pm->gpe_enable, offset & 1);
}

static void gpe_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    struct piix4_pm *pm = dev;

    if (offset < 2)
        pm->gpe_status &= (uint16_t) ~((value & 0xff) << 8 * offset);
    else
        set_byte(&pm->gpe_enable, offset & 1, (uint8_t)value);
    update(pm);
}

/* The APM ports would raise an SMI; what its handler would do for the OS is done here. */
static uint32_t apm_read(void *dev, uint16_t offset, unsigned size)
{
    const struct piix4_pm *pm = dev;
    return offset ? pm->apm_status : pm->apm_control;
}

static void apm_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    struct piix4_pm *pm = dev;

    if (offset) {
        pm->apm_status = (uint8_t)value;
        return;
    }
    pm->apm_control = (uint8_t)value;
    if (pm->apm_control == PIIX4_PM_ACPI_ENABLE)
        pm->control |= CNT_SCI_EN;
    else if (pm->apm_control == PIIX4_PM_ACPI_DISABLE)
        pm->control &= (uint16_t)~CNT_SCI_EN;
    update(pm);
}

static const struct port_ops pm_ops = {.read = pm_read, .write = pm_write};
static const struct port_ops gpe_ops = {.read = gpe_read, .write = gpe_write, .bytes = true};
static const struct port_ops apm_ops = {.read = apm_read, .write = apm_write, .bytes = true};

/* ---- where the PM block is ---- */

static void update_mapping(struct piix4_pm *pm)
{
    const uint8_t *config = pci_config(pm->function);
    uint16_t base = config[CONFIG_PMREGMISC] & 1 ? load_le16(config + CONFIG_PMBA) & 0xffc0 : 0;

    if (base == pm->pm_base)
        return;
    ports_unmap(pm->ports, pm->pm);
    pm->pm = base ? ports_map(pm->ports, "piix4-pm", base, PM_PORTS, &pm_ops, pm, NULL) : NULL;
    pm->pm_base = pm->pm ? base : 0;
}

void piix4_pm_place(struct piix4_pm *pm, uint16_t base, bool acpi)
{
    uint8_t *config = pci_config(pm->function);

    store_le16(config + CONFIG_PMBA, (base & 0xffc0) | 1);
    config[CONFIG_PMREGMISC] |= 1;
    if (acpi)
        pm->control |= CNT_SCI_EN;
    update_mapping(pm);
    update(pm);
}

uint16_t piix4_pm_base(const struct piix4_pm *pm)
{
    return pm->pm_base;
}

void piix4_pm_without_smm(struct piix4_pm *pm)
{
    store_le32(pci_config(pm->function) + CONFIG_DEVACTB, DEVACTB_APMC_EN);
    pm->control |= CNT_SCI_EN;
    update(pm);
}

static void config_written(void *dev, unsigned offset, unsigned size)
{
    update_mapping(dev);
}

static const struct pci_function_ops function_ops = {.config_written = config_written};

/* ---- state ---- */

static const struct state_field pm_fields[] = {
    STATE_FIELD(struct piix4_pm, status, 0),     STATE_FIELD(struct piix4_pm, enable, 0),
    STATE_FIELD(struct piix4_pm, control, 0),    STATE_FIELD(struct piix4_pm, gpe_status, 0),
    STATE_FIELD(struct piix4_pm, gpe_enable, 0), STATE_FIELD(struct piix4_pm, apm_control, 0),
    STATE_FIELD(struct piix4_pm, apm_status, 0), STATE_FIELD(struct piix4_pm, rtc_level, 0),
    STATE_FIELD(struct piix4_pm, timer_seen, 0), STATE_GTIMER(struct piix4_pm, timer),
};

static void after(void *dev)
{
    struct piix4_pm *pm = dev;

    pm->status &= STATUS_BITS;
    pm->enable &= ENABLE_BITS;
    update_mapping(pm);
    update(pm);
}

static const struct state_table pm_state = {.name = "piix4-pm",
                                            .version = 1,
                                            .fields = pm_fields,
                                            .field_count = array_size(pm_fields),
                                            .after = after};

/* What the timer did since it was last looked at shows in the status register. */
static void pm_settle(struct device *dev)
{
    update(container_of(dev, struct piix4_pm, dev));
}

static void pm_reset(struct device *dev)
{
    struct piix4_pm *pm = container_of(dev, struct piix4_pm, dev);

    uint8_t rtc_level = pm->rtc_level; /* a wire */

    pci_function_reset(pm->function);
    state_reset(&pm_state, pm);
    pm->rtc_level = rtc_level;
    pm->timer_seen = pm_clocks(pm);
    pm->status = 0;
    update(pm);
}

static void pm_free(struct device *dev)
{
    struct piix4_pm *pm = container_of(dev, struct piix4_pm, dev);

    gtimer_clear(&pm->timer);
    ports_unmap(pm->ports, pm->pm);
    ports_unmap(pm->ports, pm->gpe);
    ports_unmap(pm->ports, pm->apm);
    free(pm);
}

struct piix4_pm *piix4_pm_new(struct pci_bus *bus, unsigned slot, unsigned fn, struct ports *ports,
                              struct gclock *clock, const struct irq_line *sci,
                              const struct piix4_pm_ops *ops, struct error *err)
{
    static const struct pci_ident ident = {.vendor = 0x8086,
                                           .device = 0x7113,
                                           .subsystem_vendor = 0x1af4,
                                           .subsystem = 0x1100,
                                           .class_code = 0x068000,
                                           .revision = 3,
                                           .intx = true};
    struct piix4_pm *pm = mem_new(struct piix4_pm);

    if (!pm) {
        error_set(err, -ENOMEM, "create piix4-pm: out of memory");
        return NULL;
    }
    pm->dev = (struct device){.state = &pm_state,
                              .name = "piix4-pm",
                              .reset = pm_reset,
                              .settle = pm_settle,
                              .free = pm_free};
    pm->ports = ports;
    pm->clock = clock;
    pm->sci = *sci;
    pm->ops = *ops;
    gtimer_init(&pm->timer, clock, timer_due, pm);
    pm->function = pci_add(bus, slot, fn, &ident, &function_ops, pm, err);
    if (pm->function)
        pm->gpe = ports_map(ports, "piix4-gpe0", PIIX4_PM_GPE0, 4, &gpe_ops, pm, err);
    if (pm->gpe)
        pm->apm = ports_map(ports, "piix4-apm", APM_BASE, 2, &apm_ops, pm, err);
    if (!pm->apm) {
        pm_free(&pm->dev);
        return NULL;
    }
    pci_config(pm->function)[CONFIG_PMBA] = 1; /* an I/O base */
    store_le16(pci_config_wmask(pm->function) + CONFIG_PMBA, 0xffc0);
    pci_config_wmask(pm->function)[CONFIG_PMREGMISC] = 1;
    pci_config(pm->function)[0x3c] = 9; /* the SCI is hard-wired to IRQ 9 */
    pm_reset(&pm->dev);
    return pm;
}

struct device *piix4_pm_device(struct piix4_pm *pm)
{
    return &pm->dev;
}
