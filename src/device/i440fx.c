/* SPDX-License-Identifier: Apache-2.0 */
#include "device/i440fx.h"

#include <errno.h>

#include "base/mem.h"

struct i440fx {
    struct device dev;
    struct pci_function *function;
    void (*pam_changed)(void *opaque, const uint8_t pam[I440FX_PAMS], uint8_t smram);
    void *opaque;
};

static void tell(struct i440fx *bridge)
{
    const uint8_t *config = pci_config(bridge->function);

    if (bridge->pam_changed)
        bridge->pam_changed(bridge->opaque, config + I440FX_PAM, config[I440FX_SMRAM]);
}

static void config_written(void *dev, unsigned offset, unsigned size)
{
    if ((offset + size > I440FX_PAM && offset < I440FX_PAM + I440FX_PAMS) ||
        (offset <= I440FX_SMRAM && offset + size > I440FX_SMRAM))
        tell(dev);
}

static const struct pci_function_ops function_ops = {.config_written = config_written};

/* All state is in configuration space, which the function's own device keeps. */
static const struct state_table i440fx_state = {.name = "i440fx", .version = 1};

static void i440fx_reset(struct device *dev)
{
    struct i440fx *bridge = container_of(dev, struct i440fx, dev);

    pci_function_reset(bridge->function);
    tell(bridge);
}

static void i440fx_free(struct device *dev)
{
    free(container_of(dev, struct i440fx, dev));
}

struct i440fx *i440fx_new(struct pci_bus *bus,
                          void (*pam_changed)(void *opaque, const uint8_t pam[I440FX_PAMS],
                                              uint8_t smram),
                          void *opaque, struct error *err)
{
    static const struct pci_ident ident = {.vendor = 0x8086,
                                           .device = 0x1237,
                                           .subsystem_vendor = 0x1af4,
                                           .subsystem = 0x1100,
                                           .class_code = 0x060000,
                                           .revision = 2};
    struct i440fx *bridge = mem_new(struct i440fx);

    if (!bridge) {
        error_set(err, -ENOMEM, "create i440fx: out of memory");
        return NULL;
    }
    bridge->dev = (struct device){
        .state = &i440fx_state, .name = "i440fx", .reset = i440fx_reset, .free = i440fx_free};
    bridge->function = pci_add(bus, 0, 0, &ident, &function_ops, bridge, err);
    if (!bridge->function) {
        i440fx_free(&bridge->dev);
        return NULL;
    }
    memset(pci_config_wmask(bridge->function) + I440FX_PAM, 0x33, I440FX_PAMS);
    pci_config_wmask(bridge->function)[I440FX_PAM] = 0x30; /* 0xF0000-0xFFFFF alone */
    pci_config_wmask(bridge->function)[I440FX_SMRAM] = 0x78;
    pci_config(bridge->function)[I440FX_SMRAM] = 0x02;
    bridge->pam_changed = pam_changed;
    bridge->opaque = opaque;
    return bridge;
}

struct device *i440fx_device(struct i440fx *bridge)
{
    return &bridge->dev;
}
