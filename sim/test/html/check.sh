#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check.sh ROOT BUILD: makes HTML reports of every kind of result and opens them in Chromium.
set -eu
root=$1
build=$2
here=$build/html-test
iovasim=$build/iovasim
traces=$root/traces/samples
mkdir -p "$here"
cp "$root"/sim/test/html/* "$here"
cd "$here"
if ! cmp -s package-lock.json installed.json; then
    npm ci --no-audit --no-fund --ignore-scripts >npm.log 2>&1 || { cat npm.log; exit 1; }
    cp package-lock.json installed.json
fi

cat >sweep.yaml <<TXT
name: sizes
base: { trace: $traces/nvme-randread-4k.iovatrace, limit: 40, api: streaming }
axes:
  policy: [strict, lazy]
  iotlb.sets: [1, 2, 4]
TXT
cat >suite.yaml <<TXT
name: two
defaults: { limit: 60, policy: strict, api: iova }
cases:
  - { name: reads, trace: $traces/nvme-randread-4k.iovatrace }
  - { name: mixed, trace: $traces/nvme-randrw-mixed.iovatrace, preset: [vtd-server, riscv-perf] }
TXT
rm -f sizes.db* ./*.html
mixed=$traces/nvme-randrw-mixed.iovatrace
"$iovasim" replay "$mixed" --limit 300 --json result.json --html replay.html >/dev/null
"$iovasim" replay "$mixed" --limit 300 --set iotlb.sets=2 --json changed.json >/dev/null
"$iovasim" replay "$mixed" "$traces/nvme-randread-4k.iovatrace" --limit 120 --policy lazy \
    --set iotlb.sets=2 --json several.json --html several.html >/dev/null
"$iovasim" replay "$mixed" "$traces/nvme-randread-4k.iovatrace" --limit 60 --policy lazy \
    --set replay.devices=own --json drives.json --html drives.html >/dev/null
"$iovasim" replay "$traces/rdma-rping.verbs.txt.gz" --cpus 2 --limit 50 --api iova \
    --json rdma.json --html rdma.html >/dev/null
"$iovasim" compare "$mixed" --limit 200 --attacker \
    --policies strict,lazy,damn,never,passthrough --html compare.html >/dev/null
"$iovasim" suite run suite.yaml --html suite.html >/dev/null
"$iovasim" sweep sweep.yaml >/dev/null
"$iovasim" report sizes.db --html sweep.html
"$iovasim" report changed.json --baseline result.json --html baseline.html
"$iovasim" report result.json changed.json --html both.html
"$iovasim" report result.json --html again.html
"$iovasim" report result.json --html - >twice.html
cmp again.html twice.html

node hostile.mjs
"$iovasim" report hostile.json --html hostile.html
"$iovasim" report many.json --html many.html
IOVASIM=$iovasim node check.mjs
