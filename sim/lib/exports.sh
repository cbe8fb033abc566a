#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# exports.sh CC INCLUDE - prints the names that the installed headers below INCLUDE declare:
# functions that are not inline, and objects. sim/lib/exports.txt is this list.
set -euo pipefail
cc=$1 include=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$include"
mapfile -t headers < <(find iovasim iovasim.h -name '*.h' | sort)
for header in "${headers[@]}"; do
    case $header in */ring.h | */sim/host/*) continue ;; esac # A template; SystemC's.
    echo "#include <$header>"
done >"$work/all.c"
"$cc" -std=c17 -DDMA_API_INSIDE -I. -Iiovasim -c "$work/all.c" -o "$work/all.o" -aux-info "$work/declared"
{
    sed -nE 's|^/\* (\./)?iovasim[^:]*:[0-9]+:NC \*/ extern (.*);.*|\2|p' "$work/declared" |
        sed -E 's/^[^(]*[ *]([a-zA-Z_0-9]+) \(.*/\1/'
    sed -nE '/"C"/!s/^extern (.*);$/\1/p' $(grep -LF systemc_host "${headers[@]}") | tr ',' '\n' |
        sed -E 's/.*[ *]([a-zA-Z_0-9]+)(\[[A-Z]*\])?$/\1/'
} | LC_ALL=C sort -u
