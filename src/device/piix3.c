/* SPDX-License-Identifier: Apache-2.0 */
#include "device/piix3.h"

#include <errno.h>

#include "base/mem.h"

enum { PIRQRC = 0x60, PIRQS = 4, PIRQ_OFF = 0x80, ISA_IRQS = 16 };
enum { RC_CPU = 1 << 2, RC_SYSTEM = 1 << 1 };
enum { A_A20 = 1 << 1, A_FAST_RESET = 1 << 0 };
/* Interrupts that a PIRQ may be routed to (PIRQRC): not 0-2, 8, 13. */
enum { ROUTABLE = 0xdef8 };

struct piix3 {
    struct device dev;
    struct ports *ports;
    struct pci_function *function;
    struct port_range *reset_port, *port92;
    struct irq_line isa;
    struct piix3_ops ops;
    uint8_t reset_control, control_a;
    uint32_t asking[PIRQS]; /* slots that drive the PIRQ, one bit each */
    uint16_t isa_levels;    /* derived: as last driven */
};

static void set_a20(struct piix3 *p, int on)
{
    if (p->ops.a20)
        p->ops.a20(p->ops.opaque, on);
}

/* ---- PIRQ routing (290550-002, 2.2.11) ---- */

static void update_irqs(struct piix3 *p)
{
    const uint8_t *route = pci_config(p->function) + PIRQRC;
    uint16_t levels = 0, changed;

    for (unsigned i = 0; i < PIRQS; i++)
        if (p->asking[i] && !(route[i] & PIRQ_OFF) && ROUTABLE >> (route[i] & 15) & 1)
            levels |= (uint16_t)(1 << (route[i] & 15));
    changed = levels ^ p->isa_levels;
    p->isa_levels = levels;
    for (unsigned irq = 0; irq < ISA_IRQS; irq++)
        if (changed >> irq & 1 && p->isa.set)
            p->isa.set(p->isa.opaque, irq, levels >> irq & 1);
}

void piix3_intx(void *bridge, unsigned input, int level)
{
    struct piix3 *p = bridge;
    unsigned slot = input / 4 & 31, pirq = (slot + input % 4 + PIRQS - 1) % PIRQS;
    uint32_t bit = 1u << slot;

    p->asking[pirq] = level ? p->asking[pirq] | bit : p->asking[pirq] & ~bit;
    update_irqs(p);
}

void piix3_route(struct piix3 *p, unsigned pirq, uint8_t irq)
{
    if (pirq >= PIRQS)
        return;
    pci_config(p->function)[PIRQRC + pirq] = irq & (PIRQ_OFF | 15);
    update_irqs(p);
}

static void config_written(void *dev, unsigned offset, unsigned size)
{
    if (offset < PIRQRC + PIRQS && offset + size > PIRQRC)
        update_irqs(dev);
}

static const struct pci_function_ops function_ops = {.config_written = config_written};

/* ---- reset control (2.5.6.3) and port 0x92 (2.5.2) ---- */

static uint32_t reset_read(void *dev, uint16_t offset, unsigned size)
{
    return ((const struct piix3 *)dev)->reset_control;
}

static void reset_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    struct piix3 *p = dev;
    bool rises = value & ~(uint32_t)p->reset_control & RC_CPU;

    p->reset_control = value & (RC_CPU | RC_SYSTEM);
    if (rises)
        p->ops.reset(p->ops.opaque);
}

static uint32_t port92_read(void *dev, uint16_t offset, unsigned size)
{
    return ((const struct piix3 *)dev)->control_a;
}

static void port92_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    struct piix3 *p = dev;
    bool rises = value & ~(uint32_t)p->control_a & A_FAST_RESET;

    p->control_a = value & (A_A20 | A_FAST_RESET);
    set_a20(p, (value & A_A20) != 0);
    if (rises)
        p->ops.reset(p->ops.opaque);
}

static const struct port_ops reset_ops = {.read = reset_read, .write = reset_write, .bytes = true};
static const struct port_ops port92_ops = {
    .read = port92_read, .write = port92_write, .bytes = true};

/* ---- state ---- */

static const struct state_field piix3_fields[] = {
    STATE_FIELD(struct piix3, reset_control, 0),
    STATE_FIELD(struct piix3, control_a, A_A20),
    STATE_ARRAY(struct piix3, asking, 0),
};

static void after(void *dev)
{
    struct piix3 *p = dev;

    set_a20(p, (p->control_a & A_A20) != 0);
    update_irqs(p);
}

static const struct state_table piix3_state = {.name = "piix3",
                                               .version = 1,
                                               .fields = piix3_fields,
                                               .field_count = array_size(piix3_fields),
                                               .after = after};

/* The INTx wires are not the bridge's: their levels outlast a reset. */
static void piix3_reset(struct device *dev)
{
    struct piix3 *p = container_of(dev, struct piix3, dev);
    uint32_t asking[PIRQS];

    memcpy(asking, p->asking, sizeof(asking));
    pci_function_reset(p->function);
    state_reset(&piix3_state, p);
    memcpy(p->asking, asking, sizeof(asking));
    update_irqs(p);
}

static void piix3_free(struct device *dev)
{
    struct piix3 *p = container_of(dev, struct piix3, dev);

    ports_unmap(p->ports, p->reset_port);
    ports_unmap(p->ports, p->port92);
    free(p);
}

struct piix3 *piix3_new(struct pci_bus *bus, unsigned slot, struct ports *ports,
                        const struct irq_line *isa, const struct piix3_ops *ops, struct error *err)
{
    static const struct pci_ident ident = {.vendor = 0x8086,
                                           .device = 0x7000,
                                           .subsystem_vendor = 0x1af4,
                                           .subsystem = 0x1100,
                                           .class_code = 0x060100};
    struct piix3 *p = mem_new(struct piix3);

    if (!p) {
        error_set(err, -ENOMEM, "create piix3: out of memory");
        return NULL;
    }
    p->dev = (struct device){
        .state = &piix3_state, .name = "piix3", .reset = piix3_reset, .free = piix3_free};
    p->ports = ports;
    p->isa = *isa;
    p->ops = *ops;
    p->control_a = A_A20;
    p->function = pci_add(bus, slot, 0, &ident, &function_ops, p, err);
    if (p->function)
        p->reset_port = ports_map(ports, "piix3-reset", 0xcf9, 1, &reset_ops, p, err);
    if (p->reset_port)
        p->port92 = ports_map(ports, "port92", 0x92, 1, &port92_ops, p, err);
    if (!p->port92) {
        piix3_free(&p->dev);
        return NULL;
    }
    memset(pci_config(p->function) + PIRQRC, PIRQ_OFF, PIRQS);
    memset(pci_config_wmask(p->function) + PIRQRC, PIRQ_OFF | 15, PIRQS);
    return p;
}

struct device *piix3_device(struct piix3 *bridge)
{
    return &bridge->dev;
}
