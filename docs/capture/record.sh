#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Records what `iovasim replay` replays best: block, NVMe, DMA and IOMMU events of a running
# Linux, with the kprobes for the IOVA API, which has no tracepoints.
#
#     sudo docs/capture/record.sh [-o FILE] SECONDS      or      ... -- COMMAND...
#
# Needs root, gzip and tracefs, and nothing else. Leaves FILE (iovasim.ftrace.txt.gz), which
# `iovasim replay FILE` takes, and switches off again what it switched on.
set -eu

say() { echo "record.sh: $*" >&2; }
usage() { say "expected [-o FILE] SECONDS, or [-o FILE] -- COMMAND..."; exit 2; }

out=iovasim.ftrace.txt.gz
if [ "${1-}" = -o ]; then
    [ $# -ge 2 ] || usage
    out=$2
    shift 2
fi
[ $# -ge 1 ] || usage
if [ "$1" = -- ]; then
    shift
    [ $# -ge 1 ] || usage
else
    [ $# -eq 1 ] || usage
    case $1 in *[!0-9]*|'') usage ;; esac
    set -- sleep "$1"
fi

tracing=${TRACEFS:-/sys/kernel/tracing}
[ -d "$tracing/events" ] || tracing=${TRACEFS:-/sys/kernel/debug/tracing}
if [ ! -w "$tracing/tracing_on" ]; then
    say "cannot write $tracing/tracing_on: expected root, and tracefs mounted there"
    exit 1
fi

# An instance of our own, so that nobody else's tracing is disturbed.
mine=$tracing/instances/iovasim
mkdir "$mine" 2>/dev/null || { say "$mine is there: another recording is under way"; exit 1; }
probes=
clean_up() {
    echo 0 >"$mine/tracing_on" || :
    for p in $probes; do echo 0 >"$mine/events/iovasim/$p/enable" || :; done
    rmdir "$mine" || :
    for p in $probes; do echo "-:iovasim/$p" >>"$tracing/kprobe_events" || :; done
    rm -f "$out.part"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

probe() { # NAME ARGUMENTS: only where the kernel has the function (6.16 and later).
    if [ "$(uname -m)" = x86_64 ] &&
        echo "p:iovasim/$1 $1 $2" >>"$tracing/kprobe_events" 2>/dev/null; then
        probes="$probes $1"
        echo 1 >"$mine/events/iovasim/$1/enable"
    fi
}
probe dma_iova_link 'state=%si:x64 addr=+0(%si):x64 phys=%dx:x64 offset=%cx:u64 size=%r8:u64 dir=%r9:u32'
probe dma_iova_destroy 'state=%si:x64 addr=+0(%si):x64 mapped_len=%dx:u64 dir=%cx:u32'

found=
for e in nvme/nvme_setup_cmd nvme/nvme_complete_rq block/block_rq_issue \
    block/block_rq_complete dma iommu/map iommu/unmap; do
    if [ -w "$mine/events/$e/enable" ]; then
        echo 1 >"$mine/events/$e/enable"
        found="$found $e"
    fi
done
case $found in *block_rq_issue*) ;; *) say "this kernel has no block events"; exit 1 ;; esac
case $found in *dma*) ;; *) say "no dma events (Linux before 6.12): buffers will be placed by placement.model" ;; esac

echo 65536 >"$mine/buffer_size_kb"
echo 1 >"$mine/tracing_on"
status=0
"$@" || status=$?
echo 0 >"$mine/tracing_on"

gzip -c <"$mine/trace" >"$out.part"
lost=$(cat "$mine"/per_cpu/cpu*/stats 2>/dev/null | awk '/^overrun:/ { n += $2 } END { print n + 0 }')
[ "$lost" -eq 0 ] || say "$lost events were lost: record for a shorter time"
mv "$out.part" "$out"
say "wrote $out; now: iovasim replay $out"
exit $status
