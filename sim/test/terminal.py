#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""terminal.py IOVASIM SAMPLES - what a person at a terminal of 80 columns sees.

Runs the program on a pseudo-terminal: lines fit, colour is there only where it is welcome, the
line of progress wipes itself, Ctrl-C ends with 130 and leaves nothing half-written.
"""
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

IOVASIM, SAMPLES = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
LONG = ["gen:randread", "--set", "gen.requests=1000000000"]
SGR = re.compile(r"\x1b\[[0-9;]*m")
PATIENCE_S = 60
failures = []


def expect(what, true, seen=""):
    if not true:
        failures.append(what)
        print(f"FAILED: {what}\n{seen}", file=sys.stderr)


class Terminal:
    """A command on a terminal; what it wrote to either stream, in order."""

    def __init__(self, arguments, columns=80, **environment):
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS")}
            os.execve(IOVASIM, ["iovasim"] + arguments, env | {"TERM": "xterm"} | environment)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read(self, until=None):
        """To the end, or until the pattern is there; whether it came."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if until and re.search(until, self.text):
                return True
            if not select.select([self.fd], [], [], 0.2)[0]:
                continue
            try:
                part = os.read(self.fd, 65536)
            except OSError:  # The other side has closed it.
                part = b""
            if not part:
                return bool(until is None or re.search(until, self.text))
            self.text += part.decode()
        os.kill(self.pid, signal.SIGKILL)
        return False

    def press(self, key):
        os.write(self.fd, key)

    def status(self):
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return status

    def screen(self):
        """The lines as they stand at last: carriage returns and wiped ends carried out."""
        lines, at = [""], 0
        for piece in re.findall(r"\r|\n|\x1b\[K|[^\r\n\x1b]+|\x1b", SGR.sub("", self.text)):
            if piece == "\r":
                at = 0
            elif piece == "\n":
                lines.append("")
                at = 0
            elif piece == "\x1b[K":
                lines[-1] = lines[-1][:at]
            else:
                lines[-1] = lines[-1][:at] + piece + lines[-1][at + len(piece):]
                at += len(piece)
        return lines


def run(arguments, **how):
    t = Terminal(arguments, **how)
    ended = t.read()
    return t, t.status() if ended else None


def fits(arguments, columns=80, status=0, but=None):
    t, got = run(arguments, columns=columns)
    long = [l for l in t.screen() if len(l) > columns and not (but and re.search(but, l))]
    name = " ".join(a if len(a) < 40 else "..." for a in arguments)
    expect(f"{name}: exit {got}, not {status}", got == status, t.text[-2000:])
    expect(f"{name}: lines of more than {columns} columns", not long, "\n".join(long[:5]))
    return t


def widths(folder):
    mixed = f"{SAMPLES}/nvme-randrw-mixed.iovatrace"
    listing = ["params", "presets", "policies", "formats", "--help"]
    for command in listing:
        fits([command])
    names = re.findall(r"^  ([a-z-]+) +[A-Z]", "\n".join(fits(["--help"]).screen()), re.M)
    expect("the commands are found", len(names) > 15, str(names))
    for command in names:
        fits([command, "--help"])
    small = ["--limit", "100"]
    fits(["replay", mixed, *small, "--attacker", "--preset", "vtd-server,riscv-perf"])
    fits(["replay", f"{SAMPLES}/rdma-rping.verbs.txt.gz", *small])
    fits(["compare", mixed, *small, "--attacker"])
    fits(["trace", "info", mixed], but=f"^file |^sha256 ")
    bars = fits(["trace", "stats", mixed]).screen()
    expect("trace stats draws bars", any(re.search(r"% #{37}$", l) for l in bars))
    results(folder, mixed, small)
    database(folder)


def results(folder, mixed, small):
    """Two results whose configurations are alike, so that a gate compares them."""
    for name, more in (("a", []), ("b", ["--set", "cost.call_cycles=30"])):
        subprocess.run([IOVASIM, "replay", mixed, *small, *more, "--json",
                        f"{folder}/{name}.json"], check=True, stdout=subprocess.DEVNULL)
    a, b = (json.load(open(f"{folder}/{n}.json")) for n in "ab")
    fits(["diff", f"{folder}/a.json", f"{folder}/b.json"])
    json.dump(b | {"config": a["config"]}, open(f"{folder}/b.json", "w"))
    t = fits(["gate", f"{folder}/a.json", f"{folder}/b.json"], status=1)
    expect("gate names what is worse in red", "\x1b[31m+" in t.text, t.text[:500])
    expect("gate has no Markdown on a terminal", "| --- |" not in t.text)
    piped = subprocess.run([IOVASIM, "gate", f"{folder}/a.json", f"{folder}/b.json"],
                           stdout=subprocess.PIPE, text=True).stdout
    expect("gate has Markdown in a pipe", "| --- |" in piped and "\x1b" not in piped, piped)


