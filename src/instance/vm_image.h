/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual machine made from an image: its drives, kernel and agent, and the image's process.
 *
 *   DATA/images/drives/HEX       the image as a drive (image/drive.h), never written to
 *   DIR/drive.ext4               what the instance wrote, thin; none for --read-only
 *   DATA/kernels/cloud/vmlinuz   the kernel, and agent.img its initrd, unless the spec names others
 */
#ifndef INSTANCE_VM_IMAGE_H
#define INSTANCE_VM_IMAGE_H

#include "instance/agent.h"
#include "instance/engine.h"

struct image;

struct vm_image {
    const struct engine_env *env;
    struct image *image;
    char *drive, *own; /* files; @own NULL: none */
    char *kernel, *initrd, *append;
    struct agent *agent;
    struct agent_process *main;
};

/* The directory of the kernel for images. New, NULL: out of memory. */
static inline char *vm_image_kernel_dir(const char *data_dir)
{
    return str_format("%s/kernels/cloud", data_dir);
}

/*
 * Finds everything and makes the instance's drive when it is not there. @env (borrowed) and
 * @watch: as agent_new. Release with vm_image_done, also after failure.
 */
int vm_image_open(const struct engine_env *env, const struct agent_watch *watch,
                  struct vm_image *ret, struct error *err) error_must_check;
void vm_image_done(struct vm_image *v);

/* Runs the image's process with the instance's console, once the machine is up. */
int vm_image_run(struct vm_image *v, void (*ended)(void *opaque, int code, const char *reason),
                 void *opaque, struct error *err) error_must_check;

/* Adds the size of its terminal to a process's settings, when it is known. */
void vm_image_add_size(struct str *settings, unsigned columns, unsigned rows);
/* The settings (agent_set) of another process. */
int vm_image_exec_settings(const struct vm_image *v, const struct instance_exec *exec,
                           struct str *ret, struct error *err) error_must_check;

#endif
