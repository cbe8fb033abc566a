#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What it costs to register a region of memory with an RDMA NIC, to have the peer write to it,
# and to deregister it: the tables of docs/rdma.md, on standard output.
#
#     docs/examples/rdma-registration.sh [IOVASIM [POLICY]]
#
# Each figure is the difference of two runs, of 2 and of 6 rounds: what a further round costs.
set -eu
iovasim=${1:-build/iovasim}
policy=${2:-strict}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# run ROUNDS API REGISTRATION REGION_KIB USED_KIB: "cycles map unmap invalidations ns", sums.
run() {
    messages=$((($5 + 1023) / 1024))
    "$iovasim" replay gen:rdma_register --host direct --progress never \
        --policy "$policy" --api "$2" --cpus 1 \
        --set "fabric.registration=$3" --set "gen:rdma_register.region_kib=$4" \
        --set "gen:rdma_register.used_kib=$5" --set gen.depth=1 \
        --set "gen.requests=$((1 + $1 * (messages + 2)))" --format "csv=$work/run.csv" >/dev/null
    awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i }
             NR == 2 { n = $at["ios"]
                       print n * $at["cpu_cycles_per_io"], n * $at["map_cycles_per_io"],
                             n * ($at["unmap_cycles_per_io"] + $at["deferred_cycles_per_io"]),
                             $at["invalidation_descriptors"], $at["sim_time_ns"] }' "$work/run.csv"
}

# row NAME API REGISTRATION REGION_KIB USED_KIB
row() {
    few=$(run 2 "$2" "$3" "$4" "$5")
    many=$(run 6 "$2" "$3" "$4" "$5")
    echo "$few $many" | awk -v name="$1" '{
        printf "| %s | %.0f | %.0f | %.0f | %.1f | %.1f |\n", name, ($6 - $1) / 4,
               ($7 - $2) / 4, ($8 - $3) / 4, ($9 - $4) / 4, ($10 - $5) / 4000 }'
}

table() { # USED: "first" or "all"
    echo "| region, how | CPU cycles | in map calls | in unmap calls | invalidations | us a round |"
    echo "| --- | ---: | ---: | ---: | ---: | ---: |"
    for size in 4:4K 64:64K 1024:1M 16384:16M 262144:256M 1048576:1G; do
        kib=${size%:*}
        used=$kib
        [ "$1" = first ] && used=4
        for how in "pinned, sg:sg:pinned" "pinned, streaming:streaming:pinned" \
            "pinned, link and sync:iova:pinned" "on demand, link and sync:iova:demand" \
            "on demand, streaming:streaming:demand"; do
            name=${how%%:*}
            rest=${how#*:}
            row "${size#*:}, $name" "${rest%:*}" "${rest#*:}" "$kib" "$used"
        done
    done
}

echo "The peer writes the first 4 KiB:"
echo
table first
echo
echo "The peer writes all of it, 1 MiB at a time:"
echo
table all
