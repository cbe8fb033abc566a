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
commands=() trace_commands=() presets= policies= generators= formats= writers= reports= keys=
metrics= value= quoted=

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
    generators=$({ "$program" replay gen: 2>&1 || true; } |
        sed -n 's/.*there are: //; s/,//g; s/[a-z_]\+/gen:&/gp')
    formats=$("$program" formats | awk 'NF == 0 { done = 1 } !done { printf "%s ", $1 }')
    writers=$("$program" formats |
        awk '/^Written/ { on = 1; next } NF == 0 { on = 0 } on { printf "%s ", $1 }')
    reports=$("$program" export | awk '{ printf "%s ", $1 }')
    keys=$("$program" params --json | sed -n 's/.*"key": "\(.*\)".*/\1/p' | tr '\n' ' ')
    metrics=$("$program" replay gen:randread --limit 1 --policy strict --api iova --format csv=- |
        sed -n '1{s/\r//; s/.*,\(ios,\)/\1/; s/,/ /gp}')
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
recorded NVMe and RDMA workloads through it. It tells what each way of mapping, each policy of flushing
the IOTLB and each stale translation costs.
.PP
\\fBiovasim replay\\fR \\fITRACE\\fR is where to begin; \\fBiovasim \\fICOMMAND\\fB \\-\\-help\\fR
explains a command.
.SH COMMANDS
TXT
    for line in "${commands[@]}"; do
        local name=${line%%$'\t'*}
        local about=${line#*$'\t'}
        [[ $about == *. ]] || about+=.
        printf '.SS %s\n%s\n.PP\n.B %s\n' "$(roff "$name")" "$(roff "$about")" \
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
A trace, a result or a database cannot be read (\fBgate\fR: 2).
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

# What a value of an option can be, into value: "words A B", "list A B" (with commas), "keys",
# "reports" (NAME=FILE), "file", or "none" of these.
value_of() {
    local command=$1 long=$2 arg=$3
    case $long in
    preset) value="list $presets" ;;
    policy) value="list $policies" ;;
    policies) value="list all $policies" ;;
    api) [[ $command == compare ]] && value="words iova streaming sg" ||
        value="list iova streaming sg both all" ;;
    sort | sensitivity) value="words $metrics" ;;
    pareto) value="list $metrics" ;;
    progress) value="words auto always never" ;;
    host) value="words systemc direct" ;;
    run-ahead) value="words on off" ;;
    executor) value="words local slurm" ;;
    from) value="words $formats" ;;
    to) value="words $writers" ;;
    set) value=keys ;;
    format) [[ $arg == NAME ]] && value="words $reports" || value=reports ;;
    *) [[ $arg == FILE* ]] && value=file || value=none ;;
    esac
}

# Every command and every subcommand of trace, a line each.
places() {
    printf '%s\n' "${commands[@]}" | cut -f1
    printf 'trace %s\n' "${trace_commands[@]}" | cut -f1
}

longs() {
    while IFS=$'\t' read -r _ long _ _; do
        [[ -z $long ]] || printf -- '--%s ' "$long"
    done <<<"${options[$1]}"
}

bash_values() {
    while read -r place; do
        while IFS=$'\t' read -r _ long arg _; do
            [[ -n $long && $arg != - ]] || continue
            value_of "$place" "$long" "$arg"
            echo "    '$place --$long') value='$value' ;;"
        done <<<"${options[$place]}"
    done < <(places)
}

write_bash() {
    cat <<TXT
# bash completion for iovasim.
_iovasim_words() { mapfile -t COMPREPLY < <(compgen -W "\$1" -- "\$2"); }

_iovasim_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "\$1")
}

# The last of a list with commas.
_iovasim_list() {
    local before=
    [[ \$2 == *,* ]] && before=\${2%,*},
    mapfile -t COMPREPLY < <(compgen -P "\$before" -W "\$1" -- "\${2##*,}")
}

# NAME=...: no space behind it.
_iovasim_names() {
    compopt -o nospace 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -S = -W "\$1" -- "\$2")
}

_iovasim_value() {
    local kind=\${1%% *} words=\${1#* }
    case \$kind in
    words) _iovasim_words "\$words" "\$2" ;;
    list) _iovasim_list "\$words" "\$2" ;;
    keys) _iovasim_names '$keys' "\$2" ;;
    reports) _iovasim_names '$reports' "\$2" ;;
    none) COMPREPLY=() ;;
    *) _iovasim_files "\$2" ;;
    esac
}

_iovasim() {
    local word=\$2 before=\$3 at=\$COMP_CWORD place=\${COMP_WORDS[1]} options= value=
    if [[ \$at -eq 1 ]]; then
        _iovasim_words '$(names "${commands[@]}")--help --version' "\$word"
        return
    fi
    # Bash takes --option=value, NAME=FILE and gen:NAME apart.
    if [[ \$word == = ]]; then
        word=
    elif [[ \$before == = ]]; then
        before=\${COMP_WORDS[at - 2]}
    elif [[ \$word == : || \$before == : ]]; then
        [[ \$word == : ]] && word=
        _iovasim_words '${generators//gen:/}' "\$word"
        return
    fi
    [[ \$place == trace && \$at -gt 2 ]] && place="trace \${COMP_WORDS[2]}"
    case "\$place \$before" in
$(bash_values)
    esac
    if [[ -n \$value ]]; then
        _iovasim_value "\$value" "\$word"
        return
    fi
    case \$place in
$(while read -r place; do
        echo "    '$place') options='$(longs "$place")--help' ;;"
    done < <(places))
    esac
    if [[ \$place == trace && \$at -eq 2 ]]; then
        _iovasim_words '$(names "${trace_commands[@]}")' "\$word"
    elif [[ \$place == suite && \$at -eq 2 ]]; then
        _iovasim_words run "\$word"
    elif [[ \$word == -* ]]; then
        _iovasim_words "\$options" "\$word"
    elif [[ \$word == g* && "replay compare trace" == *"\${place%% *}"* ]] &&
        mapfile -t COMPREPLY < <(compgen -W '$generators' -- "\$word") &&
        [[ \${#COMPREPLY[@]} -gt 0 && ! -e \$word ]]; then
        mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "\$word")
    else
        _iovasim_files "\$word"
    fi
}
complete -F _iovasim iovasim
TXT
}

# For a single-quoted description in brackets of zsh, into quoted.
quote() {
    local text=${1//\'/\'\\\'\'}
    text=${text//\[/(}
    text=${text//\]/)}
    quoted=${text//:/\\:}
}

# The same, as zsh says it.
zsh_value() {
    value_of "$1" "$2" "$3"
    case $value in
    words\ *) value="(${value#* })" ;;
    list\ *) value="_values -s , $2 ${value#* }" ;;
    keys | reports) value=_iovasim_$value ;;
    file) value=_files ;;
    none) value=' ' ;;
    esac
}

