#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""reports.py - reads every format that `iovasim export` writes with somebody else's reader.

    reports.py IOVASIM RESULT

Each value of each metric of each run must come back from each format that carries it,
exactly. The readers are Python's csv, json and ElementTree, xmllint, and Prometheus's own
parser of OpenMetrics.
"""
import csv
import io
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as xml

from prometheus_client.openmetrics.parser import text_string_to_metric_families

IOVASIM, RESULT = sys.argv[1:3]
with open(RESULT, encoding="utf-8") as f:
    document = json.load(f)


def stem(path):
    return os.path.basename(path).split(".")[0]


def runs_of(doc, name):
    traces = doc.get("traces", [doc["trace"]])
    name = name or "+".join(stem(t["path"]) for t in traces)
    for run in doc["runs"]:
        yield (name, run["preset"], run["policy"], run["api"]), run


if document["schema"] == "iovasim.suite/1":
    RUNS = dict(r for c in document["cases"] for r in runs_of(c["result"], c["name"]))
else:
    RUNS = dict(runs_of(document, None))

WANT = {(run, m): v["value"] for run, r in RUNS.items() for m, v in r["metrics"].items()}
assert len(WANT) > 20


def export(name, *more):
    return subprocess.run([IOVASIM, "export", RESULT, "--format", name, *more], check=True,
                          stdout=subprocess.PIPE).stdout.decode("utf-8")


def same(name, got, want=None):
    want = WANT if want is None else want
    missing, added = set(want) - set(got), set(got) - set(want)
    assert not missing and not added, f"{name}: missing {missing}, added {added}"
    for key, value in want.items():
        assert float(got[key]) == value, f"{name}: {key}: {got[key]} for {value}"
    print(f"{name}: {len(got)} values")


def split(text):
    *run, metric = text.rsplit("/", 4)
    return tuple(run), metric


def of_better(*better):
    return {(run, m): v["value"] for run, r in RUNS.items()
            for m, v in r["metrics"].items() if v["better"] in better}


rows = list(csv.DictReader(io.StringIO(export("csv"), newline="")))
KEYS = ("workload", "preset", "policy", "api")
same("csv", {(tuple(r[k] for k in KEYS), m): v for r in rows for m, v in r.items()
             if m not in KEYS + ("cpus", "seed")})

same("bencher", {(tuple(b.rsplit("/", 3)), m): v["value"]
                 for b, measures in json.loads(export("bencher")).items()
                 for m, v in measures.items()})
for b, measures in json.loads(export("bencher")).items():  # Bencher's own bounds.
    assert 0 < len(b) <= 1024 and all(0 < len(m) <= 64 for m in measures)

for name, better in (("github-smaller", "lower"), ("github-bigger", "higher")):
    array = json.loads(export(name))
    assert all(set(e) == {"name", "unit", "value"} for e in array)
    same(name, {split(e["name"]): e["value"] for e in array}, of_better(better))

google = json.loads(export("google-benchmark"))
same("google-benchmark", {(tuple(b["name"].rsplit("/", 3)), m): b[m]
                          for b in google["benchmarks"] for _, m in WANT if m in b})
for b in google["benchmarks"]:
    assert b["time_unit"] == "ns" and b["real_time"] > 0 and b["cpu_time"] > 0

history = list(csv.DictReader(io.StringIO(export("otava", "--commit", "a1b,2", "--time", "77"))))
assert len(history) == 1 and history[0].pop("time") == "77"
assert history[0].pop("commit") == "a1b,2"
same("otava", {split(k): v for k, v in history[0].items()})

families = list(text_string_to_metric_families(export("openmetrics")))
same("openmetrics", {(tuple(s.labels[k] for k in KEYS), s.name.removeprefix("iovasim_")):
                     s.value for f in families for s in f.samples})

text = export("junit")
subprocess.run(["xmllint", "--noout", "-"], input=text.encode(), check=True)
root = xml.fromstring(text)
cases = {(tuple(c.get("classname").rsplit("/", 3)), c.get("name")):
         c.find("system-out").text.split()[0] for c in root.iter("testcase")}
same("junit", cases)
assert int(root.get("tests")) == len(cases) and int(root.get("failures")) == 0
assert sum(int(s.get("tests")) for s in root.iter("testsuite")) == len(cases)

table = export("markdown")
for run, metric in WANT:
    assert f"| `{metric}` |" in table, metric
rows = [line for line in table.splitlines() if line.startswith("|")]
assert all(line.endswith("|") for line in rows)
print("markdown:", len(rows), "rows")

assert json.loads(export("json")) == document
