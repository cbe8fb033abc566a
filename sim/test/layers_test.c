/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layers - the rules of docs/ARCHITECTURE.md that a compiler does not see: who may include
 * whom, where C++ and libraries may be, how files begin and how families name them.
 */
#include <fnmatch.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/check.h"
#include "sim/test/shim.h"

enum { PATTERNS_MAX = 12, LINE_MAX = 512 };

/* What the files of a folder may include beside those of their own. */
static const struct layer {
    const char *folder, *may[PATTERNS_MAX];
} layer[] = {
    { "sim/base", { NULL } },
    { "sim/host", { "sim/base/*" } },
    { "iommu_model", { "sim/base/*" } },
    { "traces", { "sim/base/*" } },
    { "dma_api", { "sim/base/*", "iommu_model/*_spec.h", "iommu_model/ptfmt.h" } },
    { "workloads",
      { "sim/base/*", "dma_api/dma-mapping.h", "dma_api/iommu.h", "dma_api/kernel.h",
        "dma_api/pci-p2pdma.h", "traces/trace.h" } },
    { "sim/rtl", { "sim/base/*", "iommu_model/*", "traces/*" } },
    { "sim/linux",
      { "sim/base/*", "sim/host/direct.h", "iommu_model/*_spec.h", "dma_api/*",
        "traces/source.h" } },
    { "sim/scope", { "sim/base/*", "sim/host/vcd.h", "iommu_model/*", "workloads/*" } },
    { "sim/tlm", { "sim/base/*", "iommu_model/*", "sim/app/preset.h" } },
    { "sim/system", { "sim/base/*", "iommu_model/*", "dma_api/*" } },
    { "sim/lib",
      { "sim/base/*", "sim/host/direct.h", "iommu_model/*", "dma_api/*", "sim/system/*",
        "sim/app/preset.h" } },
    { "sim/app",
      { "sim/base/*", "sim/host/*", "iommu_model/*", "traces/*", "dma_api/*", "workloads/*",
        "sim/system/*", "sim/rtl/*", "sim/linux/*", "sim/scope/*" } },
    { "sim/test", { "*" } },
    { "sim/bench", { "*" } },
    { "sim/docs", { "*" } },
    { "sim/fuzz",
      { "sim/base/*", "traces/*", "iommu_model/*", "dma_api/*", "workloads/*" } },
};
enum { LAYERS = sizeof layer / sizeof layer[0] };

/* Libraries beside the C library, and the files that may include them. */
static const struct library {
    const char *header, *user;
} library[] = {
    { "zlib.h", "traces/*" },
    { "bsd/*", "dma_api/*" },
    { "zstd.h", "traces/unpack_zstd.c" },
    { "lzma.h", "traces/unpack_xz.c" },
    { "bzlib.h", "traces/unpack_bzip2.c" },
    { "systemc*", "sim/host/*.cpp" },
    { "systemc*", "sim/tlm/*" },
    { "tlm*", "sim/tlm/*" },
    { "iovasim.hpp", "sim/tlm/iovasim_*.hpp" }, /* As it is installed. */
    { "ucontext.h", "sim/host/direct.c" },
    { "popt.h", "sim/app/*" },
    { "jansson.h", "sim/app/*" },
    { "jansson.h", "sim/docs/*" },
    { "libsmartcols/*", "sim/app/*" },
    { "openssl/*", "sim/app/*" },
    { "yaml.h", "sim/app/yaml_file.h" },
    { "sqlite3.h", "sim/app/*" },
    { "gtest/*", "sim/test/gtest_shim.cc" },
    { "gtest/*", "sim/tlm/platform.cpp" },
};

static bool like(const char *pattern, const char *text)
{
    return fnmatch(pattern, text, 0) == 0;
}

static bool is_test(const char *path)
{
    return like("*_test.c", path) || like("*_test.cpp", path) || like("sim/test/*", path);
}

/* Reports what is wrong at one line of one file, which is relative to the root. */
static void complain(const char *path, unsigned line, const char *what, const char *about)
{
    char text[2 * LINE_MAX];
    snprintf(text, sizeof text, "%s: %s", what, about);
    shim_true(false, text, path, (int)line);
}

/* ---- Reading the tree
 * ------------------------------------------------------------------------------ */

/* Calls visit with each file that matches, relative to the root; returns how many. */
static unsigned each_file(const char *pattern, void (*visit)(const char *path))
{
    char full[LINE_MAX];
    glob_t found;
    unsigned files = 0;
    snprintf(full, sizeof full, "%s/%s", TEST_SOURCE_DIR, pattern);
    if (glob(full, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++)
            visit(found.gl_pathv[i] + strlen(TEST_SOURCE_DIR) + 1);
        files = (unsigned)found.gl_pathc;
        globfree(&found);
    }
    return files;
}

