/* SPDX-License-Identifier: Apache-2.0 */
/* rtl_files - the recordings of RTL below a folder, in order of their paths. */
#ifndef SIM_APP_RTL_FILES_H
#define SIM_APP_RTL_FILES_H

#include <stddef.h>

#include "sim/base/error.h"

struct rtl_files {
    size_t count;
    char **path;
};

/* The files for which wanted says so. False with a line when the folder cannot be read. */
bool rtl_files_find(struct rtl_files *files, const char *folder,
                    bool (*wanted)(const char *path), struct error *error);
void rtl_files_free(struct rtl_files *files);

#endif
