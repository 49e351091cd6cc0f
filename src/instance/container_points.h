/* SPDX-License-Identifier: Apache-2.0 */
/* The layer of mount points below every image's layers. */
#ifndef INSTANCE_CONTAINER_POINTS_H
#define INSTANCE_CONTAINER_POINTS_H

/*
 * A directory in @data_dir with what every container has something mounted on: dev, proc, sys and
 * three files in etc, all empty. As the lowest layer of an overlay it stands in for what an image
 * lacks, so that a start need not make, and an end not remove, them in the container's branch: on a
 * disk that is most of what a start writes. Made when it is not there. Its path, new; NULL when it
 * cannot be made: a container does without.
 */
char *container_mount_points(const char *data_dir);

#endif