static unsigned each_source(void (*visit)(const char *path))
{
    static const char *const pattern[] = { "*.c", "*.h", "*.cc", "*.cpp", "*.hpp" };
    unsigned files                     = 0;
    for (unsigned i = 0; i < LAYERS; i++)
        for (unsigned p = 0; p < sizeof pattern / sizeof pattern[0]; p++) {
            char under[64];
            snprintf(under, sizeof under, "%s/%s", layer[i].folder, pattern[p]);
            files += each_file(under, visit);
        }
    return files;
}

static void each_line(const char *path,
                      void (*visit)(const char *path, unsigned number, char *line))
{
    char full[LINE_MAX], *line = NULL;
    size_t room = 0;
    snprintf(full, sizeof full, "%s/%s", TEST_SOURCE_DIR, path);
    FILE *in = fopen(full, "r");
    CHECK(in != NULL);
    for (unsigned number = 1; getline(&line, &room, in) > 0; number++) {
        line[strcspn(line, "\n")] = '\0';
        visit(path, number, line);
    }
    free(line);
    fclose(in);
}

static bool exists(const char *path)
{
    char full[3 * LINE_MAX];
    snprintf(full, sizeof full, "%s/%s", TEST_SOURCE_DIR, path);
    return access(full, R_OK) == 0;
}

/* ---- Includes
 * -------------------------------------------------------------------------------------- */

static const struct layer *layer_of(const char *path)
{
    for (unsigned i = 0; i < LAYERS; i++) {
        const size_t n = strlen(layer[i].folder);
        if (strncmp(path, layer[i].folder, n) == 0 && path[n] == '/')
            return &layer[i];
    }
    return NULL;
}

static bool may_include(const char *path, const char *header)
{
    const struct layer *from = layer_of(path);
    CHECK(from != NULL);
    if (is_test(path) || layer_of(header) == from)
        return true;
    for (unsigned i = 0; i < PATTERNS_MAX && from->may[i] != NULL; i++)
        if (like(from->may[i], header))
            return true;
    return false;
}

static bool may_use(const char *path, const char *header)
{
    bool restricted = false;
    for (unsigned i = 0; i < sizeof library / sizeof library[0]; i++) {
        if (!like(library[i].header, header))
            continue;
        if (like(library[i].user, path))
            return true;
        restricted = true;
    }
    return !restricted || is_test(path);
}

static void check_include(const char *path, unsigned number, char *line)
{
    char header[LINE_MAX], close;
    if (sscanf(line, "#include \"%511[^\"]%c", header, &close) == 2) {
        if (layer_of(header) == NULL)
            complain(path, number, "not written from the root", header);
        else if (!may_include(path, header))
            complain(path, number, "this layer may not include", header);
    } else if (sscanf(line, "#include <%511[^>]%c", header, &close) == 2) {
        if (!may_use(path, header))
            complain(path, number, "this file may not use the library of", header);
    }
}

static void check_includes(const char *path)
{
    each_line(path, check_include);
}

TEST_CASE(layers, includes_point_downwards)
{
    EXPECT(each_source(check_includes) > 150);
}

static void check_folder(const char *path)
{
    if (layer_of(path) == NULL && !like("build*", path))
        complain(path, 1, "not in a folder of the layers' table", path);
}

TEST_CASE(layers, every_folder_with_sources_is_a_layer)
{
    each_file("*.[ch]*", check_folder);
    each_file("*/*.[ch]", check_folder);
    each_file("*/*/*.[ch]", check_folder);
}

static void check_language(const char *path)
{
    const bool cpp = like("*.cc", path) || like("*.[ch]pp", path);
    if (cpp && !like("sim/host/*.cpp", path) && !like("sim/tlm/*.[ch]pp", path)
        && strcmp(path, "sim/test/gtest_shim.cc") != 0)
        complain(path, 1, "C++ belongs into sim/host and sim/tlm only", path);
}

TEST_CASE(layers, only_the_hosts_and_the_test_shim_are_cpp)
{
    each_source(check_language);
}

/* ---- Files and names
 * ------------------------------------------------------------------------------- */

static bool licensed;

static void find_licence(const char *path, unsigned number, char *line)
{
    (void)path;
    if (number <= 2 && strstr(line, "SPDX-License-Identifier: Apache-2.0") != NULL)
        licensed = true;
}

static void check_licence(const char *path)
{
    licensed = false;
    each_line(path, find_licence);
    if (!licensed)
        complain(path, 1, "the first lines lack", "SPDX-License-Identifier: Apache-2.0");
}

