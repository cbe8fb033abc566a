#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# record.sh against a folder that looks like tracefs: what it writes, what it leaves.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "record_test.sh: $*" >&2; exit 1; }

fake="$dir/tracing"
mkdir -p "$fake/events" "$fake/instances" "$dir/bin"
: >"$fake/tracing_on"
: >"$fake/kprobe_events"
export TRACEFS="$fake"
# mkdir of an instance makes the kernel fill it; rmdir empties it.
cat >"$dir/bin/mkdir" <<'MKDIR'
#!/bin/sh
[ -d "$1" ] && exit 1
/bin/mkdir "$1" || exit 1
for e in nvme/nvme_setup_cmd nvme/nvme_complete_rq block/block_rq_issue \
    block/block_rq_complete dma iommu/map iommu/unmap iovasim/dma_iova_link \
    iovasim/dma_iova_destroy; do
    /bin/mkdir -p "$1/events/$e"
    : >"$1/events/$e/enable"
done
: >"$1/tracing_on"
: >"$1/buffer_size_kb"
cp "$SAMPLE" "$1/trace"
MKDIR
cat >"$dir/bin/rmdir" <<'RMDIR'
#!/bin/sh
cp "$1/events/block/block_rq_issue/enable" "$TRACEFS/was_enabled"
rm -rf "$1"
RMDIR
chmod +x "$dir/bin/mkdir" "$dir/bin/rmdir"
PATH=$dir/bin:$PATH
zcat "$here/../../traces/samples/ext4-fdatasync.ftrace.txt.gz" >"$dir/sample"
export SAMPLE="$dir/sample" PATH

"$here/record.sh" -o "$dir/mine.gz" 0 2>"$dir/said" || fail "it failed: $(cat "$dir/said")"
zcat "$dir/mine.gz" | cmp - "$dir/sample" || fail "it did not write what was traced"
[ "$(cat "$fake/was_enabled")" = 1 ] || fail "block events were not switched on"
[ ! -e "$fake/instances/iovasim" ] || fail "its instance is still there"
grep -q "iovasim replay $dir/mine.gz" "$dir/said" || fail "it does not say what comes next"
iovasim replay "$dir/mine.gz" --policy strict --api iova >"$dir/table" || fail "not replayed"
grep -q '^strict' "$dir/table" || fail "no comparison"

# A command's own status comes through, and its recording stays.
status=0
"$here/record.sh" -o "$dir/two.gz" -- sh -c 'exit 7' 2>/dev/null || status=$?
[ $status = 7 ] || fail "expected status 7, got $status"
[ -s "$dir/two.gz" ] || fail "no recording of a command that failed"

# Mistakes are one line, and leave nothing.
for arguments in "" "ten" "-o" "1 2" "--"; do
    status=0
    # shellcheck disable=SC2086
    "$here/record.sh" $arguments 2>"$dir/said" || status=$?
    [ $status = 2 ] || fail "'$arguments': expected status 2, got $status"
    [ "$(wc -l <"$dir/said")" = 1 ] || fail "'$arguments': expected one line"
done
/bin/mkdir "$fake/instances/iovasim"
status=0
"$here/record.sh" 0 2>"$dir/said" || status=$?
[ $status = 1 ] || fail "a second recording was begun"
grep -q 'under way' "$dir/said" || fail "it does not say why"
echo "record.sh: fine"
