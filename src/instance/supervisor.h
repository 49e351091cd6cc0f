/* SPDX-License-Identifier: Apache-2.0 */
/* How a command starts a supervisor: by "PROGRAM supervise ID" with a connected socket. */
#ifndef INSTANCE_SUPERVISOR_H
#define INSTANCE_SUPERVISOR_H

/* The socket on which the starter speaks the control protocol, in the new process. */
enum { SUPERVISOR_STARTER_FD = 3 };

#endif