TEST_CASE(files, every_one_begins_with_its_licence)
{
    each_source(check_licence);
    EXPECT_EQUAL(each_file("CMakeLists.txt", check_licence), 1);
    EXPECT_EQUAL(each_file("dev", check_licence), 1);
    each_file("sim/*/*.sh", check_licence);
}

/* What a member of a family has to contain, and whether it was found. */
static struct {
    char family[64], type[64], symbol[64], name[64];
    bool defined, named;
} member;

static void look_for_definition(const char *path, unsigned number, char *line)
{
    char wanted[256];
    (void)path;
    (void)number;
    snprintf(wanted, sizeof wanted, "const struct %s %s = {", member.type, member.symbol);
    member.defined |= strcmp(line, wanted) == 0;
    const char *name = strstr(line, ".name");
    snprintf(wanted, sizeof wanted, "= \"%s\",", member.name);
    member.named |= member.defined && name != NULL && strstr(name, wanted) != NULL;
}

static void check_member(const char *path)
{
    if (is_test(path))
        return;
    const char *file = strrchr(path, '/') + 1;
    member.defined = member.named = false;
    snprintf(member.symbol, sizeof member.symbol, "%.*s", (int)strcspn(file, "."), file);
    strcpy(member.name, member.symbol + strlen(member.family) + 1);
    if (strcmp(member.family, "preset") == 0 || strcmp(member.family, "cmd") == 0
        || strcmp(member.family, "flush") == 0 || strcmp(member.family, "report") == 0)
        /* Users type the names of machines, commands, policies and reports with dashes. */
        for (char *c = member.name; (c = strchr(c, '_')) != NULL;)
            *c = '-';
    each_line(path, look_for_definition);
    if (!member.defined)
        complain(path, 1, "does not define", member.symbol);
    else if (!member.named)
        complain(path, 1, "its member should be called", member.name);
}

static unsigned families;

static void check_family(const char *path, unsigned number, char *line)
{
    char library_name[64], folder[64], pattern[160];
    if (sscanf(line, "add_family(%63[a-z] %63s %63s %63[a-z_])", library_name, folder,
               member.family, member.type)
        != 4)
        return;
    families++;
    snprintf(pattern, sizeof pattern, "%s/%s_*.c", folder, member.family);
    if (each_file(pattern, check_member) == 0)
        complain(path, number, "a family without a member", member.family);
}

TEST_CASE(files, members_of_families_are_named_like_their_symbols)
{
    families = 0;
    each_line("CMakeLists.txt", check_family);
    EXPECT(families >= 8);
}

/* ---- References
 * ------------------------------------------------------------------------------------ */

/* "docs/page.md" in a comment or a message. */
static void check_mention(const char *path, unsigned number, char *line)
{
    for (char *at = line; (at = strstr(at, "docs/")) != NULL; at++) {
        char page[LINE_MAX];
        snprintf(page, sizeof page, "%s", at);
        page[5
             + strspn(page + 5,
                      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-.")] = '\0';
        char *suffix = strstr(page, ".md");
        if (suffix == NULL)
            continue;
        suffix[3] = '\0';
        if (!exists(page))
            complain(path, number, "there is no such page", page);
    }
}

static void check_mentions(const char *path)
{
    if (!like("sim/test/layers_test.c", path))
        each_line(path, check_mention);
}

TEST_CASE(files, pages_that_the_sources_mention_exist)
{
    each_source(check_mentions);
}

/* "](target)" of a Markdown page, relative to the page. */
static void check_link(const char *path, unsigned number, char *line)
{
    const char *slash = strrchr(path, '/');
    for (char *at = line; (at = strstr(at, "](")) != NULL; at += 2) {
        char target[LINE_MAX], full[2 * LINE_MAX];
        snprintf(target, sizeof target, "%.*s", (int)strcspn(at + 2, ")#"), at + 2);
        if (target[0] == '\0' || strstr(target, "://") != NULL)
            continue;
        snprintf(full, sizeof full, "%.*s%s", slash == NULL ? 0 : (int)(slash - path + 1),
                 path, target);
        if (!exists(full))
            complain(path, number, "the link leads nowhere", target);
    }
}

static void check_links(const char *path)
{
    each_line(path, check_link);
}

TEST_CASE(files, links_between_pages_lead_somewhere)
{
    EXPECT_EQUAL(each_file("README.md", check_links), 1);
    EXPECT(each_file("docs/*.md", check_links) >= 6);
    each_file("traces/*.md", check_links);
    each_file("traces/*/*.md", check_links);
}
