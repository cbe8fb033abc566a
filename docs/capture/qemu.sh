#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Records what `iovasim replay` replays best without a machine of one's own for it: boots a
# Debian kernel in QEMU (software emulation: neither root nor KVM) with an emulated VT-d and an
# NVMe drive, runs fio under record.sh and under blktrace, and brings back what they wrote.
#
#     docs/capture/qemu.sh [-m strict|lazy|passthrough] [-o FOLDER] [-k KERNEL.deb]... \
#         [-- FIO OPTION...]
#
# Leaves FOLDER (qemu-capture) with guest.ftrace.txt.gz, nvme0n1.blktrace.*, job.iolog, fio.json
# and dmesg.txt. Without -k, the kernel of linux-image-amd64 is fetched by apt-get download.
# Timings are those of the emulation: order, sizes, memory and depth are what is worth having.
set -euo pipefail

say() { echo "qemu.sh: $*" >&2; }
die() { say "$*"; exit 1; }
usage() { say "expected [-m strict|lazy|passthrough] [-o FOLDER] [-k KERNEL.deb]... [-- FIO OPTION...]"; exit 2; }

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
mode=strict out=qemu-capture kernels=()
while getopts m:o:k: option; do
    case $option in
    m) mode=$OPTARG ;;
    o) out=$OPTARG ;;
    k) kernels+=("$(realpath "$OPTARG")") ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
job=("$@")
[[ ${#job[@]} -gt 0 ]] || job=(--rw=randrw --rwmixread=70 --bssplit=4k/50:16k/30:64k/20
    --iodepth=16 --numjobs=2 --number_ios=500)
case $mode in
strict) words="intel_iommu=on iommu.strict=1" ;;
lazy) words="intel_iommu=on iommu.strict=0" ;;
passthrough) words="intel_iommu=on iommu=pt" ;;
*) usage ;;
esac
# Each with the Debian package that has it.
for need in qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio \
    modprobe:kmod depmod:kmod fio:fio blktrace:blktrace xz:xz-utils dpkg-deb:dpkg; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${need%:*}" >/dev/null ||
        die "no ${need%:*}: install ${need#*:}"
done
export PATH=$PATH:/usr/sbin:/sbin
[[ ! -e $out ]] || die "$out is there already"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
root=$work/root

