/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/rtl_files.h"

#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"

static void add(struct rtl_files *files, const char *path)
{
    files->path = realloc(files->path, (files->count + 1) * sizeof *files->path);
    CHECK(files->path != NULL);
    files->path[files->count] = strdup(path);
    CHECK(files->path[files->count] != NULL);
    files->count++;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

bool rtl_files_find(struct rtl_files *files, const char *folder,
                    bool (*wanted)(const char *path), struct error *error)
{
    char *const roots[] = { (char *)(uintptr_t)folder, NULL };
    FTS *tree           = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_name);
    bool good           = true;
    CHECK(tree != NULL);
    *files = (struct rtl_files){ 0, NULL };
    for (FTSENT *e; good && (e = fts_read(tree)) != NULL;) {
        if (e->fts_info == FTS_F && wanted(e->fts_path))
            add(files, e->fts_path);
        else if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR
                 || (e->fts_info == FTS_NS && e->fts_level == 0))
            good = error_set(error, "%s: %s", e->fts_path, strerror(e->fts_errno));
    }
    fts_close(tree);
    return good;
}

void rtl_files_free(struct rtl_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->path[i]);
    free(files->path);
}