def database(folder):
    spec = f"{folder}/s.yaml"
    open(spec, "w").write("name: s\nbase: { trace: gen:randread, limit: 50, api: sg }\naxes:\n"
                          "  policy: [strict, lazy]\n  walker.walkers: [1, 2, 3]\n"
                          "  walker.start_cycles: [1, 9]\n")
    fits(["sweep", spec, "--db", f"{folder}/s.db"])
    db = f"{folder}/s.db"
    fits(["query", db], but="sha256")
    fits(["query", db, "--pareto", "cpu_cycles_per_io,exposure_page_us_per_io,iops"])
    fits(["query", db, "--sensitivity", "iops"])
    t = fits(["query", db, "SELECT * FROM result LIMIT 2"], but="^(sha256|config|counters|trace) ")
    expect("a wide table becomes records", "-- row 2" in t.text, t.text[:500])
    t = fits(["query", db, "SELECT point, iops FROM result"])
    expect("a narrow one stays a table", "-- row" not in t.text, t.text[:500])


def colours():
    arguments = ["compare", f"{SAMPLES}/nvme-randrw-mixed.iovatrace", "--limit", "100",
                 "--policies", "strict,lazy", "--progress", "auto"]
    t, _ = run(arguments)
    expect("there is colour on a terminal", "\x1b[1m" in t.text, t.text)
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        t, _ = run(arguments, **environment)
        expect(f"no colour with {environment}", not SGR.search(t.text), repr(t.text))
    expect("no escape at all, no progress on a dumb terminal",
           "\x1b" not in t.text and "[1/" not in t.text, repr(t.text))
    piped = subprocess.run([IOVASIM, *arguments], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
    expect("no escape in a pipe", "\x1b" not in piped.stdout + piped.stderr)


def progress():
    """The line is there, in one piece, and gone when the table comes."""
    arguments = ["replay", "gen:randread", "--set", "gen.requests=25000", "--api", "iova"]
    for columns in (80, 30):
        t, status = run(arguments, columns=columns)
        lines = re.findall(r"\r\x1b\[K([^\r\n\x1b]+)", t.text)
        expect("replay under a terminal fails", status == 0, t.text)
        expect("progress has a rate", any("/s" in l for l in lines) or columns < 80, t.text)
        expect("progress has the time left", any(" s left" in l for l in lines)
               or columns < 80, t.text)
        expect("progress is too wide to be wiped",
               all(len(l) < columns for l in lines), "\n".join(lines))
        expect("progress is left on the screen",
               not any("/s" in l for l in t.screen() if l.startswith("[")), t.text)
        expect("the table begins its line", any(l.startswith("policy ") for l in t.screen()))


def stops(name, folder, arguments, keep=(), progress=r"/s"):
    """Ctrl-C once work is under way: 130, a line that says so, and no file but those of keep."""
    before = set(os.listdir(folder))
    t = Terminal(arguments)
    expect(f"{name}: no progress", t.read(progress), t.text[-500:])
    t.press(b"\x03")
    expect(f"{name}: goes on after Ctrl-C", t.read())
    status = t.status()
    expect(f"{name}: exit {status} after Ctrl-C", status == 130, t.text[-500:])
    last = ([l for l in t.screen() if l.strip()] or [""])[-1]
    expect(f"{name}: the last line is no word of it", "iovasim: interrupted" in last, last)
    left = {f for f in set(os.listdir(folder)) - before if f not in keep}
    expect(f"{name}: left {left}", not left)


def ctrl_c(folder):
    for name in ("old.json", "old.html"):
        open(f"{folder}/{name}", "w").write("as it was")
    for command in ("replay", "compare"):
        stops(command, folder, [command, *LONG, "--json", f"{folder}/old.json", "--html",
                                f"{folder}/new.html"])
    stops("replay's drawings", folder, ["replay", *LONG, "--policy", "strict", "--api", "sg",
                                        "--timeline", f"{folder}/t", "--vcd", f"{folder}/v"])
    stops("trace convert", folder, ["trace", "convert", *LONG, f"{folder}/c.iovatrace"])
    for verb in ("info", "stats", "validate"):
        t = Terminal(["trace", verb, *LONG])
        time.sleep(0.5)
        t.press(b"\x03")
        expect(f"trace {verb}: goes on after Ctrl-C", t.read())
        expect(f"trace {verb}: not 130 after Ctrl-C", t.status() == 130, t.text)
    expect("what was there is as it was", open(f"{folder}/old.json").read() == "as it was")
    jobs(folder)


def jobs(folder):
    spec, suite = f"{folder}/j.yaml", f"{folder}/suite.yaml"
    open(spec, "w").write("name: j\nbase: { trace: gen:randread, limit: 3000, api: sg }\naxes:\n"
                          "  policy: [lazy]\n  walker.walkers: { from: 1, to: 9999 }\n")
    stops("sweep", folder, ["sweep", spec, "--db", f"{folder}/j.db"],
          keep=("j.db", "j.db-wal", "j.db-shm"))
    t = fits(["query", f"{folder}/j.db", "SELECT count(*) AS n FROM run"])
    expect("an interrupted sweep keeps its runs", int(t.screen()[1]) > 0, t.text)
    open(suite, "w").write("cases:\n" + "".join(
        f"  - {{ name: c{i}, trace: gen:randread, limit: 3000 }}\n" for i in range(2000)))
    stops("suite", folder, ["suite", "run", suite, "--json", f"{folder}/suite.json"])


def main():
    folder = tempfile.mkdtemp(prefix="iovasim-terminal-")
    try:
        widths(folder)
        colours()
        progress()
        ctrl_c(folder)
    finally:
        shutil.rmtree(folder)
    return 1 if failures else 0


sys.exit(main())
