#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# extending.sh SOURCE BUILD CC - the policy of docs/extending.md, in a copy of the tree.
#
# CMake registers it there from its file alone. Its object and the new table are then linked
# with the rest of the program as it was built here, in place of the table in its library,
# but not optimised across files once more.
set -euo pipefail

source=$1 build=$2 cc=$3
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

for entry in "$source"/*; do
    case ${entry##*/} in
    build* | dma_api) ;;
    *) ln -s "$entry" "$tree" ;;
    esac
done
mkdir "$tree/dma_api"
ln -s "$source"/dma_api/* "$tree/dma_api"

awk '/^```c$/ { inside = 1; next } /^```$/ { inside = 0 } inside' \
    "$source/docs/extending.md" >"$tree/dma_api/flush_large.c"
lines=$(wc -l <"$tree/dma_api/flush_large.c")
if ((lines < 30 || lines > 40)); then
    echo "the example has $lines lines" >&2
    exit 1
fi

cmake -G Ninja -S "$tree" -B "$tree/out" -Wno-dev -DIOVASIM_LTO=OFF -DBUILD_TESTING=OFF \
    >"$tree/log" 2>&1 || { cat "$tree/log" >&2; exit 1; }
grep -q '&flush_large,' "$tree/out/gen/flush_table.c"

for file in dma_api/flush_large.c out/gen/flush_table.c; do
    "$cc" -std=gnu17 -O1 -Wall -Wextra -Wshadow -Wpedantic -Werror -Wconversion \
        -Wstrict-prototypes -I"$tree" -I"$tree/out/gen" -c "$tree/$file" \
        -o "$tree/$(basename "$file" .c).o"
done

link=$(ninja -C "$build" -t commands iovasim | tail -n 1)
with="$tree/flush_large.o $tree/flush_table.o -o $tree/iovasim "
new=${link/-o iovasim /$with}
new=${new/-flto=auto/-fno-lto}
[[ $new == *"$with"* && $new != *-flto* ]] # The command looks as expected.
(cd "$build" && eval "$new")

"$tree/iovasim" policies large | grep 'large.window_us' >/dev/null
"$tree/iovasim" compare "$source/traces/samples/nvme-randrw-mixed.iovatrace" --limit 300 \
    --policies large,lazy,strict --attacker --csv "$tree/csv" --set large.window_us=20 \
    >"$tree/table"
grep -q '^large,' "$tree/csv"
grep -Eq '^[ct ]* large ' "$tree/table"
"$tree/iovasim" compare "$source/traces/samples/tiny.iovatrace" --policies all --limit 20 |
    grep -E '^[ct ]* large ' >/dev/null
