/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output goes to the character seam as it is written, and the transmitter is empty again at once;
 * only what the seam refuses waits in the transmit FIFO, and the guest sees it full. Received bytes
 * carry their line errors (a break is the only one that arises here).
 *
 * Register names and bits are those of the PC16550D data sheet, section 8.
 */
#include "device/uart16550.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"

enum { FIFO_SIZE = 16, INPUT_HZ = 1843200 };
enum { IER_DATA = 1 << 0, IER_THRE = 1 << 1, IER_LINE = 1 << 2, IER_MODEM = 1 << 3 };
enum {
    IIR_NONE = 0x01,
    IIR_LINE = 0x06,
    IIR_DATA = 0x04,
    IIR_TIMEOUT = 0x0c,
    IIR_THRE = 0x02,
    IIR_MODEM = 0x00,
    IIR_FIFOS = 0xc0
};
enum { FCR_ENABLE = 1 << 0, FCR_CLEAR_RX = 1 << 1, FCR_CLEAR_TX = 1 << 2 };
enum { LCR_DLAB = 1 << 7, LCR_STOP = 1 << 2, LCR_PARITY = 1 << 3 };
enum {
    MCR_DTR = 1 << 0,
    MCR_RTS = 1 << 1,
    MCR_OUT1 = 1 << 2,
    MCR_OUT2 = 1 << 3,
    MCR_LOOP = 1 << 4
};
enum {
    LSR_DATA = 1 << 0,
    LSR_OVERRUN = 1 << 1,
    LSR_BREAK = 1 << 4,
    LSR_ERRORS = 0x1e,
    LSR_THRE = 1 << 5,
    LSR_EMPTY = 1 << 6,
    LSR_FIFO_ERROR = 1 << 7
};
enum {
    MSR_DELTAS = 0x0f,
    MSR_RING_ENDED = 1 << 2,
    MSR_CTS = 1 << 4,
    MSR_DSR = 1 << 5,
    MSR_RING = 1 << 6,
    MSR_DCD = 1 << 7
};

struct uart16550 {
    struct device dev;
    struct ports *ports;
    struct port_range *range;
    struct irq_line irq;
    struct chardev *ch;
    struct chardev_client client;
    struct gtimer timeout; /* the character timeout of the receive FIFO */
    uint8_t ier, fcr, lcr, mcr, msr, scratch;
    uint8_t overrun;
    uint8_t thre_pending;    /* the THRE interrupt has not been taken */
    uint8_t timeout_pending; /* the character timeout has passed */
    uint16_t divisor;
    uint8_t rx[FIFO_SIZE], rx_errors[FIFO_SIZE], tx[FIFO_SIZE];
    uint8_t rx_first, rx_count, tx_count;
};

static unsigned capacity(const struct uart16550 *u)
{
    return u->fcr & FCR_ENABLE ? FIFO_SIZE : 1;
}

static unsigned trigger_level(const struct uart16550 *u)
{
    static const uint8_t levels[] = {1, 4, 8, 14};
    return u->fcr & FCR_ENABLE ? levels[u->fcr >> 6] : 1;
}

/* ---- interrupts (8.6) ---- */

static uint8_t line_status(const struct uart16550 *u)
{
    uint8_t lsr = u->overrun ? LSR_OVERRUN : 0;

    if (u->rx_count)
        lsr |= (uint8_t)(LSR_DATA | u->rx_errors[u->rx_first]);
    for (unsigned i = 0; u->fcr & FCR_ENABLE && i < u->rx_count; i++)
        if (u->rx_errors[(u->rx_first + i) % FIFO_SIZE])
            lsr |= LSR_FIFO_ERROR;
    if (!u->tx_count)
        lsr |= LSR_THRE | LSR_EMPTY;
    return lsr;
}

