#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Latency of small messages as perftest measures it: the table of docs/rdma.md, on standard
# output. A send and a write are answered, and half of a round trip is reported; a read is
# reported whole.
#
#     docs/examples/rdma-latency.sh [IOVASIM]
set -eu
iovasim=${1:-build/iovasim}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# run KIND BYTES POLICY IOTLB_SETS,WAYS: the median in ns.
run() {
    "$iovasim" replay "gen:rdma_$1_lat" --host direct --progress never --policy "$3" \
        --api iova --cpus 1 --set "gen:rdma_$1_lat.bytes=$2" --set gen.requests=2002 \
        --set "iotlb.sets=${4%%,*}" --set "iotlb.ways=${4#*,}" --format "csv=$work/run.csv" >/dev/null
    awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i }
             NR == 2 { printf "%.2f", $at["io_latency_ns_p50"] / 1000 }' "$work/run.csv"
}

echo "| message | without translation | strict | IOTLB of 1 entry |"
echo "| --- | ---: | ---: | ---: |"
for kind in send write read; do
    for bytes in 2 64 4096 65536; do
        echo "| $kind, $bytes B | $(run $kind $bytes passthrough 16,6) |" \
            "$(run $kind $bytes strict 16,6) | $(run $kind $bytes strict 1,1) |"
    done
done