# The kernel's files, from its package; nothing is installed.
unpack_kernel() {
    local deb package
    if [[ ${#kernels[@]} -eq 0 ]]; then
        package=$(apt-cache depends linux-image-amd64 | awk '/Depends:/ { print $2; exit }')
        [[ -n $package ]] || die "apt knows no linux-image-amd64: name a kernel's package by -k"
        say "fetching $package"
        (cd "$work" && apt-get download -q "$package" >download.log 2>&1) ||
            die "apt-get download $package failed: $(tail -n 1 "$work/download.log")"
        kernels=("$work"/linux-image-*.deb)
    fi
    for deb in "${kernels[@]}"; do dpkg-deb -x "$deb" "$work/kernel"; done
    [[ -e $work/kernel/lib ]] || ln -s usr/lib "$work/kernel/lib"
    image=$(find "$work/kernel" -name 'vmlinuz*' -type f | head -n 1)
    [[ -n $image ]] || die "${kernels[0]}: expected a package of a kernel, found no vmlinuz"
    release=$(basename "$(find "$work/kernel/lib/modules/" -mindepth 1 -maxdepth 1 | head -n 1)")
    depmod -b "$work/kernel" "$release" 2>/dev/null || true
}

# A program with the libraries that it needs, at the paths where it looks for them.
add_program() {
    local program library
    program=$(readlink -f "$(command -v "$1")")
    cp "$program" "$root/bin/$1"
    ldd "$program" 2>/dev/null | grep -oE '/[^ ]+' | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
}

# Modules in the order in which they need each other.
add_modules() {
    local module name
    for name in virtio_pci virtio_blk nvme; do
        modprobe -d "$work/kernel" -S "$release" --show-depends "$name" 2>/dev/null || true
    done | awk '/^insmod/ && !seen[$2]++ { print $2 }' | while read -r module; do
        name=$(basename "${module%.xz}")
        case $module in
        *.xz) xz -dc "$module" ;;
        *) cat "$module" ;;
        esac >"$root/modules/$name"
        echo "$name" >>"$root/modules/order"
    done
}

make_root() {
    mkdir -p "$root"/{bin,proc,sys,dev,tmp,modules,out,usr/lib,usr/lib64}
    ln -s usr/lib "$root/lib"
    ln -s usr/lib64 "$root/lib64"
    cp "$(command -v busybox)" "$root/bin/busybox"
    add_program fio
    add_program blktrace
    add_modules
    cp "$here/record.sh" "$root/bin/record.sh"
    printf '%q ' "${job[@]}" >"$root/job"
    write_init
    chmod 755 "$root/init" "$root/bin/record.sh"
    (cd "$root" && find . | cpio -o -H newc --quiet) >"$work/initrd"
}

# What runs in the guest. Whatever fails there is in its console, which is shown then.
write_init() {
    cat >"$root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mkdir -p /dev/shm
mount -t tmpfs none /dev/shm
mount -t tmpfs -o size=600m none /out
mount -t debugfs none /sys/kernel/debug
mount -t tracefs none /sys/kernel/tracing
while read -r module; do insmod "/modules/$module" || echo "guest: no $module"; done </modules/order
for i in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/nvme0n1 ] && break; sleep 1; done
dmesg >/out/dmesg.txt
echo mono >/sys/kernel/tracing/trace_clock
eval "set -- $(cat /job)"
set -- fio --name=job --filename=/dev/nvme0n1 --ioengine=libaio --direct=1 --size=256m \
    --randseed=1 --thread --allow_mounted_write=1 "$@"
cd /out
record.sh -o guest.ftrace.txt.gz -- "$@" --output-format=json --output=fio.json || echo "guest: record.sh: $?"
blktrace -d /dev/nvme0n1 -o nvme0n1 >/dev/null 2>blktrace.log &
sleep 2
# One job: several would write the log at once, into each other's lines.
"$@" --numjobs=1 --write_iolog=job.iolog --output=/dev/null || echo "guest: fio: $?"
kill -INT $!
wait
touch complete
tar cf /dev/vda .
sync
poweroff -f
INIT
}

boot() {
    truncate -s 256M "$work/nvme.img"
    truncate -s 700M "$work/out.img"
    timeout 600 qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 2048 \
        -machine q35,kernel-irqchip=off -display none -nodefaults -no-reboot -serial stdio \
        -kernel "$image" -initrd "$work/initrd" -append "console=ttyS0 panic=-1 quiet $words" \
        -device intel-iommu,intremap=off,aw-bits=48 \
        -drive "file=$work/out.img,if=none,id=out,format=raw" \
        -device virtio-blk-pci,drive=out \
        -drive "file=$work/nvme.img,if=none,id=drive,format=raw,cache=unsafe" \
        -device nvme,serial=iovasim,drive=drive,max_ioqpairs=2 </dev/null >"$work/console" 2>&1 ||
        { tail -n 20 "$work/console" >&2; die "QEMU failed or took more than ten minutes"; }
    mkdir "$work/result"
    tar xf "$work/out.img" -C "$work/result" 2>/dev/null || true
    if [[ ! -f $work/result/complete ]]; then
        tail -n 20 "$work/console" >&2
        die "the guest did not come to its end"
    fi
    rm "$work/result/complete"
    grep '^guest: ' "$work/console" >&2 || true
}

unpack_kernel
make_root
say "booting Linux $release, $mode; about a minute"
boot
chmod -R u=rwX,go=rX "$work/result"
mv "$work/result" "$out"
say "wrote $out; now: iovasim replay $out/guest.ftrace.txt.gz"