static uint8_t interrupt_id(const struct uart16550 *u)
{
    if (u->ier & IER_LINE && line_status(u) & LSR_ERRORS)
        return IIR_LINE;
    if (u->ier & IER_DATA && u->rx_count >= trigger_level(u))
        return IIR_DATA;
    if (u->ier & IER_DATA && u->timeout_pending)
        return IIR_TIMEOUT;
    if (u->ier & IER_THRE && u->thre_pending)
        return IIR_THRE;
    if (u->ier & IER_MODEM && u->msr & MSR_DELTAS)
        return IIR_MODEM;
    return IIR_NONE;
}

/* OUT2 connects the interrupt to the bus, as the PC's adapters are wired. */
static void update_irq(struct uart16550 *u)
{
    irq_set(&u->irq, interrupt_id(u) != IIR_NONE && u->mcr & MCR_OUT2);
}

/* ---- receiver ---- */

/* Four character times without a byte moving into or out of the FIFO (8.11). */
static void arm_timeout(struct uart16550 *u)
{
    unsigned bits =
        1 + 5 + (u->lcr & 3) + (u->lcr & LCR_PARITY ? 1 : 0) + 1 + (u->lcr & LCR_STOP ? 1 : 0);
    uint64_t divisor = u->divisor ? u->divisor : 65536;

    if (!(u->fcr & FCR_ENABLE) || !u->rx_count) {
        gtimer_clear(&u->timeout);
        return;
    }
    gtimer_set(&u->timeout,
               gclock_now(u->timeout.clock) + 4 * bits * divisor * 16 * 1000000000 / INPUT_HZ);
}

static void timeout_due(void *opaque)
{
    struct uart16550 *u = opaque;

    u->timeout_pending = u->rx_count != 0;
    update_irq(u);
}

static void receive(struct uart16550 *u, uint8_t byte, uint8_t errors)
{
    if (u->rx_count >= capacity(u)) {
        u->overrun = 1;
        return;
    }
    u->rx[(u->rx_first + u->rx_count) % FIFO_SIZE] = byte;
    u->rx_errors[(u->rx_first + u->rx_count) % FIFO_SIZE] = errors;
    u->rx_count++;
}

static size_t client_room(void *opaque)
{
    const struct uart16550 *u = opaque;
    /* In loopback the line is disconnected: the other end waits. */
    return u->mcr & MCR_LOOP || u->rx_count >= capacity(u) ? 0 : capacity(u) - u->rx_count;
}

static void client_input(void *opaque, const uint8_t *bytes, size_t n)
{
    struct uart16550 *u = opaque;

    for (size_t i = 0; i < n; i++)
        receive(u, bytes[i], 0);
    arm_timeout(u);
    update_irq(u);
}

void uart16550_break(struct uart16550 *u)
{
    if (u->mcr & MCR_LOOP)
        return;
    receive(u, 0, LSR_BREAK);
    arm_timeout(u);
    update_irq(u);
}

static void input_wanted(struct uart16550 *u)
{
    if (u->ch && client_room(u))
        u->ch->ops->ready(u->ch);
}

static uint8_t read_data(struct uart16550 *u)
{
    uint8_t byte = u->rx[u->rx_first];

    if (!u->rx_count)
        return 0;
    u->rx_first = (u->rx_first + 1) % FIFO_SIZE;
    u->rx_count--;
    u->timeout_pending = 0;
    arm_timeout(u);
    update_irq(u);
    input_wanted(u);
    return byte;
}

static uint8_t read_line_status(struct uart16550 *u)
{
    uint8_t lsr = line_status(u);

    u->overrun = 0;
    if (u->rx_count)
        u->rx_errors[u->rx_first] = 0;
    update_irq(u);
    return lsr;
}

static void clear_receiver(struct uart16550 *u)
{
    u->rx_first = u->rx_count = 0;
    u->timeout_pending = 0;
    gtimer_clear(&u->timeout);
}

/* ---- transmitter ---- */

