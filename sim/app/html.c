/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/html.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"

/* From sim/app/html/, put in by assets.S; each ends in a 0. */
extern const char html_page_css[], html_page_js[], html_plot_js[];

/* As a policy names a script: the browser runs these and no others. */
static void put_hash(const char *script, FILE *out)
{
    unsigned char digest[EVP_MAX_MD_SIZE], text[EVP_MAX_MD_SIZE * 2];
    unsigned bytes;
    const int done = EVP_Digest(script, strlen(script), digest, &bytes, EVP_sha256(), NULL);
    CHECK(done == 1);
    EVP_EncodeBlock(text, digest, (int)bytes);
    fprintf(out, " 'sha256-%s'", (const char *)text);
}

static void put_policy(FILE *out)
{
    fputs("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
          "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; script-src",
          out);
    put_hash(html_plot_js, out);
    put_hash(html_page_js, out);
    fputs("\">\n", out);
}

/* Inside a script element only these could end it; in JSON they stand in strings alone. */
static void put_data(const json_t *view, FILE *out)
{
    char *text =
        json_dumps(view, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(7));
    CHECK(text != NULL);
    for (const char *c = text; *c != '\0'; c++)
        if (*c == '<' || *c == '>' || *c == '&')
            fprintf(out, "\\u%04x", (unsigned)*c);
        else
            fputc(*c, out);
    free(text);
}

static void put_text(const char *text, FILE *out)
{
    for (; *text != '\0'; text++)
        if (strchr("<>&\"'", *text) != NULL)
            fprintf(out, "&#%u;", (unsigned)*text);
        else
            fputc(*text, out);
}

void html_write(json_t *view, FILE *out)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n", out);
    put_policy(out);
    fputs("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta name=\"color-scheme\" content=\"light dark\">\n<title>",
          out);
    put_text(json_string_value(json_object_get(view, "title")), out);
    fprintf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n", html_page_css);
    fputs("<noscript><p>This report draws itself with a script of its own, which the "
          "viewer has switched off. Open the file in a browser.</p></noscript>\n"
          "<script type=\"application/json\" id=\"data\">",
          out);
    put_data(view, out);
    fprintf(out, "</script>\n<script>%s</script>\n<script>%s</script>\n</body>\n</html>\n",
            html_plot_js, html_page_js);
    json_decref(view);
}
