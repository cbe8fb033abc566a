/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/report.h"

#include <stdlib.h>
#include <string.h>

#include "sim/app/output.h"
#include "sim/app/text.h"
#include "sim/base/check.h"

const struct report_format *report_find(const char *name, struct error *error)
{
    char names[256] = "";
    for (unsigned i = 0; report_table[i] != NULL; i++) {
        if (strcmp(report_table[i]->name, name) == 0)
            return report_table[i];
        strncat(names, i == 0 ? "" : ", ", sizeof names - strlen(names) - 1);
        strncat(names, report_table[i]->name, sizeof names - strlen(names) - 1);
    }
    error_set(error, "--format: expected one of %s, got '%s'", names, name);
    return NULL;
}

bool report_write(const struct report_format *format, const struct result *result,
                  const char *path, struct error *error)
{
    struct output o;
    if (!output_open(&o, path, error))
        return false;
    format->write(result, o.stream);
    return output_finish(&o, error);
}

bool report_files_add(struct report_files *files, const char *assignment,
                      struct error *error)
{
    const char *equals = strchr(assignment, '=');
    char name[64];
    if (equals == NULL || equals[1] == '\0')
        return error_set(error, "--format: expected NAME=FILE, got '%s'", assignment);
    if (files->files == REPORT_FILES_MAX)
        return error_set(error, "--format: more than %d files", REPORT_FILES_MAX);
    snprintf(name, sizeof name, "%.*s", (int)(equals - assignment), assignment);
    const struct report_format *format = report_find(name, error);
    if (format == NULL || !output_try(equals + 1, error))
        return false;
    files->file[files->files].format = format;
    files->file[files->files].path   = strdup(equals + 1);
    CHECK(files->file[files->files].path != NULL);
    files->files++;
    return true;
}

static bool add_as(struct report_files *files, const char *name, const char *path,
                   struct error *error)
{
    if (path[0] == '\0')
        return error_set(error, "--%s: expected a file, or - for standard output", name);
    char *assignment = text_make("%s=%s", name, path);
    const bool added = report_files_add(files, assignment, error);
    free(assignment);
    return added;
}

bool report_files_take(void *self, int option, char *text, struct error *error)
{
    const bool added =
        option == REPORT_OPTION_FORMAT
            ? report_files_add(self, text, error)
            : add_as(self, option == REPORT_OPTION_JSON ? "json" : "html", text, error);
    free(text);
    return added;
}

bool report_files_write(const struct report_files *files, const struct result *result,
                        struct error *error)
{
    for (unsigned i = 0; i < files->files; i++)
        if (!report_write(files->file[i].format, result, files->file[i].path, error))
            return false;
    return true;
}

bool report_files_to_stdout(const struct report_files *files)
{
    for (unsigned i = 0; i < files->files; i++)
        if (strcmp(files->file[i].path, "-") == 0)
            return true;
    return false;
}

void report_files_free(struct report_files *files)
{
    for (unsigned i = 0; i < files->files; i++)
        free(files->file[i].path);
    files->files = 0;
}

/* ---- What writers share ---- */

static bool listed(const char *const *name, const char *wanted)
{
    for (; *name != NULL; name++)
        if (strcmp(*name, wanted) == 0)
            return true;
    return false;
}

const char **report_metric_names(const struct result *result)
{
    size_t room = 1, names = 0;
    for (unsigned i = 0; i < result->runs; i++)
        room += result->run[i].metrics;
    const char **name = calloc(room, sizeof *name);
    CHECK(name != NULL);
    for (unsigned i = 0; i < result->runs; i++)
        for (unsigned m = 0; m < result->run[i].metrics; m++)
            if (!listed(name, result->run[i].metric[m].name))
                name[names++] = result->run[i].metric[m].name;
    return name;
}

void report_github(const struct result *result, enum metric_better better, FILE *out)
{
    json_t *all = json_array();
    for (unsigned i = 0; i < result->runs; i++) {
        const struct result_run *run = &result->run[i];
        for (unsigned m = 0; m < run->metrics; m++) {
            if (run->metric[m].better != better)
                continue;
            json_t *name = json_sprintf("%s/%s", run->name, run->metric[m].name);
            json_array_append_new(all, json_pack("{sosssf}", "name", name, "unit",
                                                 run->metric[m].unit, "value",
                                                 run->metric[m].value));
        }
    }
    report_put_json(out, all);
}

void report_csv_text(FILE *out, const char *text)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text != '\0'; text++)
        fprintf(out, *text == '"' ? "\"\"" : "%c", *text);
    fputc('"', out);
}

void report_put_json(FILE *out, json_t *value)
{
    json_dumpf(value, out, JSON_INDENT(1));
    fputc('\n', out);
    json_decref(value);
}
