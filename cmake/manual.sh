#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# manual.sh PROGRAM VERSION DIRECTORY - writes the manual page (iovasim.1) and the completions
# for bash, zsh and fish from what the program itself says: --help of each command, which
# prints its table of options, and the lists of presets and policies.
set -euo pipefail
program=$1 version=$2 to=$3
mkdir -p "$to"
page=$to/iovasim.1 bash=$to/iovasim.bash zsh=$to/_iovasim fish=$to/iovasim.fish

# What the program says of itself, read once: commands, those of trace, and of each command
# "short TAB long TAB argument TAB text" for every option; lines that go on are joined.
declare -A usage options
commands=() trace_commands=() presets= policies=

read_options() {
    local help
    help=$("$program" $1 --help)
    usage[$1]=${help%%$'\n'*}
    options[$1]=$(awk '
        function flush() {
            if (long != "") printf "%s\t%s\t%s\t%s\n", short, long, arg, text
            long = ""
        }
        /^Help options:/ { exit }
        /^  (-.,|   ) --[a-z]/ {
            flush()
            short = substr($0, 3, 1) == "-" ? substr($0, 4, 1) : "-"
            rest = substr($0, 9)
            match(rest, /^[a-z-]+/)
            long = substr(rest, 1, RLENGTH)
            rest = substr(rest, RLENGTH + 1)
            arg = "-"
            if (match(rest, /^=[^ ]+/)) {
                arg = substr(rest, 2, RLENGTH - 1)
                rest = substr(rest, RLENGTH + 1)
            }
            sub(/^ +/, "", rest)
            text = rest
            next
        }
        long != "" && /^          +[^ ]/ { sub(/^ +/, ""); text = text " " $0; next }
        { flush() }
        END { flush() }' <<<"$help")
}

read_all() {
    mapfile -t commands < <("$program" --help |
        sed -n '/^commands:/,/^$/s/^  \([a-z][a-z-]*\) \+\(.*\)/\1\t\2/p')
    mapfile -t trace_commands < <("$program" trace --help |
        sed -n 's/^  \([a-z]\+\) .*  *\([A-Z][a-z].*\)$/\1\t\2/p')
    for line in "${commands[@]}"; do read_options "${line%%$'\t'*}"; done
    for line in "${trace_commands[@]}"; do read_options "trace ${line%%$'\t'*}"; done
    presets=$("$program" presets | awk '/^[a-z][a-z0-9-]*$/ { printf "%s ", $1 }')
    policies=$("$program" policies | awk '/^[a-z][a-z0-9_-]*$/ { printf "%s ", $1 }')
}

names() { printf '%s\n' "$@" | cut -f1 | tr '\n' ' '; }

roff() {
    local text=${1//\\/\\e}
    text=${text//-/\\-}
    [[ $text == [.\']* ]] && text="\\&$text"
    printf '%s' "$text"
}

page_options() {
    while IFS=$'\t' read -r short long arg text; do
        [[ -n $long ]] || continue
        echo .TP
        [[ $short == - ]] || printf '\\fB\\-%s\\fR, ' "$short"
        printf '\\fB\\-\\-%s\\fR' "$(roff "$long")"
        [[ $arg == - ]] || printf '=\\fI%s\\fR' "$(roff "$arg")"
        printf '\n%s\n' "$(roff "$text")"
    done <<<"${options[$1]}"
}

write_page() {
    cat <<TXT
.TH IOVASIM 1 "" "iovasim $version" "User Commands"
.SH NAME
iovasim \\- cycle\\-accurate IOMMU simulator with the Linux DMA\\-mapping APIs
.SH SYNOPSIS
.B iovasim
.I COMMAND
.RI [ ARGUMENT ...]
.SH DESCRIPTION
Runs Linux's DMA\\-mapping code on simulated CPUs against a cycle\\-accurate IOMMU, and replays
recorded NVMe workloads through it. It tells what each way of mapping, each policy of flushing
the IOTLB and each stale translation costs.
.PP
\\fBiovasim replay\\fR \\fITRACE\\fR is where to begin; \\fBiovasim \\fICOMMAND\\fB \\-\\-help\\fR
explains a command.
.SH COMMANDS
TXT
    for line in "${commands[@]}"; do
        local name=${line%%$'\t'*}
        printf '.SS %s\n%s.\n.PP\n.B %s\n' "$(roff "$name")" "$(roff "${line#*$'\t'}")" \
            "$(roff "${usage[$name]#?sage: }")"
        page_options "$name"
        [[ $name == trace ]] || continue
        for line in "${trace_commands[@]}"; do
            printf '.PP\n.B trace %s\n.br\n%s.\n' "${line%%$'\t'*}" "$(roff "${line#*$'\t'}")"
            page_options "trace ${line%%$'\t'*}"
        done
    done
    cat <<'TXT'
.SH EXIT STATUS
.TP
.B 0
Everything is fine.
.TP
.B 1
\fBgate\fR: a metric has become worse.
.TP
.B 2
Wrong usage or configuration, results that cannot be compared, or a file that cannot be written.
.TP
.B 3
A trace or a baseline cannot be read.
.TP
.B 4
One of the simulator's own checks failed, or \fBlinux.dma_debug\fR has found something.
.TP
.B 130
Interrupted.
.SH EXAMPLES
.nf
iovasim replay nvme0n1.blktrace.0
iovasim replay job.iolog \-\-policy strict,lazy \-\-set iotlb.sets=32 \-\-json result.json
iovasim replay job.iolog \-\-timeline run.pftrace
iovasim gate baseline.json result.json
.fi
TXT
}

longs() {
    while IFS=$'\t' read -r _ long _ _; do
        [[ -z $long ]] || printf -- '--%s ' "$long"
    done <<<"${options[$1]}"
}

write_bash() {
    cat <<TXT
# bash completion for iovasim.
_iovasim() {
    local word=\$2 before=\$3 options=
    if [[ \$COMP_CWORD -eq 1 ]]; then
        COMPREPLY=(\$(compgen -W '$(names "${commands[@]}")--help --version' -- "\$word"))
        return
    fi
    case \$before in
    --preset) COMPREPLY=(\$(compgen -W '$presets' -- "\$word")); return ;;
    --policy) COMPREPLY=(\$(compgen -W '$policies' -- "\$word")); return ;;
    esac
    case \${COMP_WORDS[1]} in
$(for line in "${commands[@]}"; do
        name=${line%%$'\t'*}
        echo "    $name) options='$(longs "$name")--help' ;;"
    done)
    esac
    if [[ \${COMP_WORDS[1]} == trace && \$COMP_CWORD -eq 2 ]]; then
        COMPREPLY=(\$(compgen -W '$(names "${trace_commands[@]}")' -- "\$word"))
    elif [[ \$word == -* ]]; then
        COMPREPLY=(\$(compgen -W "\$options" -- "\$word"))
    else
        COMPREPLY=(\$(compgen -f -- "\$word"))
    fi
}
complete -o filenames -F _iovasim iovasim
TXT
}

# For a single-quoted description in brackets of zsh.
quote() {
    local text=${1//\'/\'\\\'\'}
    text=${text//\[/(}
    text=${text//\]/)}
    printf '%s' "${text//:/\\:}"
}

write_zsh() {
    printf '#compdef iovasim\nlocal -a commands\ncommands=(\n'
    for line in "${commands[@]}"; do
        printf "  '%s:%s'\n" "${line%%$'\t'*}" "$(quote "${line#*$'\t'}")"
    done
    printf ')\nif (( CURRENT == 2 )); then _describe command commands; return; fi\n'
    printf 'case $words[2] in\n'
    for line in "${commands[@]}"; do
        printf '%s) _arguments \\\n' "${line%%$'\t'*}"
        while IFS=$'\t' read -r _ long arg text; do
            [[ -n $long ]] || continue
            if [[ $arg == - ]]; then
                printf "  '--%s[%s]' \\\\\n" "$long" "$(quote "$text")"
            else
                printf "  '--%s=[%s]:%s:_files' \\\\\n" "$long" "$(quote "$text")" \
                    "$(quote "$arg")"
            fi
        done <<<"${options[${line%%$'\t'*}]}"
        echo "  '*:file:_files' ;;"
    done
    echo esac
}

write_fish() {
    echo '# fish completion for iovasim.'
    for line in "${commands[@]}"; do
        local name=${line%%$'\t'*} about=${line#*$'\t'}
        echo "complete -c iovasim -n __fish_use_subcommand -f -a $name -d '${about//\'/\\\'}'"
        while IFS=$'\t' read -r short long arg text; do
            [[ -n $long ]] || continue
            printf "complete -c iovasim -n '__fish_seen_subcommand_from %s' -l %s" \
                "$name" "$long"
            [[ $short == - ]] || printf ' -s %s' "$short"
            [[ $arg == - ]] || printf ' -r'
            printf " -d '%s'\n" "${text//\'/\\\'}"
        done <<<"${options[$name]}"
    done
}

read_all
write_page >"$page"
write_bash >"$bash"
write_zsh >"$zsh"
write_fish >"$fish"
gzip -9nfk "$page"
