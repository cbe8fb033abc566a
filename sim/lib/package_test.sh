#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# package_test.sh ROOT BUILD CC CXX - installs the library into an empty prefix and uses it
# as its users do: the examples of docs/library.md by CMake and by pkg-config, every header
# alone, the names that can be seen, and what goes wrong.
set -euo pipefail
root=$1 build=$2 cc=$3 cxx=$4
work=$build/lib-package
rm -rf "$work"
mkdir -p "$work"
strict=(-Wall -Wextra -Wpedantic -Werror)

fail() {
    echo "package_test: $*" >&2
    exit 1
}

cmake --install "$build" --prefix "$work/prefix" --component package >"$work/install.log"
pc=$(dirname "$(find "$work/prefix" -name iovasim-machine.pc)")
include=$work/prefix/include
library=$(find "$work/prefix" -name libiovasim.a)
export PKG_CONFIG_PATH=$pc
read -ra flags <<<"$(pkg-config --cflags iovasim-machine)"
read -ra libs <<<"$(pkg-config --libs iovasim-machine)"

# documented COMMAND: what docs/library.md says that the command prints.
documented() {
    awk -v wanted="$ $1" '$0 == wanted { inside = 1; next }
        inside && /^```$/ { exit } inside' "$root/docs/library.md"
}

# ---- The example, by CMake and by pkg-config, each in a folder that knows nothing of ours
cp -r "$work/prefix/share/doc/iovasim/examples/driver-and-device" "$work/example"
diff -r "$root/docs/examples/driver-and-device" "$work/example" || fail "the examples differ"
cmake -S "$work/example" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$work/prefix" \
    -DCMAKE_C_COMPILER="$cc" -DCMAKE_C_FLAGS="${strict[*]}" >"$work/log" 2>&1 &&
    cmake --build "$work/cmake" >>"$work/log" 2>&1 || fail "CMake: $(tail -n 20 "$work/log")"
make -s -C "$work/example" CC="$cc" CPPFLAGS="${strict[*]}" >"$work/log" 2>&1 ||
    fail "make: $(tail -n 20 "$work/log")"
documented ./checksum >"$work/checksum.txt"
[[ $(wc -l <"$work/checksum.txt") -gt 20 ]] || fail "docs/library.md shows no output"
for built in cmake example; do
    timeout 60 "$work/$built/checksum" >"$work/out.txt" || fail "$built/checksum failed"
    diff "$work/checksum.txt" "$work/out.txt" || fail "$built: not what docs/library.md shows"
done
for preset in vtd-ats riscv-zdl; do
    timeout 60 "$work/cmake/checksum" $preset | grep -Eq '^  right checksums +64 +64$' ||
        fail "checksum $preset"
done
if timeout 60 "$work/cmake/checksum" nonesuch 2>"$work/log"; then fail "an unknown preset"; fi
grep -q "preset 'nonesuch': not known" "$work/log" || fail "no line about an unknown preset"

# ---- The first program, by the command that the page gives
cp "$work/prefix/share/doc/iovasim/examples/first/first.c" "$work/mine.c"
(cd "$work" && "$cc" "${strict[@]}" -std=c17 mine.c -o first "${flags[@]}" "${libs[@]}" &&
    timeout 60 ./first >out.txt && head -n 9 out.txt) | diff <(documented "./first | head -n 9") - ||
    fail "first"

# ---- A driver of this tree that includes the DMA API alone compiles as it is
"$cc" "${strict[@]}" -std=c17 "${flags[@]}" -c "$root/sim/test/driver_shapes.c" -o "$work/shapes.o" ||
    fail "driver_shapes.c"

# ---- Every header compiles alone, in either language
count=0
while read -r header; do
    case $header in */ring.h) continue ;; esac # A template.
    for language in "c c17 $cc -Wconversion -Wstrict-prototypes" "c++ c++17 $cxx"; do
        read -r name standard compiler more <<<"$language"
        # shellcheck disable=SC2086
        echo "#include <$header>" | "$compiler" -x "$name" -std="$standard" -fsyntax-only \
            "${strict[@]}" -Wshadow $more "${flags[@]}" - ||
            fail "$header does not compile alone as $standard"
    done
    count=$((count + 1))
done < <(cd "$include" && echo iovasim.h && cd iovasim && find . -name '*.h' | sed 's|^\./||')
[[ $count -gt 20 ]] || fail "only $count headers"

# ---- What can be seen of the library is what the headers declare
grep -v '^#' "$root/sim/lib/exports.txt" >"$work/exports"
if [[ $("$cc" --version) == *"Free Software Foundation"* ]]; then
    "$root/sim/lib/exports.sh" "$cc" "$include" | diff "$work/exports" - ||
        fail "sim/lib/exports.txt is not what the headers declare"
fi
(cd "$work" && ar x "$library")
nm -g --defined-only "$work/iovasim_machine.o" | awk '{ print $3 }' | LC_ALL=C sort |
    diff "$work/exports" - || fail "the library defines other names"
if nm -g --defined-only "$work/iovasim_tlm.o" | awk '{ print $3 }' | grep -v '^_Z'; then
    fail "the TLM module defines names of C"
fi
nm -u "$work/iovasim_machine.o" | grep -E 'SysTem|systemc|Z(TI|N)|bsd|inflate' &&
    fail "it needs more than the C library"

# A program may have names like the library's inner ones.
cat >"$work/names.c" <<'TXT'
#include <iovasim.h>
int iommu_init(void);
int flush_find(void);
int iommu_init(void) { return 1; }
int flush_find(void) { return 2; }
static void run(void *self) { (void)self; }
int main(void)
{
    struct iovasim_machine *m = iovasim_new("riscv-perf");
    const bool good   = iovasim_run(m, &(struct iovasim_program){ .run = run }, NULL);
    iovasim_free(m);
    return good && iommu_init() + flush_find() == 3 ? 0 : 1;
}
TXT
"$cc" "${strict[@]}" -std=c17 "$work/names.c" -o "$work/names" "${flags[@]}" "${libs[@]}" ||
    fail "names of a program's own do not link"
timeout 60 "$work/names" || fail "names"

# The machine and the TLM module in one program, of C++, in either order of mention.
cat >"$work/both.cpp" <<'TXT'
#include <iovasim.h>
#include <iovasim.hpp>
static void run(void *) { cpu_spend(cpu_this(), 1000); }
int sc_main(int, char **)
{
    iovasim::Iommu iommu("iommu", 1, "vtd-server");
    iommu.set("iotlb.sets", "32");
    iovasim_program program = {};
    program.run             = run;
    iovasim_machine *m             = iovasim_new("vtd-server");
    const bool good = iovasim_run(m, &program, nullptr) && iovasim_cycles(m, OWNER_driver) == 1000;
    iovasim_free(m);
    return good ? 0 : 1;
}
TXT
read -ra both <<<"$(pkg-config --cflags --libs iovasim-machine iovasim)"
"$cxx" -std=c++17 "$work/both.cpp" -o "$work/both" "${both[@]}" || fail "both do not link"
SYSTEMC_DISABLE_COPYRIGHT_MESSAGE=1 timeout 60 "$work/both" || fail "both"

# The machine on SystemC: the same results.
cat >"$work/host.c" <<'TXT'
#include <iovasim.h>
#include "sim/host/systemc.h"
static void run(void *self)
{
    struct device *dev     = iovasim_device(self);
    const phys_addr_t page = kernel_pages_get(dev->kernel, 0);
    for (int i = 0; i < 10; i++)
        dma_unmap_phys(dev, dma_map_phys(dev, page, 64, DMA_TO_DEVICE, 0), 64, DMA_TO_DEVICE, 0);
    kernel_pages_put(dev->kernel, page, 0);
}
static struct iovasim_machine *m;
static struct iovasim_slot *slot;
static bool good;
static void simulate(void *out, const struct sim_host *host)
{
    iovasim_set_host(m, host);
    good = iovasim_run(m, &(struct iovasim_program){ .run = run }, slot);
    iovasim_print(m, out);
}
int main(void)
{
    m    = iovasim_new("vtd-server");
    slot = iovasim_add_device(m, "nic0", NULL, NULL);
    systemc_host_call(simulate, stdout);
    const bool both = good && systemc_host_called();
    simulate(stderr, NULL);
    iovasim_free(m);
    return both && good ? 0 : 1;
}
TXT
"$cc" "${strict[@]}" -std=c17 "${flags[@]}" -c "$work/host.c" -o "$work/host.o" &&
    "$cxx" "$work/host.o" -o "$work/host" "${both[@]}" || fail "host.c"
timeout 60 "$work/host" >"$work/systemc.txt" 2>"$work/direct.txt" || fail "host"
grep -q '^cycles.inval_wait' "$work/direct.txt" || fail "host: $(cat "$work/direct.txt")"
diff "$work/systemc.txt" "$work/direct.txt" || fail "the hosts differ"

# ---- find_package: components, versions, and what it says without SystemC
mkdir "$work/find"
find_package() { # ARGUMENTS: of find_package; prints what CMake says.
    printf 'cmake_minimum_required(VERSION 3.25)\nproject(p LANGUAGES NONE)\nfind_package(iovasim %s)\n%s\n' \
        "$*" 'foreach(t machine tlm iovasim)
          if(TARGET iovasim::${t})
            message(STATUS "has ${t}")
          endif()
        endforeach()' >"$work/find/CMakeLists.txt"
    rm -rf "$work/find/out"
    cmake -S "$work/find" -B "$work/find/out" -DCMAKE_PREFIX_PATH="$work/prefix" 2>&1
}
has() { sed -n 's/^-- has //p' | tr '\n' ' '; }
[[ $(find_package REQUIRED COMPONENTS machine | has) == "machine " ]] || fail "COMPONENTS machine"
[[ $(find_package REQUIRED COMPONENTS tlm | has) == "tlm iovasim " ]] || fail "COMPONENTS tlm"
[[ $(find_package REQUIRED | has) == "machine tlm iovasim " ]] || fail "no COMPONENTS"
[[ $(find_package 0.1 REQUIRED COMPONENTS machine | has) == "machine " ]] || fail "version 0.1"
find_package 0.2 REQUIRED >"$work/log" && fail "version 0.2 was found"
find_package REQUIRED COMPONENTS nonesuch >"$work/log" && fail "a component that is not there"
export PKG_CONFIG_LIBDIR=$work/none
unset PKG_CONFIG_PATH
[[ $(find_package REQUIRED COMPONENTS machine | has) == "machine " ]] || fail "without SystemC"
[[ $(find_package COMPONENTS machine OPTIONAL_COMPONENTS tlm | has) == "machine " ]] ||
    fail "an optional component"
find_package REQUIRED COMPONENTS tlm >"$work/log" && fail "tlm without SystemC"
grep -q "libsystemc-dev" "$work/log" || fail "no word about SystemC: $(cat "$work/log")"
rm -rf "$work"
echo "$count headers, $(grep -vc '^#' "$root/sim/lib/exports.txt") names"
