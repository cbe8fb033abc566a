#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# package_test.sh ROOT BUILD - installs the package into an empty prefix, builds the example
# platform with CMake and with pkg-config as a user would, runs both and looks into the
# waveform for a translation from socket to socket.
set -euo pipefail
root=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "package_test: $*" >&2
    exit 1
}

binary() {
    local bits=
    for ((n = $1; n > 0; n /= 2)); do bits=$((n % 2))$bits; done
    echo "$bits"
}

# check DIRECTORY: runs the example there.
check() {
    (cd "$1" && SYSTEMC_DISABLE_COPYRIGHT_MESSAGE=1 timeout 60 ./platform >out.txt) ||
        fail "the example in $1 failed: $(tail -n 5 "$1/out.txt")"
    grep -Eq '^loosely timed, VT-d: +[1-9][0-9]* good, [1-9][0-9]* refused$' "$1/out.txt" ||
        fail "unexpected: $(cat "$1/out.txt")"
    grep -Eq '^approximately timed, RISC-V: +[1-9][0-9]* good, [1-9][0-9]* refused' "$1/out.txt" ||
        fail "unexpected: $(cat "$1/out.txt")"
    # I/O virtual addresses on the way in, physical ones on the way out.
    for range in 0x40000000 0x800000 0xa00000; do # Of 16 KiB each.
        grep -Eq "^b$(binary $((range >> 14)))[01]{14} " "$1/platform.vcd" ||
            fail "no address of $range in the waveform"
    done
    (($(follow "$1/platform.vcd" | wc -l) > 10)) ||
        fail "no translation from socket to socket in the waveform"
    vcd2fst "$1/platform.vcd" "$1/platform.fst" >/dev/null && [[ -s $1/platform.fst ]] ||
        fail "GTKWave's reader does not take the waveform"
    for name in vtd.upstream_0.iova vtd.memory.address riscv.upstream_0.pa; do
        leaf=${name##*.}
        grep -q "$leaf" "$1/platform.vcd" || fail "no $leaf in the waveform"
    done
}

# A reader of waveforms: prints when an address enters at vtd.upstream_0, is translated, and
# leaves at vtd.memory.
follow() {
    awk '
        function number(bits, i, n) {
            for (i = 1; i <= length(bits); i++)
                n = 2 * n + substr(bits, i, 1)
            return n
        }
        $1 == "$scope" { depth++; scope[depth] = $3 }
        $1 == "$upscope" { depth-- }
        $1 == "$var" { signal[$4] = scope[depth - 1] "." scope[depth] "." $5 }
        /^#/ { now = substr($0, 2) }
        /^b/ && signal[$2] == "vtd.upstream_0.iova" {
            iova = number(substr($1, 2)); entered = now; stage = 1
        }
        /^b/ && signal[$2] == "vtd.upstream_0.pa" && stage == 1 {
            pa = number(substr($1, 2)); stage = 2
        }
        /^b/ && signal[$2] == "vtd.memory.address" && stage == 2 \
            && number(substr($1, 2)) == pa && pa - 8388608 == iova - 1073741824 {
            print entered " ps: " iova " -> " pa " at " now " ps"; stage = 0
        }' "$1"
}

cmake --install "$build" --prefix "$work/prefix" --component package >"$work/install.log"
example=$root/docs/examples/platform
cmake -S "$example" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/log" 2>&1 &&
    cmake --build "$work/cmake" >>"$work/log" 2>&1 || fail "CMake: $(tail -n 20 "$work/log")"
check "$work/cmake"

mkdir "$work/make"
cp "$example"/{Makefile,platform.cpp,driver.c,driver.h} "$work/make"
pc=$(dirname "$(find "$work/prefix" -name iovasim.pc)")
PKG_CONFIG_PATH=$pc make -s -C "$work/make" >"$work/log" 2>&1 ||
    fail "make: $(tail -n 20 "$work/log")"
check "$work/make"
cmp "$work/cmake/out.txt" "$work/make/out.txt" || fail "the two builds differ"
cat "$work/make/out.txt"

# Of variables that outlive an instance there are only those that SystemC's own headers define
# (tlm_extension<T>::ID is the number of an extension), and what a failed CHECK looks at: no
# static object, nothing shared.
ar p "$(find "$work/prefix" -name libiovasim.a)" iovasim_tlm.o >"$work/tlm.o"
objdump -Ct "$work/tlm.o" | sed -En 's/^.{17}.* O (\.t?bss[^\t]*|\.t?data|\*COM\*)\t[0-9a-f]+ (\.hidden )?(.*)/\3/p' |
    sort -u >"$work/variables"
grep -q '^sc_core::api_version_check$' "$work/variables" || fail "no variables were seen"
if grep -Ev '^(guard variable for )?(tlm::tlm_extension<.*>::ID|tlm::(tlm_|global_tlm_).*|std::__ioinit|sc_core::api_version_check|witness|witness_count|nested\.[0-9]+)$' \
    "$work/variables"; then
    fail "variables that all instances share"
fi

# The adapter for libsystemctlm-soc compiles against what is installed.
printf '#include <iovasim_libsystemctlm.hpp>\nint sc_main(int, char **) { return 0; }\n' |
    g++ -std=c++17 -DSC_INCLUDE_DYNAMIC_PROCESSES -fsyntax-only -I"$root/sim/tlm/standin" \
        $(PKG_CONFIG_PATH=$pc pkg-config --cflags iovasim) -x c++ - 2>"$work/log" ||
    fail "adapter: $(tail -n 20 "$work/log")"

# A platform that knows nothing of ours but the module: while it is off, and translated.
g++ -std=c++17 -O1 $(PKG_CONFIG_PATH=$pc pkg-config --cflags iovasim) \
    "$root/docs/examples/minimal/minimal.cpp" -o "$work/minimal" \
    $(PKG_CONFIG_PATH=$pc pkg-config --libs iovasim) 2>"$work/log" ||
    fail "minimal: $(tail -n 20 "$work/log")"
SYSTEMC_DISABLE_COPYRIGHT_MESSAGE=1 timeout 60 "$work/minimal" >"$work/minimal.txt"
diff - "$work/minimal.txt" <<'EOF' || fail "minimal"
off: good, memory has 11
mapped: good, memory has 22
not mapped: refused, memory has 11
EOF
