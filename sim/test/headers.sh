#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# headers.sh ROOT CC CXX BUILD PUBLIC... - every header compiles alone, as C17 and as C++17.
#
# A header that its own source includes before all else has been compiled alone by the build,
# with more warnings than here. What a header lacks, it lacks in both languages, as none asks
# for the language but to say extern "C": as C++, only what is installed (PUBLIC) is compiled
# one by one. The others of a folder are compiled in one go, forwards and backwards, so that
# none can lean on what stands before it, and each by itself where that fails, which it may
# for two that never meet.
set -euo pipefail
root=$1 cc=$2 cxx=$3 build=$4
shift 4
warnings=(-Wall -Wextra -Werror -I. "-I$build/gen")
cd "$root"

# Include templates are not headers by themselves.
mapfile -t headers < <(ls sim/*/*.h iommu_model/*.h dma_api/*.h workloads/*.h traces/*.h |
    grep -vE '/(ring|setassoc|fifo)\.h$')

# What the build compiles as C17 and without definitions of its own, in whose place a user of
# the header may have others.
mapfile -t compiled < <(sed -nE '/ -D/d; / -std=gnu17 /!d; s|.*"command": .* -c ([^ "]+)",?$|\1|p' \
    "$build/compile_commands.json")
declare -A first together # The headers with which they begin; those that are as C++ as C.
while read -r header; do
    first[$header]=1
done < <(awk 'FNR == 1 { seen = 0 }
    /^ *#/ && !seen++ && $1 == "#include" { gsub(/"/, "", $2); print $2 }' "${compiled[@]}")

failed=0
alone() { # HEADER LANGUAGE STANDARD COMPILER
    echo "#include \"$1\"" | "$4" -x "$2" -std="$3" -fsyntax-only "${warnings[@]}" - || {
        echo "$1 does not compile alone as $3"
        failed=1
    }
}

while read -r header; do
    together[$header]=1
done < <(awk 'function finish() { if (header != "" && asks == 2 * says) print header }
    FNR == 1 { finish(); header = FILENAME; asks = says = 0 }
    /__cplusplus/ { asks++ }
    /^extern "C" \{$/ { says++ }
    END { finish() }' "${headers[@]}")

count=0
for header in "${headers[@]}"; do
    [[ -n ${first[$header]:-} ]] || { alone "$header" c gnu17 "$cc"; count=$((count + 1)); }
    [[ -n ${together[$header]:-} ]] || alone "$header" c++ c++17 "$cxx"
done
for header in "$@"; do
    [[ -z ${together[$header]:-} ]] || alone "$header" c++ c++17 "$cxx"
done
for folder in $(dirname "${!together[@]}" | sort -u); do
    here=()
    for header in "${headers[@]}"; do
        [[ ${header%/*} != "$folder" || -z ${together[$header]:-} ]] || here+=("$header")
    done
    for order in cat tac; do
        printf '#include "%s"\n' "${here[@]}" | "$order" |
            "$cxx" -x c++ -std=c++17 -fsyntax-only "${warnings[@]}" - 2>/dev/null && continue
        for header in "${here[@]}"; do
            alone "$header" c++ c++17 "$cxx"
        done
        break
    done
done
echo "${#headers[@]} headers, $count of them as C by themselves here"
exit $failed
