/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time of day is now() plus an offset, looked at when the guest reads it. The offset is kept as
 * whole seconds and a fraction: nanoseconds alone would not reach the year 9999 that a guest may
 * set. While the clock is stopped (SET, or the divider held in reset) the time registers in CMOS
 * hold it instead; starting the clock computes a new offset from them.
 *
 * Flags of register C are also computed when looked at: catch_up sets UF, AF and PF for what has
 * passed since the last look. Timers run only while an interrupt is enabled.
 */
#include "device/mc146818.h"

#include <errno.h>

#include "base/mem.h"

enum {
    RTC_SECONDS,
    RTC_SECONDS_ALARM,
    RTC_MINUTES,
    RTC_MINUTES_ALARM,
    RTC_HOURS,
    RTC_HOURS_ALARM,
    RTC_WEEKDAY,
    RTC_DAY,
    RTC_MONTH,
    RTC_YEAR,
    RTC_A,
    RTC_B,
    RTC_C,
    RTC_D,
    RTC_CENTURY = 0x32,
};
enum { A_UIP = 1 << 7, A_DIVIDER_RESET = 0x60, A_RATE = 0x0f };
enum {
    B_SET = 1 << 7,
    B_PIE = 1 << 6,
    B_AIE = 1 << 5,
    B_UIE = 1 << 4,
    B_BINARY = 1 << 2,
    B_24H = 1 << 1,
    B_WRITABLE = 0xfe /* without daylight saving, which is not there */
};
enum { C_IRQF = 1 << 7, C_PF = 1 << 6, C_AF = 1 << 5, C_UF = 1 << 4 };
enum { D_VALID = 1 << 7, HOUR_PM = 1 << 7, ALARM_ANY = 0xc0 };
enum { CMOS_SIZE = 128, CRYSTAL_HZ = 32768 };
/* UIP rises 244 us before an update cycle, which takes 1984 us (data sheet, figure 14). */
enum { UPDATE_NS = 244000 + 1984000 };
#define NS_PER_S 1000000000ll
enum { DAY_S = 86400 };

struct mc146818 {
    struct device dev;
    struct ports *ports;
    struct port_range *range;
    struct gclock *clock;
    struct irq_line irq8;
    int64_t (*now)(void *opaque);
    void *now_opaque;
    struct gtimer timer;
    uint8_t index;
    uint8_t cmos[CMOS_SIZE];
    int64_t offset_s;
    int64_t offset_ns;      /* 0..999999999 */
    int64_t seen;           /* the RTC's second up to which UF and AF are known */
    uint64_t seen_crystal;  /* crystal periods up to which PF is known */
    uint8_t weekday_offset; /* the guest's idea of the weekday minus the calendar's, modulo 7 */
};

struct calendar {
    int64_t year;
    unsigned month, day, hour, minute, second, weekday; /* month and day from 1, Sunday = 0 */
};

/* ---- calendar ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Days since 1970-01-01 of March 1st of @year, in the proleptic Gregorian calendar. */
static int64_t march_first(int64_t year)
{
    return 365 * year + floor_div(year, 4) - floor_div(year, 100) + floor_div(year, 400) - 719468;
}

/* Days from March 1st to the first of the month @m months later. */
static int64_t days_before(unsigned m)
{
    return (153 * m + 2) / 5;
}

static int64_t calendar_to_seconds(const struct calendar *c)
{
    /* January and February count as months 11 and 12 of the year before. */
    unsigned m = (c->month + 9) % 12;
    int64_t days = march_first(c->year - (c->month < 3)) + days_before(m) + c->day - 1;

    return days * DAY_S + c->hour * 3600 + c->minute * 60 + c->second;
}