zsh_arguments() {
    local place=$1 files=_files
    [[ $place == replay || $place == compare || $place == trace\ * ]] && files=_iovasim_traces
    printf '_arguments \\\n'
    while IFS=$'\t' read -r _ long arg text; do
        [[ -n $long ]] || continue
        quote "$text"
        if [[ $arg == - ]]; then
            printf "  '--%s[%s]' \\\\\n" "$long" "$quoted"
        else
            zsh_value "$place" "$long" "$arg"
            text=$quoted
            quote "$arg"
            printf "  '*--%s=[%s]:%s:%s' \\\\\n" "$long" "$text" "$quoted" "$value"
        fi
    done <<<"${options[$place]}"
    echo "  '*:file:$files' ;;"
}

zsh_described() {
    for line in "${@}"; do
        quote "${line#*$'\t'}"
        printf "  '%s:%s'\n" "${line%%$'\t'*}" "$quoted"
    done
}

write_zsh() {
    cat <<TXT
#compdef iovasim
_iovasim_keys() {
  local -a keys=($keys)
  if compset -P '*='; then _message value; else compadd -q -S = -a keys; fi
}
_iovasim_reports() {
  local -a reports=($reports)
  if compset -P '*='; then _files; else compadd -q -S = -a reports; fi
}
_iovasim_traces() {
  local -a generators=($generators)
  _files
  compadd -a generators
}
local -a commands verbs
commands=(
$(zsh_described "${commands[@]}")
)
verbs=(
$(zsh_described "${trace_commands[@]}")
)
if (( CURRENT == 2 )); then _describe command commands; return; fi
if [[ \$words[2] == trace ]] && (( CURRENT == 3 )); then _describe command verbs; return; fi
if [[ \$words[2] == suite ]] && (( CURRENT == 3 )); then compadd run; return; fi
local place=\$words[2]
[[ \$place == trace ]] && place="trace \$words[3]"
case \$place in
$(while read -r place; do
        [[ $place == trace ]] || printf "'%s') %s\n" "$place" "$(zsh_arguments "$place")"
    done < <(places))
esac
TXT
}

# Of one place: its condition, and its options.
fish_options() {
    local place=$1 on="__fish_seen_subcommand_from ${1% *}"
    [[ $place == trace\ * ]] && on="__fish_seen_subcommand_from trace; and __fish_seen_subcommand_from ${place#trace }"
    while IFS=$'\t' read -r short long arg text; do
        [[ -n $long ]] || continue
        printf "complete -c iovasim -n '%s' -l %s" "$on" "$long"
        [[ $short == - ]] || printf ' -s %s' "$short"
        value_of "$place" "$long" "$arg"
        [[ $arg == - ]] || case $value in
        words\ *) printf " -x -a '%s'" "${value#* }" ;;
        list\ *) printf " -x -a '(__fish_complete_list , \"printf %%s\\\\\\\\\\\\\\\\n %s\")'" "${value#* }" ;;
        keys) printf " -x -a '(printf %%s=\\\\\\\\n \$__iovasim_keys)'" ;;
        reports) printf " -r -a '(printf %%s=\\\\\\\\n %s)'" "$reports" ;;
        none) printf ' -x' ;;
        *) printf ' -r -F' ;;
        esac
        printf " -d '%s'\n" "${text//\'/\\\'}"
    done <<<"${options[$place]}"
}

write_fish() {
    echo '# fish completion for iovasim.'
    echo "set -g __iovasim_keys $keys"
    for line in "${commands[@]}"; do
        local name=${line%%$'\t'*} about=${line#*$'\t'}
        echo "complete -c iovasim -n __fish_use_subcommand -f -a $name -d '${about//\'/\\\'}'"
        [[ $name == trace ]] || fish_options "$name"
    done
    local verbs
    verbs=$(names "${trace_commands[@]}")
    for line in "${trace_commands[@]}"; do
        local name=${line%%$'\t'*} about=${line#*$'\t'}
        echo "complete -c iovasim -n '__fish_seen_subcommand_from trace; and not __fish_seen_subcommand_from $verbs' -f -a $name -d '${about//\'/\\\'}'"
        fish_options "trace $name"
    done
    echo "complete -c iovasim -n '__fish_seen_subcommand_from suite; and not __fish_seen_subcommand_from run' -f -a run"
    echo "complete -c iovasim -n '__fish_seen_subcommand_from replay compare trace' -a '$generators'"
}

read_all
write_page >"$page"
write_bash >"$bash"
write_zsh >"$zsh"
write_fish >"$fish"
gzip -9nfk "$page"
