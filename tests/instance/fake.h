/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A home in a temporary directory whose engine is a fake, and a test program that is its own
 * supervisor. The fake is told what to do by the spec's append: words separated by blanks.
 *
 *   print=TEXT    writes TEXT and a newline on start
 *   flood=N       writes N bytes in lines of 64
 *   echo          writes back what it is sent
 *   exit=N        ends with code N ...
 *   after=MS      ... that long after its start (0 without it)
 *   onstop=N      ends with code N on the power button (0 without it)
 *   deaf          does nothing on the power button
 *   nocreate, nostart   fail there
 */
#ifndef TESTS_INSTANCE_FAKE_H
#define TESTS_INSTANCE_FAKE_H

#include "instance/instance.h"

/* In main: acts as supervisor when it is called as one. Returns -1 when it is not. */
int fake_supervisor_main(int argc, char **argv);

/* Makes the directories (tmpfs where there is one) and opens a home with the fake engine. */
struct instances *fake_home(void);
/* Another handle of the same home. */
struct instances *fake_reopen(void);
/* Removes what fake_home made, after killing what still runs. */
void fake_cleanup(struct instances *home);
/* The temporary directory. */
const char *fake_dir(void);

/* A spec for the fake that does what @append says. */
struct spec *fake_spec(const char *name, const char *append);
/* Creates (and with @start starts) one. Asserts success. */
void fake_make(struct instances *home, const char *name, const char *append, bool start);
/* The state of @ref, asserted to be found. */
enum lifecycle_state fake_state(struct instances *home, const char *ref);
/* Waits up to 10 s for @ref to be in @state; whether it came. */
bool fake_wait_state(struct instances *home, const char *ref, enum lifecycle_state state);

#endif
