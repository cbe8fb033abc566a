/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/yaml_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned line_of(const yaml_node_t *node)
{
    return node == NULL ? 1 : (unsigned)node->start_mark.line + 1;
}

bool yaml_refuse(struct yaml_file *y, const yaml_node_t *node, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *c = text; *c != '\0'; c++)
        if (iscntrl((unsigned char)*c))
            *c = ' ';
    return error_set(y->error, "%s:%u: %s", y->path, line_of(node), text);
}

/* ---- Reading ---- */

static bool load(struct yaml_file *y, FILE *in)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return error_set(y->error, "%s: out of memory", y->path);
    yaml_parser_set_input_file(&parser, in);
    const bool loaded = yaml_parser_load(&parser, &y->document) != 0;
    if (!loaded)
        error_set(y->error, "%s:%u: not YAML: %s", y->path,
                  (unsigned)parser.problem_mark.line + 1,
                  parser.problem != NULL ? parser.problem : "cannot read");
    yaml_parser_delete(&parser);
    return loaded;
}

bool yaml_file_open(struct yaml_file *y, const char *path, struct error *error)
{
    *y       = (struct yaml_file){ .path = path, .error = error };
    FILE *in = fopen(path, "r");
    if (in == NULL)
        return error_set(error, "%s: cannot open: %s", path, strerror(errno));
    const bool loaded = load(y, in);
    fclose(in);
    if (!loaded)
        return false;
    if (yaml_root(y) == NULL)
        error_set(error, "%s:1: the file is empty", path);
    else if (yaml_is_map(y, yaml_root(y), "the file"))
        return true;
    yaml_file_close(y);
    return false;
}

void yaml_file_close(struct yaml_file *y)
{
    yaml_document_delete(&y->document);
}

/* ---- Walking ---- */

yaml_node_t *yaml_root(struct yaml_file *y)
{
    return yaml_document_get_root_node(&y->document);
}

static const char *scalar(const yaml_node_t *node)
{
    if (node == NULL || node->type != YAML_SCALAR_NODE)
        return NULL;
    const char *text = (const char *)node->data.scalar.value;
    return strlen(text) == node->data.scalar.length ? text : NULL;
}

bool yaml_pair(struct yaml_file *y, const yaml_node_t *map, unsigned index,
               const char **key, yaml_node_t **value)
{
    const yaml_node_pair_t *pair = map->data.mapping.pairs.start + index;
    if (pair >= map->data.mapping.pairs.top)
        return false;
    *key   = scalar(yaml_document_get_node(&y->document, pair->key));
    *value = yaml_document_get_node(&y->document, pair->value);
    return true;
}

yaml_node_t *yaml_item(struct yaml_file *y, yaml_node_t *list, unsigned index)
{
    if (list->type != YAML_SEQUENCE_NODE)
        return index == 0 ? list : NULL;
    const yaml_node_item_t *item = list->data.sequence.items.start + index;
    if (item >= list->data.sequence.items.top)
        return NULL;
    return yaml_document_get_node(&y->document, *item);
}

bool yaml_is_map(struct yaml_file *y, const yaml_node_t *node, const char *what)
{
    const char *key, *other;
    yaml_node_t *value, *second;
    if (node == NULL || node->type != YAML_MAPPING_NODE)
        return yaml_refuse(y, node, "%s: expected `key: value` lines", what);
    for (unsigned i = 0; yaml_pair(y, node, i, &key, &value); i++) {
        if (key == NULL)
            return yaml_refuse(y, node, "%s: expected plain words as keys", what);
        for (unsigned before = 0; before < i; before++)
            if (yaml_pair(y, node, before, &other, &second) && strcmp(other, key) == 0)
                return yaml_refuse(y, value, "%s: '%s' stands there twice", what, key);
    }
    return true;
}

const char *yaml_text(struct yaml_file *y, const yaml_node_t *node, const char *what)
{
    const char *text = scalar(node);
    if (text != NULL && text[0] != '\0')
        return text;
    yaml_refuse(y, node, "%s: expected one word or number", what);
    return NULL;
}

bool yaml_number(struct yaml_file *y, const yaml_node_t *node, const char *what,
                 double least, double most, bool percent, double *number)
{
    const char *text = yaml_text(y, node, what);
    char *end;
    if (text == NULL)
        return false;
    *number = strtod(text, &end);
    while (percent && (*end == ' ' || *end == '%'))
        end++;
    if (end != text && *end == '\0' && *number >= least && *number <= most)
        return true;
    return yaml_refuse(y, node, "%s: expected a number from %g to %g, got '%s'", what,
                       least, most, text);
}