static void transmit(struct uart16550 *u)
{
    size_t taken = u->tx_count;

    if (!u->tx_count)
        return;
    if (u->mcr & MCR_LOOP) {
        for (unsigned i = 0; i < u->tx_count; i++)
            receive(u, u->tx[i], 0);
        arm_timeout(u);
    } else if (u->ch) {
        taken = min_of(u->ch->ops->write(u->ch, u->tx, u->tx_count), (size_t)u->tx_count);
    }
    memmove(u->tx, u->tx + taken, u->tx_count - taken);
    u->tx_count -= (uint8_t)taken;
    if (!u->tx_count)
        u->thre_pending = 1;
}

static void client_writable(void *opaque)
{
    struct uart16550 *u = opaque;

    transmit(u);
    update_irq(u);
}

static void write_data(struct uart16550 *u, uint8_t byte)
{
    u->thre_pending = 0;
    if (u->tx_count == capacity(u))
        u->tx_count--; /* written without looking at THRE: the last byte is overwritten */
    u->tx[u->tx_count++] = byte;
    transmit(u);
    update_irq(u);
}

/* ---- control ---- */

static void update_modem(struct uart16550 *u)
{
    uint8_t before = u->msr, lines = u->ch ? MSR_CTS | MSR_DSR | MSR_DCD : 0;

    if (u->mcr & MCR_LOOP)
        lines = (uint8_t)((u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
                          (u->mcr & MCR_OUT1 ? MSR_RING : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0));
    u->msr = (uint8_t)((before & MSR_DELTAS) | lines);
    u->msr |= (uint8_t)(((before ^ lines) & (MSR_CTS | MSR_DSR | MSR_DCD)) >> 4);
    if (before & ~lines & MSR_RING)
        u->msr |= MSR_RING_ENDED;
}

static void write_fifo_control(struct uart16550 *u, uint8_t value)
{
    bool switched = (value ^ u->fcr) & FCR_ENABLE;

    if (switched || (value & FCR_ENABLE && value & FCR_CLEAR_RX))
        clear_receiver(u);
    if (switched || (value & FCR_ENABLE && value & FCR_CLEAR_TX)) {
        u->tx_count = 0;
        u->thre_pending = 1;
    }
    u->fcr = value & FCR_ENABLE ? value & 0xc9 : 0;
    update_irq(u);
    input_wanted(u);
}

static void write_modem_control(struct uart16550 *u, uint8_t value)
{
    u->mcr = value & 0x1f;
    update_modem(u);
    transmit(u);
    update_irq(u);
    input_wanted(u);
}

static uint32_t uart_read(void *dev, uint16_t offset, unsigned size)
{
    struct uart16550 *u = dev;
    uint8_t value;

    switch (offset) {
    case 0:
        return u->lcr & LCR_DLAB ? u->divisor & 0xff : read_data(u);
    case 1:
        return u->lcr & LCR_DLAB ? u->divisor >> 8 : u->ier;
    case 2:
        value = interrupt_id(u);
        if (value == IIR_THRE) {
            u->thre_pending = 0;
            update_irq(u);
        }
        return value | (u->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
    case 3:
        return u->lcr;
    case 4:
        return u->mcr;
    case 5:
        return read_line_status(u);
    case 6:
        value = u->msr;
        u->msr &= (uint8_t)~MSR_DELTAS;
        update_irq(u);
        return value;
    default:
        return u->scratch;
    }
}

static void uart_write(void *dev, uint16_t offset, unsigned size, uint32_t value32)
{
    struct uart16550 *u = dev;
    uint8_t value = (uint8_t)value32;

    switch (offset) {
    case 0:
        if (u->lcr & LCR_DLAB)
            u->divisor = (uint16_t)((u->divisor & 0xff00) | value);
        else
            write_data(u, value);
        break;
    case 1:
        if (u->lcr & LCR_DLAB) {
            u->divisor = (uint16_t)((u->divisor & 0xff) | value << 8);
            break;
        }
        /* Enabling the interrupt while the transmitter is empty raises it (8.7). */
        if (value & ~u->ier & IER_THRE && !u->tx_count)
            u->thre_pending = 1;
        u->ier = value & 0x0f;
        update_irq(u);
        break;
    case 2:
        write_fifo_control(u, value);
        break;
    case 3:
        u->lcr = value;
        break;
    case 4:
        write_modem_control(u, value);
        break;
    case 7:
        u->scratch = value;
        break;
    default: /* LSR and MSR are read-only */
        break;
    }
}

static const struct port_ops uart_ops = {.read = uart_read, .write = uart_write, .bytes = true};

/* ---- state ---- */

static const struct state_field uart_fields[] = {
    STATE_FIELD(struct uart16550, ier, 0),
    STATE_FIELD(struct uart16550, fcr, 0),
    STATE_FIELD(struct uart16550, lcr, 0),
    STATE_FIELD(struct uart16550, mcr, 0),
    STATE_FIELD(struct uart16550, msr, 0),
    STATE_FIELD(struct uart16550, scratch, 0),
    STATE_FIELD(struct uart16550, overrun, 0),
    STATE_FIELD(struct uart16550, thre_pending, 0),
    STATE_FIELD(struct uart16550, timeout_pending, 0),
    STATE_FIELD(struct uart16550, divisor, 12),
    STATE_BLOB(struct uart16550, rx),
    STATE_BLOB(struct uart16550, rx_errors),
    STATE_BLOB(struct uart16550, tx),
    STATE_FIELD(struct uart16550, rx_first, 0),
    STATE_FIELD(struct uart16550, rx_count, 0),
    STATE_FIELD(struct uart16550, tx_count, 0),
    STATE_GTIMER(struct uart16550, timeout),
};

static void after(void *dev)
{
    struct uart16550 *u = dev;

    /* What was loaded may come from a file. */
    u->fcr &= 0xc9;
    u->rx_first %= FIFO_SIZE;
    u->rx_count = min_of(u->rx_count, (uint8_t)capacity(u));
    u->tx_count = min_of(u->tx_count, (uint8_t)capacity(u));
    update_irq(u);
}

static const struct state_table uart_state = {.name = "uart16550",
                                              .version = 1,
                                              .fields = uart_fields,
                                              .field_count = array_size(uart_fields),
                                              .after = after};

static void uart_reset(struct device *dev)
{
    struct uart16550 *u = container_of(dev, struct uart16550, dev);

    state_reset(&uart_state, u);
    update_modem(u);
    u->msr &= (uint8_t)~MSR_DELTAS;
    input_wanted(u);
}

static void uart_free(struct device *dev)
{
    struct uart16550 *u = container_of(dev, struct uart16550, dev);

    gtimer_clear(&u->timeout);
    ports_unmap(u->ports, u->range);
    free(u);
}

struct uart16550 *uart16550_new(struct ports *ports, uint16_t base, struct gclock *clock,
                                const struct irq_line *irq, struct chardev *ch, struct error *err)
{
    struct uart16550 *u = mem_new(struct uart16550);

    if (!u) {
        error_set(err, -ENOMEM, "create uart16550: out of memory");
        return NULL;
    }
    u->dev = (struct device){.state = &uart_state, .reset = uart_reset, .free = uart_free};
    snprintf(u->dev.name, sizeof(u->dev.name), "uart16550-%03x", base);
    u->ports = ports;
    u->irq = *irq;
    u->client = (struct chardev_client){
        .room = client_room, .input = client_input, .writable = client_writable, .opaque = u};
    gtimer_init(&u->timeout, clock, timeout_due, u);
    u->range = ports_map(ports, "uart16550", base, 8, &uart_ops, u, err);
    if (!u->range) {
        uart_free(&u->dev);
        return NULL;
    }
    uart_reset(&u->dev);
    u->ch = ch;
    if (ch)
        ch->ops->attach(ch, &u->client);
    update_modem(u);
    u->msr &= (uint8_t)~MSR_DELTAS;
    return u;
}

struct device *uart16550_device(struct uart16550 *uart)
{
    return &uart->dev;
}
