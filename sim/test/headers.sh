#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# headers.sh ROOT CC CXX GENERATED - every header compiles alone, as C17 and as C++17.
set -euo pipefail
root=$1 cc=$2 cxx=$3 generated=$4
cd "$root"
failed=0
for header in $(ls sim/*/*.h iommu_model/*.h dma_api/*.h workloads/*.h traces/*.h); do
    # Include templates are not headers by themselves.
    case $header in */ring.h | */setassoc.h | */fifo.h) continue ;; esac
    for language in "c gnu17 $cc" "c++ c++17 $cxx"; do
        read -r name standard compiler <<<"$language"
        echo "#include \"$header\"" |
            "$compiler" -x "$name" -std="$standard" -fsyntax-only -Wall -Wextra -Werror -I. \
                -I"$generated" - || {
            echo "$header does not compile alone as $standard"
            failed=1
        }
    done
done
exit $failed
