#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What a block request costs when its drive is another host's: CPU cycles of the host, of the
# target, and of the same request on a drive of its own. The table of docs/rdma.md.
#
#     docs/examples/nvmf-ends.sh [IOVASIM [POLICY [API]]]
set -eu
iovasim=${1:-build/iovasim}
policy=${2:-strict}
api=${3:-iova}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# run GENERATOR KIB REMOTE: the document of one run.
run() {
    "$iovasim" replay "gen:$1" --host direct --progress never --policy "$policy" --api "$api" \
        --cpus 2 --set "gen.block_kib=$2" --set "nvmf.remote=$3" --json "$work/$3.json" >/dev/null
}

echo "| request | local | host | in map and unmap | target | in map and unmap | invalidations, local, host, target |"
echo "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
for kib in 4 64; do
    for op in read write; do
        run "rand$op" "$kib" 0
        run "rand$op" "$kib" 1
        python3 - "$op" "$kib" "$work" <<'EOF'
import json, sys
op, kib, work = sys.argv[1:]
far, near = (json.load(open(f"{work}/{n}.json"))["runs"][0] for n in (1, 0))
ios = far["software"]["replay"]["record"]
busy = lambda breakdown: sum(v for k, v in breakdown.items() if k != "idle") / ios
def phases(end):
    return sum(v for name, owners in end["cpu_phases"].items() if name in ("map", "unmap")
               for v in owners.values()) / ios
host, target = far["ends"]["host"], far["ends"]["target"]
inv = [x["kernel"]["descriptor"] / ios for x in (near["software"], host, target)]
print(f"| {op}, {kib} KiB | {busy(near['cpu_breakdown']):.0f} | {busy(host['cpu_breakdown']):.0f} "
      f"| {phases(host):.0f} | {busy(target['cpu_breakdown']):.0f} | {phases(target):.0f} "
      f"| {inv[0]:.1f}, {inv[1]:.1f}, {inv[2]:.1f} |")
EOF
    done
done
