#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# slurm.sh IOVASIM [SETS] - a sweep on a real Slurm cluster of two nodes on this machine,
# of which one is killed while it runs a task: its database must be that of the local executor.
# SETS, up to 16 and a power of two, says how long it takes: it makes 8 points, 16, ... 40.
#
# Everything lives in a temporary folder: keys, sockets, spools. munged, slurmctld and both
# slurmd are started here and ended here, as whoever runs this.
set -euo pipefail
iovasim=$(realpath "$1") sets=${2:-16}
PATH=$PATH:/usr/sbin:/sbin
for program in munged slurmctld slurmd sbatch; do
    command -v "$program" >/dev/null && continue
    echo "slurm.sh: no $program: install slurm-wlm and munge" >&2
    exit 1
done
work=$(mktemp -d)
pids=() port=$((20000 + $$ % 4000 * 3))

# The processes that run for a node: slurmd gives its tasks the node's name.
of_node() {
    grep -lsz "^SLURMD_NODENAME=$1\$" /proc/[0-9]*/environ 2>/dev/null |
        while IFS=/ read -r _ _ pid _; do
            grep -qsz "^SLURM_CONF=$work/" "/proc/$pid/environ" && echo "$pid"
        done || true
}

finish() {
    local node
    for node in n1 n2; do
        for pid in $(of_node "$node"); do kill -9 "$pid" 2>/dev/null || true; done
    done
    for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

fail() {
    echo "slurm.sh: $*" >&2
    tail -n 15 "$work"/*.log >&2 || true
    exit 1
}

# until SECONDS COMMAND...: waits for it.
until_true() {
    local turns=$(($1 * 5))
    shift
    for ((; turns > 0; turns--)); do
        "$@" && return 0
        sleep 0.2
    done
    return 1
}

chmod 755 "$work"
mkdir -m 755 "$work"/{munge,state,n1,n2}
host=$(hostname)
head -c 1024 /dev/urandom >"$work/munge.key"
chmod 600 "$work/munge.key"
cat >"$work/slurm.conf" <<CONF
ClusterName=iovasim
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket
CredType=cred/munge
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/%n
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
SlurmdTimeout=5
KillWait=2
SchedulerParameters=sched_interval=1,batch_sched_delay=0
NodeName=n[1-2] NodeHostname=$host NodeAddr=127.0.0.1 Port=[$((port + 1))-$((port + 2))] CPUs=1 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$work/slurm.conf

munged --foreground --force --key-file="$work/munge.key" --socket="$work/munge/socket" \
    --pid-file="$work/munge/pid" --seed-file="$work/munge/seed" --log-file="$work/munge.log" \
    >>"$work/munged.log" 2>&1 &
pids+=($!)
until_true 10 test -S "$work/munge/socket" || fail "munged does not start"
slurmctld -D -f "$SLURM_CONF" >"$work/slurmctld.log" 2>&1 &
pids+=($!)
declare -A node
for name in n1 n2; do
    slurmd -D -N "$name" -f "$SLURM_CONF" >"$work/slurmd-$name.log" 2>&1 &
    node[$name]=$!
    pids+=($!)
done
both_idle() { [[ $(sinfo -h -N -o %T 2>/dev/null | sort | uniq -c | tr -d ' ') == 2idle ]]; }
until_true 30 both_idle || fail "the nodes are not up: $(sinfo -N 2>&1)"

cat >"$work/sweep.yaml" <<YAML
name: slurm
base: { trace: gen:mix, api: sg, limit: 4000 } # Long enough to be caught at.
axes:
  policy: [strict, lazy]
  iotlb.sets: { from: 1, to: $sets, scale: pow2 }
  walker.walkers: [1, 2, 5, 40]
YAML
"$iovasim" sweep "$work/sweep.yaml" --db "$work/local.db" >"$work/local.log" 2>&1 || fail local
mkdir "$work/slurm.db.slurm" # What a task left that was killed while it wrote.
echo '{"status": "do' >"$work/slurm.db.slurm/point-3.json.1"
(cd "$work" && exec "$iovasim" sweep sweep.yaml --db slurm.db --executor slurm) \
    >"$work/sweep.log" 2>&1 &
sweep=$!
pids+=("$sweep")

over() { ! kill -0 "$sweep" 2>/dev/null; }
rows() { "$iovasim" query "$work/$1" "$2" --csv 2>/dev/null; }
count() { rows slurm.db 'SELECT count(*) FROM run' | tail -n 1 | tr -d '\r'; }
some_there() { [[ -f $work/slurm.db && $(count) -ge 1 ]]; }

# Whether the second node is at a task, which it then gets no further with.
held() {
    for pid in $(of_node n2); do
        [[ $(cat "/proc/$pid/comm" 2>/dev/null) == iovasim ]] && kill -STOP "$pid" &&
            grep -qs '^State:[[:space:]]*T' "/proc/$pid/status" && return 0
    done
    return 1
}
until_true 90 some_there || fail "no result comes: $(squeue 2>&1)"
for ((turns = 3000; turns > 0; turns--)); do
    held && break
    over && fail "the sweep was over before the second node had a task"
    sleep 0.01
done
[[ $turns -gt 0 ]] || fail "the second node has no task: $(squeue 2>&1)"
kill -9 "${node[n2]}"
for pid in $(of_node n2); do kill -9 "$pid" 2>/dev/null || true; done
points=$(($(rows local.db 'SELECT count(*) FROM run' | tail -n 1 | tr -d '\r')))
at=$(count)
[[ $at -lt $points ]] || fail "the sweep was over before the node was killed"
# Left to itself, Slurm takes half a minute to believe it.
[[ $sets -ge 16 ]] || scontrol update NodeName=n2 State=DOWN Reason=killed
echo "killed node n2 in a task, with $at of $points points there"

until_true 200 over || fail "the sweep does not end: $(squeue 2>&1)"
wait "$sweep" || fail "the sweep failed: $(cat "$work/sweep.log")"
for table in run point sweep; do
    rows local.db "SELECT * FROM $table ORDER BY 1" >"$work/local.csv"
    rows slurm.db "SELECT * FROM $table ORDER BY 1" >"$work/slurm.csv"
    [[ -s $work/local.csv ]] || fail "no rows of $table"
    cmp "$work/local.csv" "$work/slurm.csv" || fail "table $table is not the same"
done
[[ $(count) == "$points" && ! -e $work/slurm.db.slurm ]] || fail "something is left over"
echo "the database is that of the local executor: $(count) points"
