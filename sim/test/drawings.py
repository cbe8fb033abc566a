#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""drawings.py - reads what `iovasim replay --timeline --vcd` draws with others' readers.

    drawings.py IOVASIM FOLDER [ARGUMENT OF REPLAY...]

The trace is decoded by protoc's Python from the published field numbers (perfetto.proto)
and read as Perfetto reads it: slices nest by time, names are interned. Then it is held
against the result: every owner's cycles and every part of DMA time must be in it, and each
NVMe command and RDMA work request must be followed from its doorbell to its completion, its
steps summing to its latency, its data leaving one host's memory and reaching another's. The
VCD is read by vcd2fst and by the parser below.
"""
import collections
import json
import os
import subprocess
import sys

IOVASIM, FOLDER = sys.argv[1:3]
REPLAY = sys.argv[3:]
HERE = os.path.dirname(os.path.abspath(__file__))
os.makedirs(FOLDER, exist_ok=True)


def path(name):
    return os.path.join(FOLDER, name)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{command[0]}: {done.stderr}")
    return done.stdout


def need(condition, text):
    if not condition:
        sys.exit(f"drawings.py: {text}")


# ---- Slices as a reader of Perfetto traces makes them ------------------------------------


class Slice:
    def __init__(self, name, begin, flows, notes):
        self.name, self.begin, self.flows, self.notes = name, begin, flows, notes
        self.end = None
        self.children = []

    @property
    def ps(self):
        return self.notes["ps"]


class Trace:
    """Of each process: threads, other tracks, counters, all by name; instants."""

    def __init__(self, pb, data):
        trace = pb.Trace()
        trace.ParseFromString(data)
        need(len(trace.packet) > 0, "no packets")
        self.names, self.notes, self.track, self.top = {}, {}, {}, {}
        self.instants, self.counts = [], collections.defaultdict(list)
        need(trace.packet[0].sequence_flags == 1, "the first packet clears the state")
        events = []
        for packet in trace.packet:
            self.unknown(packet)
            need(packet.trusted_packet_sequence_id == 1, "a packet has no sequence")
            for n in packet.interned_data.event_names:
                self.names[n.iid] = n.name
            for n in packet.interned_data.debug_annotation_names:
                self.notes[n.iid] = n.name
            if packet.HasField("track_descriptor"):
                d = packet.track_descriptor
                need(d.uuid not in self.track, "a track is described twice")
                need(d.parent_uuid == 0 or d.parent_uuid in self.track, "an orphan track")
                self.track[d.uuid] = d
            if packet.HasField("track_event"):
                need(packet.HasField("timestamp"), "an event has no time")
                e = packet.track_event
                need(e.track_uuid in self.track, "an event's track is not described")
                need(packet.sequence_flags == 2, "an event needs interned names")
                events.append((packet.timestamp, e, self.event(e)))
        events.sort(key=lambda e: e[0])  # Stable, as a trace processor sorts.
        self.nest(events)

    @staticmethod
    def unknown(message):
        need(len(message.UnknownFields()) == 0, f"unknown fields in {message}")
        for field, value in message.ListFields():
            if field.message_type is not None:
                for m in value if field.label == field.LABEL_REPEATED else [value]:
                    Trace.unknown(m)

    def event(self, e):
        notes = {}
        for a in e.debug_annotations:
            text = a.HasField("string_value")
            notes[self.notes[a.name_iid]] = a.string_value if text else a.uint_value
        return (self.names.get(e.name_iid), list(e.flow_ids), notes)

    def nest(self, events):
        stack = collections.defaultdict(list)
        for time, e, (name, flows, notes) in events:
            if e.type == 1:
                s = Slice(name, time, flows, notes)
                open_ones = stack[e.track_uuid]
                if open_ones:
                    open_ones[-1].children.append(s)
                else:
                    self.top.setdefault(e.track_uuid, []).append(s)
                open_ones.append(s)
            elif e.type == 2:
                need(stack[e.track_uuid], "a slice ends that never began")
                stack[e.track_uuid].pop().end = time
            elif e.type == 3:
                self.instants.append((time, e.track_uuid, name, flows, notes))
            elif e.type == 4:
                self.counts[e.track_uuid].append((time, e.counter_value))
        need(not any(stack.values()), "a slice never ends")

    def processes(self):
        return [u for u, d in self.track.items() if d.HasField("process")]

    def slices(self, process, name):
        return [
            s
            for u, d in self.track.items()
            if d.parent_uuid == process and (d.name == name or d.name.endswith(": " + name))
            for s in self.top.get(u, [])
        ]


# ---- What must hold ----------------------------------------------------------------------


def steps_sum(s):
    """The children follow each other from the beginning to the end; so do theirs."""
    if not s.children:
        return
    need(sum(c.ps for c in s.children) == s.ps, f"the steps of {s.name} are not its time")
    at = s.begin
    for c in s.children:
        need(c.begin == at, f"{c.name} of {s.name} does not follow the step before it")
        at = c.end
        steps_sum(c)
    need(at == s.end, f"the steps of {s.name} end before it does")


DEVICES = ("nvme", "rdma", "exerciser")
MESSAGES = ("translation request", "invalidation done")  # Of a device with a TLB.
PARTS = ("link_up", "port", "translate", "order", "memory", "link_down")


def check_dmas(trace, processes, result):
    dmas = [d for p in processes for d in trace.slices(p, "DMA")]
    sums, inside = collections.Counter(), collections.Counter()
    for d in dmas:
        need(d.children, "a DMA has no steps")
        steps_sum(d)
        for c in d.children:
            need(c.name in PARTS, f"{c.name} is no part of a DMA")
            sums[c.name] += 0 if d.name in MESSAGES else c.ps
            for x in c.children:
                inside[x.name] += x.ps
    stats = result["device"]["dma"]
    moves = [d for d in dmas if d.name not in MESSAGES]
    need(len(moves) == stats["read"] + stats["write"], "not every DMA is there")
    for p in PARTS:  # The result has what ends in the replay, the trace what begins in it.
        most = max(c.ps for d in moves for c in d.children if c.name == p) if sums[p] else 0
        off = abs(sums[p] - stats[p + "_ps"])
        need(off <= 2 * most, f"{p}: {sums[p]} ps, not {stats[p + '_ps']}")
    need(abs(inside["edge"] - stats["edge_ps"]) <= 2000, "the way to the first edge")
    return dmas


STEPS = ["doorbell", "arbitrate", "fetch", "decode", "execute", "queue completion",
         "complete", "interrupt"]


def flows_of(dmas):
    of_flow = collections.defaultdict(list)
    for d in dmas:
        for f in d.flows:
            of_flow[f].append(d)
    return of_flow


def marks_of(trace):
    """Of each flow, what programs did to it: when, and in which process."""
    marks = collections.defaultdict(dict)
    for time, track, name, flows, _ in trace.instants:
        for f in flows:
            marks[f][name] = (time, trace.track[track].parent_uuid)
    return marks


def written_at(dma):
    return dma.end - [s for s in dma.children if s.name == "link_down"][0].ps / 1000


def follow(trace, process, commands, dmas, own_tlb):
    """From doorbell to completion along the flow, DMA by DMA."""
    of_flow, marks = flows_of(dmas), marks_of(trace)
    for c in commands:
        steps_sum(c)
        (flow,) = c.flows
        step = {s.name: s for s in c.children}
        need([n for n in STEPS if n in step] == [s.name for s in c.children], "order of steps")
        mine = of_flow[flow]
        kinds = collections.Counter(d.name for d in mine)
        need(kinds["fetch"] == 1 and kinds["completion"] == 1, f"flow of {c.name}: {kinds}")
        (fetch,) = [d for d in mine if d.name == "fetch"]
        (end,) = [d for d in mine if d.name == "completion"]
        need(marks[flow]["doorbell"] == (c.begin, process), "it begins with its doorbell")
        need(marks[flow]["completion found"] == (c.end, process), "... ends when found")
        for dma, of in ((fetch, step["fetch"]), (end, step["complete"])):
            # A device's TLB may hold it up before it is on the link.
            need(of.begin == dma.begin or own_tlb and of.begin < dma.begin < of.end, of.name)
        need(abs(step["complete"].end - written_at(end)) <= 1, "... up to memory")
        if c.name in ("read", "write"):
            data = [d for d in mine if d.name.startswith("data")]
            need(sum(d.notes["bytes"] for d in data) == c.notes["bytes"], "all its data")
            for d in data:
                need(step["decode"].begin <= d.begin, "not before it is known")
                need(own_tlb or d.begin <= step["execute"].end, "in its time")


REQUEST_STEPS = ["doorbell", "arbitrate", "fetch", "start", "send", "answer", "carry out",
                 "queue completion", "complete", "find"]
TO_PEER = ("send", "send with immediate", "send with invalidate", "write",
           "write with immediate")
LOCAL = ("register", "invalidate", "bind")


def bytes_of(dmas, name):
    return sum(d.notes["bytes"] for d in dmas if d.name == name)


def follow_data(r, step, own, peer, again):
    """Every byte leaves one memory and reaches the other, while the request is under way."""
    bytes_ = r.notes["bytes"]
    if r.name in TO_PEER:
        source, goal = bytes_of(own, "data read"), bytes_of(peer, "data write")
        need(source in (0, bytes_) or again, f"{r.name}: {source} bytes gathered")
    elif r.name == "read":
        source, goal = bytes_of(peer, "data read"), bytes_of(own, "data write")
        need(source == bytes_ or again, f"{r.name}: {source} bytes gathered")
    elif r.name in LOCAL:
        source = goal = bytes_
        need(not peer and "send" not in step, "it stays on the NIC")
    else:
        source, goal = bytes_of(peer, "atomic read"), bytes_of(own, "data write")
        need(source == bytes_ == 8 or again, f"{r.name}: {source} bytes read")
    need(goal == bytes_ or again, f"{r.name}: {goal} bytes placed, not {bytes_}")
    for d in own + peer:
        if d.name != "fetch" and d.name != "completion":
            need(r.begin <= d.begin <= r.end, f"{d.name} while the request is under way")


def follow_requests(trace, process, peers, own_tlb, again):
    """RDMA: from doorbell to completion along the flow, through both hosts."""
    requests = trace.slices(process, "RDMA work requests")
    own_flow = flows_of(trace.slices(process, "DMA"))
    peer_flow = flows_of([d for p in peers for d in trace.slices(p, "DMA")])
    marks, received = marks_of(trace), 0
    for r in requests:
        steps_sum(r)
        (flow,) = r.flows
        step = {s.name: s for s in r.children}
        need([n for n in REQUEST_STEPS if n in step] == [s.name for s in r.children], "order")
        need(r.notes["status"] == 0, f"{r.name} has failed")
        own, peer = own_flow[flow], peer_flow[flow]
        kinds = collections.Counter(d.name for d in own)
        need(kinds["fetch"] == 1, f"flow of {r.name}: {kinds}")
        (fetch,) = [d for d in own if d.name == "fetch"]
        near = own_tlb and step["fetch"].begin < fetch.begin < step["fetch"].end
        need(step["fetch"].begin == fetch.begin or near, "it is fetched")
        need(marks[flow]["doorbell"] == (r.begin, process), "it begins with its doorbell")
        if "complete" in step:
            ends = [d for d in own if d.name == "completion"]
            need(len(ends) == 1, f"{r.name} has one completion")
            near = own_tlb and step["complete"].begin < ends[0].begin < step["complete"].end
            need(step["complete"].begin == ends[0].begin or near, "its completion")
            need(abs(step["complete"].end - written_at(ends[0])) <= 1, "... up to memory")
            need(marks[flow]["completion found"] == (r.end, process), "... ends when found")
        else:
            need(kinds["completion"] == 0 and r.children[-1].name in ("answer", "carry out"),
                 "it asked for no completion")
        follow_data(r, step, own, peer, again)
        if r.name.startswith("send") or r.name == "write with immediate":
            (there,) = [d for d in peer if d.name == "completion"]
            time, where = marks[flow]["message found"]
            need(where in peers and time >= written_at(there) - 1, "the peer finds it")
            received += 1
    return len(requests), received


def check_cpus(trace, processes, result, period):
    cycles, cpus = collections.Counter(), 0
    for u, d in trace.track.items():
        if d.parent_uuid not in processes or not d.HasField("thread"):
            continue
        cpus += 1
        at = 0
        for s in trace.top[u]:
            need(s.begin == at, "a CPU's time has a gap")
            at = s.end
            for owner in s.children if s.name in ("map", "unmap", "deferred") else [s]:
                cycles[owner.name] += owner.ps
    need(cpus == result["cpus"], "every CPU is there")
    for owner, count in result["cpu_breakdown"].items():
        got = cycles[owner] / period
        need(abs(got - count) <= 2 * cpus, f"{owner}: {got} cycles, not {count}")


def check_counters(trace, process, limits):
    """Returns how many are ever more than zero."""
    seen = 0
    for u, d in trace.track.items():
        if d.parent_uuid != process or not d.HasField("counter"):
            continue
        values = [v for _, v in trace.counts[u]]
        need(values, f"{d.name} has no value")
        need(all(a != b for a, b in zip(values, values[1:])), f"{d.name} repeats itself")
        name = d.name.split(": ", 1)[-1] if d.name.startswith(DEVICES) else d.name
        need(0 <= min(values) and max(values) <= limits.get(name, 1 << 40), d.name)
        seen += max(values) > 0
    return seen


def check_timeline(pb):
    result = path("result.json")
    plain = path("plain.json")
    run(IOVASIM, "replay", *REPLAY, "--json", plain)
    run(IOVASIM, "replay", *REPLAY, "--json", result, "--timeline", path("all.pftrace"),
        "--timeline-window", "all")
    with open(result, "rb") as a, open(plain, "rb") as b:
        text = a.read()
        need(text == b.read(), "the timeline has changed the result")
    document = json.loads(text)
    with open(path("all.pftrace"), "rb") as f:
        trace = Trace(pb, f.read())
    processes = trace.processes()
    hosts = len(processes) // len(document["runs"])
    need(len(processes) == hosts * len(document["runs"]), "as many processes as hosts")
    totals = collections.Counter()
    for i, r in enumerate(document["runs"]):
        totals += check_run(trace, processes[i * hosts:][:hosts], r, document["config"])
    return f"{len(document['runs'])} runs, " + ", ".join(f"{n} {k}" for k, n in totals.items())


def names_of(r, hosts):
    name = f"{r['preset']}, {r['policy']}, {r['api']}"
    if hosts == 1:
        return [name]
    if "ends" in r:
        return [name + ", host", name + ", target"]
    return [f"{name}, host {h}" for h in range(hosts)]


def check_run(trace, processes, r, p):
    need([trace.track[u].name for u in processes] == names_of(r, len(processes)), "names")
    limits = {
        "IOTLB entries": p["iotlb"]["sets"] * p["iotlb"]["ways"],
        "IOMMU: translations under way": p["iommu"]["inflight"],
        "Walkers at work": p["walker"]["walkers"],
        "DMA reads under way": p["link"]["read_tags"],
        "RDMA packets being made": p["rdma"]["tx_slots"],
        "RDMA packets being received": p["rdma"]["rx_slots"],
        "Protection entries on the NIC": p["rdma"]["mpt_sets"] * p["rdma"]["mpt_ways"],
        "Lines of translation entries on the NIC": p["rdma"]["mtt_sets"] * p["rdma"]["mtt_ways"],
    }
    own_tlb = p["atc"]["enabled"] != 0
    dmas = check_dmas(trace, processes, r)
    totals = collections.Counter(DMAs=len(dmas))
    for u in processes:
        c = trace.slices(u, "NVMe commands")
        follow(trace, u, c, dmas, own_tlb)
        totals["commands"] += len(c)
    seen = [check_counters(trace, u, limits) for u in processes]
    need(max(seen) >= (3 if r["policy"] == "passthrough" else 6), "counters stay at zero")
    need(totals["commands"] == r["device"].get("nvme", {}).get("command", 0), "every command")
    if "rdma" in r["device"]:
        rdma = r["device"]["rdma"]
        for u in processes:
            peers = [x for x in processes if x != u] or [u]
            n, m = follow_requests(trace, u, peers, own_tlb, rdma["repeated"] > 0)
            totals["requests"] += n
            totals["messages found"] += m
        need(totals["requests"] == rdma["work"] > 0, "every work request")
        need(totals["messages found"] == rdma["received"], "every message received")
    check_cpus(trace, processes, r, p["cpu"]["period_ps"])
    return totals


def check_window(pb):
    """20 us from 5 us on: what begins in there, to its end; CPUs cut."""
    run(IOVASIM, "replay", *REPLAY, "--timeline", path("part.pftrace"),
        "--timeline-window", "5us+20us")
    with open(path("part.pftrace"), "rb") as f:
        part = Trace(pb, f.read())
    for process in part.processes():
        for s in (part.slices(process, "DMA") + part.slices(process, "NVMe commands")
                  + part.slices(process, "RDMA work requests")):
            need(5000 <= s.begin < 25000, "something begins outside of the window")
            steps_sum(s)
        for u, d in part.track.items():
            if d.parent_uuid == process and d.HasField("thread"):
                need(part.top[u][0].begin == 5000 and part.top[u][-1].end == 25000, "CPUs")
            for time, _ in part.counts[u]:
                need(5000 <= time < 25000, "a counter outside of the window")
    need(os.path.getsize(path("part.pftrace")) < os.path.getsize(path("all.pftrace")), "size")


# ---- The waveforms -----------------------------------------------------------------------


def read_vcd(file):
    """Times and values of each signal, by its whole name."""
    names, scope, values, now = {}, [], collections.defaultdict(list), 0
    for line in file:
        word = line.split()
        if not word:
            continue
        if word[0] == "$scope":
            scope.append(word[2])
        elif word[0] == "$upscope":
            scope.pop()
        elif word[0] == "$var":
            names[word[3]] = ".".join(scope + [word[4]])
        elif word[0][0] == "#":
            need(int(word[0][1:]) >= now, "time runs backwards")
            now = int(word[0][1:])
        elif word[0][0] == "b":
            values[names[word[1]]].append((now, int(word[0][1:], 2)))
        elif word[0][0] in "01" and word[0][1:] in names:
            values[names[word[0][1:]]].append((now, int(word[0][0])))
    return values


def check_vcd():
    one = ["--policy", "strict", "--api", "iova"]
    words = iter(REPLAY)
    for word in words:  # An option given twice is a leak of libpopt's.
        if word in ("--policy", "--api"):
            next(words)
        else:
            one.append(word)
    run(IOVASIM, "replay", *one, "--json", path("plain.json"))
    for name in ("a", "b"):
        run(IOVASIM, "replay", *one, "--vcd", path(name + ".vcd"),
            "--timeline-window", "all", "--json", path("waves.json"))
    with open(path("a.vcd"), encoding="ascii") as a, open(path("b.vcd"), encoding="ascii") as b:
        need(a.read() == b.read(), "the same run gives other waves")
    with open(path("plain.json"), "rb") as a, open(path("waves.json"), "rb") as b:
        text = a.read()
        need(text == b.read(), "the waves have changed the result")
    run("vcd2fst", path("a.vcd"), path("a.fst"))
    (result,) = json.loads(text)["runs"]
    with open(path("a.vcd"), encoding="ascii") as f:
        values = read_vcd(f)
    scopes = sorted({n.split(".iommu.")[0] for n in values})
    need(len(scopes) == 1 or scopes == [f"SystemC.host{h}" for h in range(len(scopes))], "scopes")
    for signal, stat in (("hits", "lookup_hit"), ("misses", "lookup_missed")):
        got, want = 0, result["iommu"]["iotlb"][stat]
        for scope in scopes:
            v = values[f"{scope}.iommu.iotlb.{signal}"]
            got += v[-1][1] - v[0][1]
        need(0 <= want - got <= len(scopes), f"{signal}: {got}, not {want}")
    walks = [len(values[f"{scope}.iommu.walker0.phase"]) for scope in scopes]
    need(max(walks) > 4, "a walker walks")
    need(max(v for s in scopes for _, v in values[f"{s}.iommu.inflight"]) > 1, "overlap")
    end = max(v[-1][0] for v in values.values())
    need(end / 1000 <= result["metrics"]["sim_time_ns"]["value"], "within the replay")
    return f"{len(values)} signals, {sum(map(len, values.values()))} changes"


run("protoc", f"--proto_path={HERE}", f"--python_out={FOLDER}", "perfetto.proto")
sys.path.insert(0, FOLDER)
import perfetto_pb2  # noqa: E402

print(check_timeline(perfetto_pb2))
check_window(perfetto_pb2)
print(check_vcd())