static void seconds_to_calendar(int64_t seconds, struct calendar *ret)
{
    int64_t days = floor_div(seconds, DAY_S), year;
    unsigned in_day = (unsigned)(seconds - days * DAY_S), m;

    ret->hour = in_day / 3600;
    ret->minute = in_day / 60 % 60;
    ret->second = in_day % 60;
    ret->weekday = (unsigned)(((days + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
    year = floor_div((days + 719468) * 400, 146097) + 1;
    while (march_first(year) > days)
        year--;
    m = (unsigned)((5 * (days - march_first(year)) + 2) / 153);
    ret->day = (unsigned)(days - march_first(year) - days_before(m)) + 1;
    ret->month = (m + 2) % 12 + 1;
    ret->year = year + (ret->month < 3);
}

/* ---- register format ---- */

static uint8_t encode(const struct mc146818 *rtc, unsigned value)
{
    return (uint8_t)(rtc->cmos[RTC_B] & B_BINARY ? value : value / 10 % 10 << 4 | value % 10);
}

static unsigned decode(const struct mc146818 *rtc, uint8_t raw)
{
    return rtc->cmos[RTC_B] & B_BINARY ? raw : (raw >> 4) * 10u + (raw & 15);
}

static uint8_t encode_hour(const struct mc146818 *rtc, unsigned hour)
{
    if (rtc->cmos[RTC_B] & B_24H)
        return encode(rtc, hour);
    return encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static unsigned decode_hour(const struct mc146818 *rtc, uint8_t raw)
{
    if (rtc->cmos[RTC_B] & B_24H)
        return decode(rtc, raw);
    return decode(rtc, raw & ~HOUR_PM) % 12 + (raw & HOUR_PM ? 12 : 0);
}

static void store_time(struct mc146818 *rtc, int64_t seconds)
{
    struct calendar c;
    unsigned year;

    seconds_to_calendar(seconds, &c);
    year = (unsigned)(((c.year % 10000) + 10000) % 10000);
    rtc->cmos[RTC_SECONDS] = encode(rtc, c.second);
    rtc->cmos[RTC_MINUTES] = encode(rtc, c.minute);
    rtc->cmos[RTC_HOURS] = encode_hour(rtc, c.hour);
    rtc->cmos[RTC_WEEKDAY] = encode(rtc, (c.weekday + rtc->weekday_offset) % 7 + 1);
    rtc->cmos[RTC_DAY] = encode(rtc, c.day);
    rtc->cmos[RTC_MONTH] = encode(rtc, c.month);
    rtc->cmos[RTC_YEAR] = encode(rtc, year % 100);
    rtc->cmos[RTC_CENTURY] = encode(rtc, year / 100);
}

/* The time in the registers; nonsense in them gives some time near it, never more. */
static int64_t load_time(struct mc146818 *rtc)
{
    struct calendar c = {.second = decode(rtc, rtc->cmos[RTC_SECONDS]),
                         .minute = decode(rtc, rtc->cmos[RTC_MINUTES]),
                         .hour = decode_hour(rtc, rtc->cmos[RTC_HOURS]),
                         .day = decode(rtc, rtc->cmos[RTC_DAY]),
                         .month = decode(rtc, rtc->cmos[RTC_MONTH]),
                         .year = decode(rtc, rtc->cmos[RTC_CENTURY]) * 100 +
                                 decode(rtc, rtc->cmos[RTC_YEAR])};
    unsigned weekday = decode(rtc, rtc->cmos[RTC_WEEKDAY]);
    struct calendar true_day;
    int64_t seconds;

    c.month = c.month < 1 || c.month > 12 ? 1 : c.month;
    seconds = calendar_to_seconds(&c);
    seconds_to_calendar(seconds, &true_day);
    rtc->weekday_offset = (uint8_t)((weekday + 6 + 7 - true_day.weekday) % 7);
    return seconds;
}

/* ---- running ---- */

static bool stopped(const struct mc146818 *rtc)
{
    return rtc->cmos[RTC_B] & B_SET || (rtc->cmos[RTC_A] & A_DIVIDER_RESET) == A_DIVIDER_RESET;
}

/* The RTC's second; *ret_ns (may be NULL): nanoseconds into it. */
static int64_t rtc_seconds(const struct mc146818 *rtc, int64_t *ret_ns)
{
    int64_t ns = rtc->now(rtc->now_opaque) + rtc->offset_ns, seconds = floor_div(ns, NS_PER_S);

    if (ret_ns)
        *ret_ns = ns - seconds * NS_PER_S;
    return seconds + rtc->offset_s;
}

static uint64_t crystal(const struct mc146818 *rtc)
{
    return gclock_muldiv(gclock_now(rtc->clock), CRYSTAL_HZ, NS_PER_S);
}

/* The period of PF in crystal periods, 0 = none (table 5). */
static uint64_t period(const struct mc146818 *rtc)
{
    unsigned rate = rtc->cmos[RTC_A] & A_RATE;

    if (!rate || (rtc->cmos[RTC_A] & A_DIVIDER_RESET) == A_DIVIDER_RESET)
        return 0;
    return 1ull << (rate < 3 ? rate + 6 : rate - 1);
}

static bool alarm_field(const struct mc146818 *rtc, unsigned alarm, uint8_t now)
{
    return (rtc->cmos[alarm] & ALARM_ANY) == ALARM_ANY || rtc->cmos[alarm] == now;
}

/* Whether the alarm goes off in one of the seconds (@from, @to]. */
static bool alarm_between(const struct mc146818 *rtc, int64_t from, int64_t to)
{
    int64_t tod;

    if (to - from > DAY_S)
        from = to - DAY_S;
    tod = from - floor_div(from, DAY_S) * DAY_S;
    for (int64_t i = from; i < to; i++) {
        tod = (tod + 1) % DAY_S;
        if (alarm_field(rtc, RTC_SECONDS_ALARM, encode(rtc, (unsigned)(tod % 60))) &&
            alarm_field(rtc, RTC_MINUTES_ALARM, encode(rtc, (unsigned)(tod / 60 % 60))) &&
            alarm_field(rtc, RTC_HOURS_ALARM, encode_hour(rtc, (unsigned)(tod / 3600))))
            return true;
    }
    return false;
}

static void catch_up(struct mc146818 *rtc)
{
    int64_t from = rtc->seen, to = rtc_seconds(rtc, NULL);
    uint64_t ticks = crystal(rtc), n = period(rtc);
    uint8_t *c = &rtc->cmos[RTC_C];

    if (!stopped(rtc) && to > from) {
        *c |= C_UF;
        if (!(*c & C_AF) && alarm_between(rtc, from, to))
            *c |= C_AF;
    }
    if (n && ticks / n != rtc->seen_crystal / n)
        *c |= C_PF;
    rtc->seen_crystal = ticks;
    rtc->seen = to;
}

static void update(struct mc146818 *rtc)
{
    const uint8_t *cmos = rtc->cmos;
    uint64_t deadline = UINT64_MAX, n = period(rtc);
    bool irq = cmos[RTC_B] & cmos[RTC_C] & (C_PF | C_AF | C_UF);

    rtc->cmos[RTC_C] = (uint8_t)((cmos[RTC_C] & ~C_IRQF) | (irq ? C_IRQF : 0));
    irq_set(&rtc->irq8, irq);
    if (cmos[RTC_B] & (B_UIE | B_AIE) && !stopped(rtc)) {
        int64_t fraction;
        rtc_seconds(rtc, &fraction);
        deadline = gclock_now(rtc->clock) + (uint64_t)(NS_PER_S - fraction);
    }
    if (cmos[RTC_B] & B_PIE && n) {
        uint64_t next = (crystal(rtc) / n + 1) * n;
        uint64_t at =
            (uint64_t)(((unsigned __int128)next * NS_PER_S + CRYSTAL_HZ - 1) / CRYSTAL_HZ);
        deadline = min_of(deadline, at);
    }
    if (deadline != UINT64_MAX)
        gtimer_set(&rtc->timer, deadline);
    else
        gtimer_clear(&rtc->timer);
}

static void timer_due(void *opaque)
{
    struct mc146818 *rtc = opaque;

    catch_up(rtc);
    update(rtc);
}

/* ---- registers ---- */

static bool is_time(unsigned index)
{
    return index == RTC_CENTURY || index == RTC_SECONDS || index == RTC_MINUTES ||
           (index >= RTC_HOURS && index <= RTC_YEAR && index != RTC_HOURS_ALARM);
}

static int64_t fraction_now(const struct mc146818 *rtc)
{
    int64_t fraction;

    rtc_seconds(rtc, &fraction);
    return fraction;
}

/* Sets the clock to the registers, @fraction ns into that second. */
static void set_clock(struct mc146818 *rtc, int64_t fraction)
{
    int64_t now = rtc->now(rtc->now_opaque), ns;

    ns = fraction - (now - floor_div(now, NS_PER_S) * NS_PER_S);
    rtc->offset_ns = ns < 0 ? ns + NS_PER_S : ns;
    rtc->offset_s = load_time(rtc) - floor_div(now + rtc->offset_ns, NS_PER_S);
    rtc->seen = rtc_seconds(rtc, NULL);
}

/* Registers A and B: either may stop or start the clock. */
static void write_control(struct mc146818 *rtc, unsigned index, uint8_t value)
{
    bool was_stopped = stopped(rtc);
    bool was_reset = (rtc->cmos[RTC_A] & A_DIVIDER_RESET) == A_DIVIDER_RESET;

    catch_up(rtc);
    if (!was_stopped)
        store_time(rtc, rtc_seconds(rtc, NULL));
    if (index == RTC_A)
        value &= (uint8_t)~A_UIP;
    else
        value &= value & B_SET ? B_WRITABLE & ~B_UIE : B_WRITABLE; /* SET clears UIE */
    rtc->cmos[index] = value;
    /* The first update comes half a second after the divider was released. */
    if (was_stopped && !stopped(rtc))
        set_clock(rtc, was_reset ? NS_PER_S / 2 : fraction_now(rtc));
    update(rtc);
}

static void cmos_write(struct mc146818 *rtc, unsigned index, uint8_t value)
{
    if (index == RTC_A || index == RTC_B) {
        write_control(rtc, index, value);
    } else if (index == RTC_C || index == RTC_D) {
        ; /* read-only */
    } else if (is_time(index) && !stopped(rtc)) {
        catch_up(rtc);
        store_time(rtc, rtc_seconds(rtc, NULL));
        rtc->cmos[index] = value;
        set_clock(rtc, fraction_now(rtc));
        update(rtc);
    } else {
        catch_up(rtc); /* alarm bytes: what has passed was under the old ones */
        rtc->cmos[index] = value;
        update(rtc);
    }
}

static uint8_t cmos_read(struct mc146818 *rtc, unsigned index)
{
    uint8_t value;

    if (is_time(index) && !stopped(rtc))
        store_time(rtc, rtc_seconds(rtc, NULL));
    switch (index) {
    case RTC_A:
        return rtc->cmos[RTC_A] |
               (!stopped(rtc) && fraction_now(rtc) >= NS_PER_S - UPDATE_NS ? A_UIP : 0);
    case RTC_C:
        catch_up(rtc);
        update(rtc);
        value = rtc->cmos[RTC_C];
        rtc->cmos[RTC_C] = 0;
        update(rtc);
        return value;
    case RTC_D:
        return D_VALID;
    default:
        return rtc->cmos[index];
    }
}

static uint32_t port_read(void *dev, uint16_t offset, unsigned size)
{
    struct mc146818 *rtc = dev;
    return offset ? cmos_read(rtc, rtc->index) : 0xff; /* the index cannot be read */
}

static void port_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    struct mc146818 *rtc = dev;

    if (offset)
        cmos_write(rtc, rtc->index, (uint8_t)value);
    else
        rtc->index = value & (CMOS_SIZE - 1); /* bit 7 masks NMIs, of which there are none here */
}

static const struct port_ops rtc_ops = {.read = port_read, .write = port_write, .bytes = true};

/* ---- the board's side ---- */

void mc146818_set_cmos(struct mc146818 *rtc, uint8_t index, uint8_t value)
{
    if (index > RTC_D && index < CMOS_SIZE && index != RTC_CENTURY)
        rtc->cmos[index] = value;
}

static void set_word(struct mc146818 *rtc, uint8_t index, uint64_t value)
{
    mc146818_set_cmos(rtc, index, (uint8_t)value);
    mc146818_set_cmos(rtc, index + 1, (uint8_t)(value >> 8));
}

void mc146818_set_memory(struct mc146818 *rtc, uint64_t below, uint64_t above)
{
    const uint64_t mib = 1 << 20, word = UINT16_MAX;
    uint64_t extended = below > mib ? min_of((below - mib) >> 10, word) : 0;

    set_word(rtc, 0x15, min_of(below >> 10, (uint64_t)640));
    set_word(rtc, 0x17, extended);
    set_word(rtc, 0x30, extended);
    set_word(rtc, 0x34, below > 16 * mib ? min_of((below - 16 * mib) >> 16, word) : 0);
    set_word(rtc, 0x5b, above >> 16);
    mc146818_set_cmos(rtc, 0x5d, (uint8_t)(above >> 32));
}

/* ---- state ---- */

static const struct state_field rtc_fields[] = {
    STATE_FIELD(struct mc146818, index, 0),          STATE_BLOB(struct mc146818, cmos),
    STATE_FIELD(struct mc146818, offset_s, 0),       STATE_FIELD(struct mc146818, offset_ns, 0),
    STATE_FIELD(struct mc146818, seen, 0),           STATE_FIELD(struct mc146818, seen_crystal, 0),
    STATE_FIELD(struct mc146818, weekday_offset, 0), STATE_GTIMER(struct mc146818, timer),
};

static void after(void *dev)
{
    struct mc146818 *rtc = dev;
    const int64_t limit = 1ll << 50;

    /* What was loaded may come from a file. */
    rtc->offset_s = max_of(min_of(rtc->offset_s, limit), -limit);
    rtc->seen = max_of(min_of(rtc->seen, limit), -limit);
    rtc->offset_ns = rtc->offset_ns < 0 || rtc->offset_ns >= NS_PER_S ? 0 : rtc->offset_ns;
    rtc->index &= CMOS_SIZE - 1;
    rtc->weekday_offset %= 7;
    update(rtc);
}

static const struct state_table rtc_state = {.name = "mc146818",
                                             .version = 1,
                                             .fields = rtc_fields,
                                             .field_count = array_size(rtc_fields),
                                             .after = after};

/* RESET# clears the interrupt enables and flags; time, memory and rates are on the battery. */
static void rtc_reset(struct device *dev)
{
    struct mc146818 *rtc = container_of(dev, struct mc146818, dev);

    catch_up(rtc);
    rtc->cmos[RTC_B] &= (uint8_t) ~(B_PIE | B_AIE | B_UIE | 1 << 3);
    rtc->cmos[RTC_C] = 0;
    rtc->index = 0;
    update(rtc);
}

static void rtc_free(struct device *dev)
{
    struct mc146818 *rtc = container_of(dev, struct mc146818, dev);

    gtimer_clear(&rtc->timer);
    ports_unmap(rtc->ports, rtc->range);
    free(rtc);
}

struct mc146818 *mc146818_new(struct ports *ports, struct gclock *clock,
                              const struct irq_line *irq8, int64_t (*now)(void *opaque),
                              void *opaque, struct error *err)
{
    struct mc146818 *rtc = mem_new(struct mc146818);

    if (!rtc) {
        error_set(err, -ENOMEM, "create mc146818: out of memory");
        return NULL;
    }
    rtc->dev = (struct device){
        .state = &rtc_state, .name = "mc146818", .reset = rtc_reset, .free = rtc_free};
    rtc->ports = ports;
    rtc->clock = clock;
    rtc->irq8 = *irq8;
    rtc->now = now;
    rtc->now_opaque = opaque;
    gtimer_init(&rtc->timer, clock, timer_due, rtc);
    rtc->range = ports_map(ports, "mc146818", 0x70, 2, &rtc_ops, rtc, err);
    if (!rtc->range) {
        rtc_free(&rtc->dev);
        return NULL;
    }
    rtc->cmos[RTC_A] = 0x26; /* 32.768 kHz, 1024 Hz */
    rtc->cmos[RTC_B] = B_24H;
    rtc->seen = rtc_seconds(rtc, NULL);
    rtc->seen_crystal = crystal(rtc);
    rtc_reset(&rtc->dev);
    return rtc;
}

struct device *mc146818_device(struct mc146818 *rtc)
{
    return &rtc->dev;
}
