/* SPDX-License-Identifier: Apache-2.0 */
/* Disk images of virtual machines. */
#include "cli/verb_table.h"

static const struct option create_options[] = {
    CHOICE("format", 'f', "qcow2|raw", "FORMAT", "Format of the image", .initial = "qcow2"),
    VALUE(OPTION_TEXT, "backing", 'b', "FILE", "Image that this one is an overlay of",
          .complete = COMPLETE_FILE,
          .man = "The new image has what FILE has until something else is written to it; FILE must "
                 "not be written any more. A path that is not absolute is relative to where the "
                 "new image is."),
    CHOICE("backing-format", 'F', "qcow2|raw", "FORMAT", "Format of the backing file",
           .man = "Without it FILE is looked at. The format is kept in the new image."),
    VALUE(OPTION_SIZE, "cluster-size", 0, "SIZE", "512 to 2m, a power of two; for qcow2",
          .initial = "64k"),
    END,
};

static const struct option info_options[] = {
    VALUE(OPTION_TEXT, "format", 'f', "FORMAT", "json, or a template: '{{.VirtualSize}}'",
          .complete = COMPLETE_FORMAT),
    JSON,
    END,
};

static const struct option check_options[] = {
    CHOICE("repair", 'r', "leaks|all", "WHAT", "Repair what was found"),
    VALUE(OPTION_TEXT, "format", 'f', "FORMAT", "json, or a template: '{{.Leaks}}'",
          .complete = COMPLETE_FORMAT),
    JSON,
    END,
};

static const struct option convert_options[] = {
    CHOICE("output", 'O', "qcow2|raw", "FORMAT", "Format of the new image", .initial = "qcow2"),
    CHOICE("format", 'f', "auto|raw|qcow2|vmdk|vdi|vhd|vhdx|ova", "FORMAT",
           "Format of the image there is", .initial = "auto"),
    END,
};

const struct verb disk_verbs[] = {
    {
        .name = "disk create",
        .group = "Machines",
        .synopsis = "[OPTIONS] FILE [SIZE]",
        .brief = "Make a disk image",
        .help = "Make an empty disk image, or an overlay of another.",
        .man = "The file must not exist. An overlay has the size of its backing file unless SIZE "
               "is given.",
        .options = create_options,
        .examples =
            EXAMPLES({"isola disk create disk.qcow2 20g", "An empty disk that grows as it fills."},
                     {"isola disk create -b debian.qcow2 web.qcow2",
                      "Another machine that begins with what debian.qcow2 has."}),
        .min = 1,
        .max = 2,
        .positional = COMPLETE_FILE,
        .run = verb_disk_create,
    },
    {
        .name = "disk info",
        .group = "Machines",
        .synopsis = "[OPTIONS] FILE",
        .brief = "Show a disk image",
        .help = "Show the format, the sizes and the backing file of a disk image.",
        .man = "The image may be in use.",
        .options = info_options,
        .examples = EXAMPLES({"isola disk info -f '{{.Format}}' disk.img", "Only its format."}),
        .min = 1,
        .max = 1,
        .positional = COMPLETE_FILE,
        .run = verb_disk_info,
    },
    {
        .name = "disk check",
        .group = "Machines",
        .synopsis = "[OPTIONS] FILE",
        .brief = "Check a qcow2 image",
        .help = "Check that the tables of a qcow2 image agree with each other.",
        .man =
            "Leaks are space that is counted as used and is not, as after a crash: harmless, and "
            "given back by --repair leaks. Errors are counts that are too low, which --repair "
            "all corrects, and references that make no sense, which nothing can repair.\n\nThe "
            "exit status is 0 when all is well or was repaired, 2 when there are errors, 3 when "
            "there are only leaks, and 1 when the check itself failed.",
        .options = check_options,
        .examples =
            EXAMPLES({"isola disk check -r leaks disk.qcow2", "Give back what a crash left."}),
        .min = 1,
        .max = 1,
        .positional = COMPLETE_FILE,
        .run = verb_disk_check,
    },
    {
        .name = "disk convert",
        .aliases = "disk_import",
        .group = "Machines",
        .synopsis = "[OPTIONS] FILE NEW",
        .brief = "Copy to another format",
        .help = "Make a new disk image with what another has.",
        .man = "Backing files are copied along: the new image stands alone. Space that holds only "
               "zeroes is left out. Images of VMware (vmdk, the first disk of an ova), VirtualBox "
               "(vdi) and Hyper-V (vhd, vhdx) are read by qemu-img (Debian's package qemu-utils), "
               "which may then touch nothing but these two files (and, of a vmdk that is spread "
               "over several files, read the directory that it is in). \"isola import\" does the "
               "same when what it is given is such an image.",
        .options = convert_options,
        .examples = EXAMPLES({"isola disk convert appliance.ova appliance.qcow2",
                              "The disk of a machine exported by another program."},
                             {"isola disk convert -O raw disk.qcow2 disk.img", "Plain bytes."}),
        .min = 2,
        .max = 2,
        .positional = COMPLETE_FILE,
        .run = verb_disk_convert,
    },
    {0},
};
