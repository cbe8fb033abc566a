/* SPDX-License-Identifier: Apache-2.0 */
/* examples - commands in the pages, with what they really print. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/docs/docs.h"

char *docs_read_all(FILE *in)
{
    char *text   = NULL;
    size_t bytes = 0;
    FILE *out    = open_memstream(&text, &bytes);
    CHECK(out != NULL);
    for (int c; (c = fgetc(in)) != EOF;)
        fputc(c, out);
    fclose(out);
    return text;
}

char *docs_run(const struct docs *docs, const char *command)
{
    char line[8192];
    const int length = snprintf(line, sizeof line, "cd '%s' && PATH='%s':$PATH && %s",
                                docs->root, docs->programs, command);
    CHECK(length > 0 && (size_t)length < sizeof line);
    FILE *in = popen(line, "r");
    CHECK(in != NULL);
    char *text = docs_read_all(in);
    if (pclose(in) != 0) {
        fprintf(stderr, "iovasim_docs: this example fails: %s\n", command);
        exit(1);
    }
    return text;
}

json_t *docs_runs(const struct docs *docs, const char *arguments)
{
    char command[4096];
    snprintf(command, sizeof command, "iovasim replay %s --json -", arguments);
    char *text     = docs_run(docs, command);
    json_t *result = json_loads(text, 0, NULL);
    json_t *runs   = json_incref(json_object_get(result, "runs"));
    CHECK(json_array_size(runs) > 0);
    json_decref(result);
    free(text);
    return runs;
}

double docs_metric(const json_t *run, const char *name)
{
    const json_t *metric = json_object_get(json_object_get(run, "metrics"), name);
    CHECK(metric != NULL);
    return json_number_value(json_object_get(metric, "value"));
}

double docs_owner_per_io(const json_t *run, const char *owner)
{
    const json_t *cycles = json_object_get(json_object_get(run, "cpu_breakdown"), owner);
    CHECK(cycles != NULL);
    return json_number_value(cycles) / docs_metric(run, "ios");
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Behind the newline of the line at text. */
static const char *behind_line(const char *text)
{
    text += strcspn(text, "\n");
    return text + (*text == '\n');
}

/* Copies the command, which may go on behind a '\', and what it prints; returns where the
 * old output ends. */
static const char *renew_one(FILE *out, const struct docs *docs, const char *at)
{
    const char *end = behind_line(at);
    while (end - at >= 2 && end[-2] == '\\')
        end = behind_line(end);
    /* Examples, which the page tells how to build, are built beside iovasim, too. */
    const char *from = begins(at, "$ ./") ? at + 4 : at + 2;
    char *command    = strndup(from, (size_t)(end - from));
    CHECK(command != NULL);
    char *printed = docs_run(docs, command);
    fwrite(at, 1, (size_t)(end - at), out);
    fputs(printed, out);
    free(printed);
    free(command);
    while (*end != '\0' && !begins(end, "```") && !begins(end, "$ "))
        end = behind_line(end);
    return end;
}

static void put_measured(FILE *out, const struct docs *docs, const char *what)
{
    static const struct {
        const char *name;
        void (*put)(FILE *out, const struct docs *docs);
    } part[] = { { "prices", docs_put_prices },
                 { "published", docs_put_published },
                 { "nvme", docs_put_nvme },
                 { "attack", docs_put_attack } };
    for (unsigned i = 0; i < sizeof part / sizeof part[0]; i++)
        if (strcmp(part[i].name, what) == 0) {
            part[i].put(out, docs);
            return;
        }
    fprintf(stderr, "iovasim_docs: nothing is measured as %s\n", what);
    exit(1);
}

/* "<!-- WORD FILE NAMES -->": puts what it asks for; returns where the old part ends. */
static const char *renew_part(FILE *out, const struct docs *docs, const char *at)
{
    char word[16], file[256], names[512] = "";
    const char *end = behind_line(at);
    CHECK(sscanf(at, "<!-- %15s %255s %511[^>\n]", word, file, names) >= 2);
    char *close = strstr(names, "--");
    if (close != NULL)
        *close = '\0';
    fwrite(at, 1, (size_t)(end - at), out);
    if (strcmp(word, "code") == 0)
        docs_put_code(out, docs, file, names);
    else if (strcmp(word, "measured") == 0)
        put_measured(out, docs, file);
    else
        docs_put_functions(out, docs, file);
    while (*end != '\0' && !begins(end, "<!-- end -->"))
        end = behind_line(end);
    return end;
}

void docs_renew_examples(FILE *out, const struct docs *docs, const char *page)
{
    bool inside = false;
    while (*page != '\0') {
        if (begins(page, "```"))
            inside = begins(page, "```console\n");
        if (inside && (begins(page, "$ iovasim ") || begins(page, "$ ./"))) {
            page = renew_one(out, docs, page);
            continue;
        }
        if (!inside
            && (begins(page, "<!-- code ") || begins(page, "<!-- functions ")
                || begins(page, "<!-- measured "))) {
            page = renew_part(out, docs, page);
            continue;
        }
        const char *next = behind_line(page);
        fwrite(page, 1, (size_t)(next - page), out);
        page = next;
    }
}
