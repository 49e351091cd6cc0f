/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "cpu/x86/access.h"
#include "cpu/x86/interp.h"
#include "cpu/x86/model.h"
#include "cpu/x86/tlb.h"

struct x86_vm *x86_vm_new(struct space *space, struct ports *ports, const struct x86_host *host,
                          const struct x86_model *model, unsigned cpus, uint32_t tsc_khz,
                          struct error *err)
{
    struct x86_vm *vm;

    if (cpus < 1 || cpus > 255) {
        error_set(err, -EINVAL, "create processors: %u is not between 1 and 255", cpus);
        return NULL;
    }
    vm = mem_new(struct x86_vm);
    if (vm) {
        vm->space = space;
        vm->ports = ports;
        vm->host = *host;
        vm->model = model ? model : x86_model_find(NULL);
        vm->tsc_khz = tsc_khz;
        vm->a20_mask = UINT64_MAX;
        vm->cpus = mem_alloc(cpus, sizeof(*vm->cpus));
    }
    if (!vm || !vm->cpus)
        goto no_memory;
    for (; vm->cpu_count < cpus; vm->cpu_count++) {
        struct x86_cpu *c = mem_new(struct x86_cpu);
        if (!c)
            goto no_memory;
        c->vm = vm;
        c->index = vm->cpu_count;
        vm->cpus[vm->cpu_count] = c;
        x86_reset(c);
    }
    x86_tlb_attach(vm);
    return vm;

no_memory:
    error_set(err, -ENOMEM, "create processors: out of memory");
    x86_vm_free(vm);
    return NULL;
}

void x86_vm_free(struct x86_vm *vm)
{
    if (!vm)
        return;
    if (vm->listener.opaque)
        x86_tlb_detach(vm);
    x86_interp_release(vm);
    free(vm->debugger);
    for (unsigned i = 0; i < vm->cpu_count; i++)
        free(vm->cpus[i]);
    free(vm->cpus);
    free(vm);
}
