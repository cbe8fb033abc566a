/* SPDX-License-Identifier: Apache-2.0 */
/* recording_parse - one line of a recording; for recording.c. */
#ifndef SIM_LINUX_RECORDING_PARSE_H
#define SIM_LINUX_RECORDING_PARSE_H

#include "sim/linux/recording.h"

/* Both fill row and change line; false with what is wrong, without the line's number. */
bool rec_parse_call(struct recording *r, struct row *row, char *line, struct error *error);
bool rec_parse_allocator(struct recording *r, struct row *row, char *line,
                         struct error *error);

void rec_add_piece(struct recording *r, struct rec_list *list, struct rec_piece piece);
void rec_add_inv(struct recording *r, struct rec_list *list, struct rec_inv inv);
void rec_add_range(struct recording *r, struct rec_list *list, struct rec_range range);

#endif
