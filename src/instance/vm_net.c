/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/vm_net.h"

#include <errno.h>

#include "base/mem.h"
#include "instance/vm_rom.h"
#include "io/net_slirp.h"

/* libslirp and glib. */
/* syscalls: accept accept4 bind connect epoll_wait epoll_pwait eventfd2 fcntl getegid geteuid
 * getgid getpeername getppid getsockname getsockopt getuid listen lseek openat pipe2 poll ppoll
 * read readv recvfrom recvmsg select pselect6 sendmmsg sendmsg sendto setsockopt shutdown
 * socketpair write writev */

static const enum machine_nic_model models[] = {[SPEC_NIC_VIRTIO] = MACHINE_NIC_VIRTIO,
                                                [SPEC_NIC_E1000] = MACHINE_NIC_E1000,
                                                [SPEC_NIC_RTL8139] = MACHINE_NIC_RTL8139};

static int open_first(const struct engine_env *env, struct netdev **ret, struct error *err)
{
    const struct spec *spec = env->spec;
    struct net_slirp_port ports[SPEC_PORTS];
    struct net_slirp_options options = {
        .ports = ports, .port_count = spec->port_count, .hostname = env->name};

    if (spec->net == SPEC_NET_NONE)
        return 0;
    for (size_t i = 0; i < spec->port_count; i++)
        ports[i] = (struct net_slirp_port){.address = spec->ports[i].address,
                                           .host = spec->ports[i].host,
                                           .guest = spec->ports[i].guest,
                                           .udp = spec->ports[i].udp};
    *ret = net_slirp_new(env->loop, &options, err);
    return *ret ? 0 : err->code;
}

/* A further adapter's NAT, in a network of its own. */
static int open_more(struct vm_nets *n, unsigned at, const struct engine_env *env,
                     const char *address, struct error *err)
{
    const struct net_slirp_options options = {.network = at + 1, .hostname = env->name};
    struct vm_nic nic = {0};
    int r = spec_parse_mac(nic.mac, address, err);

    if (r < 0)
        return r;
    nic.netdev = net_slirp_new(env->loop, &options, err);
    if (!nic.netdev)
        return err->code;
    n->more[at] = nic;
    return 0;
}

static void close_more(struct vm_nic *nic)
{
    netdev_close(nic->netdev);
    *nic = (struct vm_nic){0};
}

/* Debian's package ipxe-qemu. Its virtio ROM names the modern device, ours is the transitional one.
 */
static const struct {
    const char *path;
    uint16_t vendor, device;
} roms[] = {
    [MACHINE_NIC_VIRTIO] = {"/usr/lib/ipxe/qemu/pxe-virtio.rom", 0x1af4, 0x1000},
    [MACHINE_NIC_E1000] = {"/usr/lib/ipxe/qemu/pxe-e1000.rom", 0x8086, 0x100e},
    [MACHINE_NIC_RTL8139] = {"/usr/lib/ipxe/qemu/pxe-rtl8139.rom", 0x10ec, 0x8139},
};

/* Only where a network is what is left to boot from, or may be asked for: the ROM takes its time.
 */
static int open_rom(struct vm_nets *n, const struct spec *s, struct error *err)
{
    const char *firmware = spec_vm_firmware(s);
    unsigned model = models[s->nic];
    int r;

    if (!n->first || !firmware || strcmp(firmware, "bios") != 0 ||
        (!s->boot_menu && (s->disk_count || s->cdrom || s->floppy)))
        return 0;
    r = vm_rom_read(roms[model].path, &n->rom, &n->rom_len, err);
    if (r == 0 && n->rom)
        r = vm_rom_set_ids(n->rom, n->rom_len, roms[model].vendor, roms[model].device, err);
    return r < 0 ? error_wrap(err, r, "%s", roms[model].path) : 0;
}

