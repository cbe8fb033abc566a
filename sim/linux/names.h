/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names - which device's domain an id in a descriptor names.
 *
 * An id is a name only. A device that was handed to somebody else and back may find its
 * domain under another one: all that comes later is then renamed to its first. A name is a
 * device's when most of what is said of it is the device's, in three lines or more, and all
 * of its lines come behind those of the name before. Any other id in a line is left as it
 * is, and will differ.
 */
#ifndef SIM_LINUX_NAMES_H
#define SIM_LINUX_NAMES_H

#include "sim/linux/recording.h"

/* Renames ids, and notes that of each device for which there is one. */
void names_find(struct recording *r);

#endif
