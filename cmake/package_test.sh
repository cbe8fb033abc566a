#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# package_test.sh BUILD ROOT - makes the Debian package, unpacks it into an empty folder, and
# uses what is in there: the program, its manual page, the completions, the package files.
set -euo pipefail
build=$1 root=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "package_test: $*" >&2
    exit 1
}

(cd "$build" && cpack -G DEB -B "$work/deb" --config CPackConfig.cmake >"$work/log" 2>&1) ||
    fail "cpack: $(tail -n 20 "$work/log")"
deb=$(find "$work/deb" -maxdepth 1 -name 'iovasim_*.deb')
[[ -f $deb ]] || fail "no package"
dpkg-deb --field "$deb" Depends | grep -q libjansson4 || fail "no dependencies"
for field in Package Version Architecture Maintainer Description; do
    [[ -n $(dpkg-deb --field "$deb" $field) ]] || fail "no $field"
done

# What is in it, and for whom.
dpkg-deb -c "$deb" | awk '{ print $1, $2, $6 }' >"$work/content"
while read -r mode path; do
    grep -qE "^$mode root/root \./usr/$path\$" "$work/content" || fail "no $path of $mode"
done <<'TXT'
-rwxr-xr-x bin/iovasim
-rw-r--r-- lib/libiovasim\.a
-rw-r--r-- lib/pkgconfig/iovasim\.pc
-rw-r--r-- lib/pkgconfig/iovasim-machine\.pc
-rw-r--r-- lib/cmake/iovasim/iovasimConfig\.cmake
-rw-r--r-- lib/cmake/iovasim/iovasimConfigVersion\.cmake
-rw-r--r-- include/iovasim\.h
-rw-r--r-- include/iovasim\.hpp
-rw-r--r-- include/iovasim/dma_api/dma-mapping\.h
-rw-r--r-- include/iovasim/sim/base/port\.h
-rw-r--r-- share/man/man1/iovasim\.1\.gz
-rw-r--r-- share/doc/iovasim/copyright
-rw-r--r-- share/doc/iovasim/examples/driver-and-device/driver\.c
-rw-r--r-- share/bash-completion/completions/iovasim
TXT
awk '$1 !~ /^d/ && $2 != "root/root"' "$work/content" | grep . && fail "files of somebody's"
awk '{ print $3 }' "$work/content" |
    grep -vE '^\./(usr/((bin|lib|include|share/(man|doc|bash-completion|zsh|fish))(/.*)?|share/)?)?$' &&
    fail "files out of place"
grep -E '_test|\.o$|standin|/inside\.h' "$work/content" && fail "files that are nobody's business"

# Installed by dpkg itself, into a root of its own that knows no other package.
mkdir -p "$work/root/var/lib/dpkg"/{info,updates}
: >"$work/root/var/lib/dpkg/status"
dpkg --root="$work/root" --log=/dev/null --force-depends --force-not-root --force-script-chrootless \
    --install "$deb" >"$work/log" 2>&1 || fail "dpkg: $(cat "$work/log")"
usr=$work/root/usr
"$usr/bin/iovasim" --version | grep -q '^iovasim [0-9]' || fail "the program does not run"
(cd "$work" && timeout 60 "$usr/bin/iovasim" replay "$root/traces/samples/nvme-randread-4k.iovatrace" \
    --limit 20 --api iova >out.txt) && grep -q '^strict' "$work/out.txt" || fail "no replay"

# The page shows every command and every option of each.
page=$usr/share/man/man1/iovasim.1.gz
[[ $(MANPATH=$usr/share/man man --where iovasim) == "$page" ]] || fail "man does not find it"
man --warnings=all --local-file "$page" >"$work/page" 2>"$work/warnings" || fail "man failed"
[[ ! -s $work/warnings ]] || fail "man: $(cat "$work/warnings")"
plain() { MANWIDTH=120 man --local-file "$page" | sed 's/.\x08//g'; }
plain >"$work/page"
count=0
while read -r command; do
    grep -Eq "^   $command\$" "$work/page" || fail "the page has no $command"
    while read -r option; do
        grep -q -- "$option" "$work/page" || fail "the page has no $option of $command"
        count=$((count + 1))
    done < <("$usr/bin/iovasim" "$command" --help | sed '/^Help options/,$d' |
        sed -n 's/^  \(-.,\|   \) \(--[a-z-]*\).*/\2/p')
done < <("$usr/bin/iovasim" --help | sed -n '/^commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p')
[[ $count -gt 60 ]] || fail "only $count options"

# Completion, as bash asks for it.
complete_words() {
    bash -c '. "$1"; COMP_WORDS=(iovasim "${@:2}"); COMP_CWORD=$(($# - 1))
        _iovasim iovasim "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        echo "${COMPREPLY[*]}"' complete "$usr/share/bash-completion/completions/iovasim" "$@"
}
[[ $(complete_words repl) == replay ]] || fail "completion of a command"
[[ $(complete_words replay --time) == "--timeline --timeline-window" ]] || fail "of an option"
[[ $(complete_words replay --preset vtd-se) == vtd-server ]] || fail "of a preset"
[[ $(complete_words replay --policy laz) == "lazy"* ]] || fail "of a policy"
[[ $(complete_words replay --preset = vtd-se) == vtd-server ]] || fail "of --preset=NAME"
[[ $(complete_words compare --policies strict,wi) == strict,window ]] || fail "of a list"
[[ $(complete_words replay --set iotlb.s) == iotlb.sets= ]] || fail "of a parameter"
[[ $(complete_words replay --format jun) == junit= ]] || fail "of a report"
[[ $(complete_words compare --sort iop) == iops ]] || fail "of a metric"
[[ $(complete_words trace conv) == convert ]] || fail "of a subcommand"
[[ $(complete_words trace convert --t) == --to ]] || fail "of a subcommand's option"
[[ $(complete_words trace convert --to f) == fio ]] || fail "of a format"
[[ $(complete_words replay gen:trim) == gen:trim ]] || fail "of a generator"
[[ -z $(complete_words replay --cpus 1) ]] || fail "where a number is expected"
[[ -s $usr/share/zsh/vendor-completions/_iovasim ]] || fail "no completion for zsh"
[[ -s $usr/share/fish/vendor_completions.d/iovasim.fish ]] || fail "no completion for fish"

lib=$(dirname "$(find "$usr/lib" -name iovasim.pc)")
PKG_CONFIG_PATH=$lib pkg-config --exists iovasim || fail "pkg-config"
[[ -f $usr/include/iovasim.hpp && -f $lib/../libiovasim.a ]] || fail "no library"
[[ -f $lib/../cmake/iovasim/iovasimConfig.cmake ]] || fail "no CMake package"

# The examples that came with it, with the library that came with it.
export PKG_CONFIG_PATH=$lib
cp -r "$usr/share/doc/iovasim/examples" "$work/examples"
make -s -C "$work/examples/driver-and-device" >"$work/log" 2>&1 || fail "make: $(cat "$work/log")"
timeout 60 "$work/examples/driver-and-device/checksum" | grep -q '^  stale accesses' ||
    fail "the example does not run"
echo "$(basename "$deb"): $count options in the manual page"