int vm_nets_open(struct vm_nets *n, const struct engine_env *env, struct error *err)
{
    const struct spec_list *list = &env->spec->more_nics;
    int r = open_first(env, &n->first, err);

    for (unsigned i = 0; r == 0 && i < min_of(list->count, (size_t)SPEC_MORE_NICS); i++)
        r = open_more(n, i, env, list->items[i], err);
    return r < 0 ? r : open_rom(n, env->spec, err);
}

static struct machine_nic adapter(const struct vm_nic *nic)
{
    struct machine_nic a = {.netdev = nic->netdev, .model = MACHINE_NIC_VIRTIO};

    memcpy(a.mac, nic->mac, sizeof a.mac);
    return a;
}

void vm_nets_configure(const struct vm_nets *n, const struct spec *spec, const uint8_t mac[6],
                       struct machine_config *c)
{
    if (n->first) {
        struct machine_nic *a = &c->nics[c->nic_count++];
        *a = (struct machine_nic){
            .netdev = n->first, .model = models[spec->nic], .rom = n->rom, .rom_len = n->rom_len};
        memcpy(a->mac, mac, sizeof a->mac);
    }
    for (unsigned i = 0; i < SPEC_MORE_NICS; i++)
        if (n->more[i].netdev)
            c->nics[c->nic_count++] = adapter(&n->more[i]);
}

static bool names(const struct spec *spec, const uint8_t mac[6])
{
    uint8_t m[6];

    for (size_t i = 0; i < spec->more_nics.count; i++)
        if (spec_parse_mac(m, spec->more_nics.items[i], NULL) == 0 && memcmp(m, mac, 6) == 0)
            return true;
    return false;
}

static int plug(struct vm_nets *n, const struct engine_env *env, const char *address,
                struct machine *m, bool *changed, struct error *err)
{
    struct machine_nic a;
    uint8_t mac[6];
    unsigned at = SPEC_MORE_NICS;
    int r = spec_parse_mac(mac, address, err);

    if (r < 0)
        return r;
    for (unsigned i = SPEC_MORE_NICS; i-- > 0;) {
        const struct vm_nic *nic = &n->more[i];
        if (!nic->netdev)
            at = i;
        else if (memcmp(nic->mac, mac, sizeof mac) == 0)
            return nic->leaving
                       ? error_set(err, -EBUSY,
                                   "the guest has not let go of network adapter %s yet", address)
                       : 0;
    }
    if (at == SPEC_MORE_NICS)
        return error_set(err, -ENOSPC, "the machine has %d network adapters, more do not fit",
                         SPEC_MORE_NICS + 1);
    r = open_more(n, at, env, address, err);
    if (r < 0)
        return r;
    a = adapter(&n->more[at]);
    r = machine_plug_nic(m, &a, err);
    if (r < 0)
        close_more(&n->more[at]);
    *changed |= r == 0;
    return r;
}

int vm_nets_update(struct vm_nets *n, const struct engine_env *env, struct machine *m,
                   bool *changed, struct error *err)
{
    const struct spec_list *list = &env->spec->more_nics;
    int r = 0;

    for (unsigned i = 0; r == 0 && i < SPEC_MORE_NICS; i++) {
        struct vm_nic *nic = &n->more[i];
        if (!nic->netdev || nic->leaving || names(env->spec, nic->mac))
            continue;
        r = machine_unplug_nic(m, nic->netdev, err);
        nic->leaving = r == 0;
        *changed |= r == 0;
    }
    for (size_t i = 0; r == 0 && i < list->count; i++)
        r = plug(n, env, list->items[i], m, changed, err);
    return r;
}

void vm_nets_unplugged(struct vm_nets *n, struct netdev *netdev)
{
    for (unsigned i = 0; i < SPEC_MORE_NICS; i++)
        if (n->more[i].netdev == netdev)
            close_more(&n->more[i]);
    if (n->first == netdev) { /* the guest let go of it by itself */
        netdev_close(n->first);
        n->first = NULL;
    }
}

void vm_nets_close(struct vm_nets *n)
{
    netdev_close(n->first);
    for (unsigned i = 0; i < SPEC_MORE_NICS; i++)
        close_more(&n->more[i]);
    free(n->rom);
    n->rom = NULL;
}
