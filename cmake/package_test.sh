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
[[ $(complete_words trace conv) == convert ]] || fail "of a subcommand"
[[ -s $usr/share/zsh/vendor-completions/_iovasim ]] || fail "no completion for zsh"
[[ -s $usr/share/fish/vendor_completions.d/iovasim.fish ]] || fail "no completion for fish"

lib=$(dirname "$(find "$usr/lib" -name iovasim.pc)")
PKG_CONFIG_PATH=$lib pkg-config --exists iovasim || fail "pkg-config"
[[ -f $usr/include/iovasim.hpp && -f $lib/../libiovasim.a ]] || fail "no library"
[[ -f $lib/../cmake/iovasim/iovasimConfig.cmake ]] || fail "no CMake package"
echo "$(basename "$deb"): $count options in the manual page"
