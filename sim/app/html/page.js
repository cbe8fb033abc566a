/* The HTML report's own script: headings, tables and charts of what stands under #data.
   Everything that comes from there is put in as text (h below), never as markup. */
"use strict";
(() => {
const D = JSON.parse(document.getElementById("data").textContent);

/* ---- Elements and figures ---- */

const h = (tag, props, ...kids) => {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(props || {})) {
    if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else if (v !== undefined && v !== null && v !== false) e.setAttribute(k, v === true ? "" : v);
  }
  e.append(...kids.flat(9).filter(k => k !== null && k !== undefined));
  return e;
};
/* padded: as in a column, where digits stand below each other. */
const number = (v, padded) => {
  if (v === null || v === undefined || Number.isNaN(v)) return "";
  if (!Number.isFinite(v)) return "all";
  const a = Math.abs(v);
  const digits = a >= 1000 || Number.isInteger(v) ? 0 : a >= 100 ? 1 : a >= 1 ? 2 : 3;
  if (a !== 0 && a < 0.001) return v.toPrecision(2);
  return v.toLocaleString("en-US", { minimumFractionDigits: padded ? digits : 0, maximumFractionDigits: digits });
};
const fmt = v => number(v, false);
const short = v => Math.abs(v) >= 1e5 ? v.toLocaleString("en-US", { notation: "compact" }) : fmt(v);
const percent = v => (v > 0 ? "+" : v < 0 ? "\u2212" : "") +
  (Math.abs(v) >= 10 ? Math.abs(v).toFixed(0) : Math.abs(v).toFixed(1)) + "\u00a0%";
const ns = v => v >= 1e9 ? fmt(v / 1e9) + "\u00a0s" : v >= 1e6 ? fmt(v / 1e6) + "\u00a0ms"
  : v >= 1e3 ? fmt(v / 1e3) + "\u00a0\u00b5s" : fmt(v) + "\u00a0ns";
const unique = list => [...new Set(list)];
const sum = list => list.reduce((a, b) => a + b, 0);
const base = path => path.replace(/^.*\//, "");

const metricAt = Object.fromEntries(D.metrics.map((m, i) => [m[0], i]));
const metric = (run, name) => run.m[metricAt[name]];
const reach = run => run.all ? Infinity
  : metric(run, "exposure_page_us_per_io") + metric(run, "pool_page_us_per_io");

/* ---- What tells runs apart ---- */

const policies = unique(D.runs.map(r => r.policy)), apis = unique(D.runs.map(r => r.api));
const color = run => `var(--q${policies.indexOf(run.policy) % 10})`;
const DASH = ["none", "6 4", "2 3", "9 3 2 3"];
const dash = run => DASH[apis.indexOf(run.api) % DASH.length];
const SYMBOL = ["circle", "square", "triangle", "diamond"];
const symbol = run => SYMBOL[apis.indexOf(run.api) % SYMBOL.length];

/* Within a group, the parts of the name that are not the same everywhere. */
const nameRuns = runs => {
  const presets = unique(runs.map(r => r.preset)), files = unique(runs.map(r => r.f));
  const many = unique(runs.map(r => r.api)).length > 1;
  const stem = f => base(D.results[f][0]).replace(/\.(json|db)$/, "");
  for (const r of runs)
    r.name = (r.label ? r.label
      : (presets.length > 1 ? r.preset + " " : "") + r.policy + (many ? " " + r.api : ""))
      + (files.length > 1 ? ` (${stem(r.f)})` : "");
  /* Files of the same name, or the same run twice: by their order. */
  const seen = new Map();
  for (const r of runs) {
    const n = (seen.get(r.name) || 0) + 1;
    seen.set(r.name, n);
    if (n > 1) r.name += ` #${n}`;
  }
};

/* ---- Pieces of the page ---- */

let numbered = 0, printing = false;
const redraws = new Set();

/* Of the charts on paper, px: a page of A4 between its margins, and half of it. */
const PAPER = 680, HALF_PAPER = 325;

const table = (caption, head, rows, options = {}) => {
  const heads = head.map((c, i) => h("th", { scope: "col", class: i && !c.text ? "n" : null }, c.name,
    c.unit ? h("small", {}, c.unit) : null));
  const cell = (v, i, r) => i === 0 ? h("th", { scope: "row" }, v)
    : h("td", { class: (head[i].text ? "" : "n") + (head[i].best && head[i].best(r) ? " best" : "") },
      typeof v === "number" ? number(v, true) : v);
  const body = h("tbody", {}, rows.map(r => h("tr", {}, r.map((v, i) => cell(v, i, r)))));
  if (options.sort) heads.forEach((th, i) => {
    const button = h("button", { type: "button", onclick: () => {
      const down = th.getAttribute("aria-sort") === "ascending";
      heads.forEach(o => o.removeAttribute("aria-sort"));
      th.setAttribute("aria-sort", down ? "descending" : "ascending");
      const order = (a, b) => typeof a[i] === "number" && typeof b[i] === "number"
        ? a[i] - b[i] : String(a[i]).localeCompare(String(b[i]), "en");
      const sorted = [...rows].sort((a, b) => down ? order(b, a) : order(a, b));
      body.replaceChildren(...sorted.map(r => h("tr", {}, r.map((v, k) => cell(v, k, r)))));
    } });
    button.append(...th.childNodes);
    th.append(button);
  });
  return h("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": caption },
    h("table", {}, h("thead", {}, h("tr", {}, heads)), body));
};

/* Made when it is opened: there are many of them. */
const folded = (summary, make) => {
  const d = h("details", {}, h("summary", {}, summary));
  d.addEventListener("toggle", () => {
    if (d.open && d.childElementCount === 1) d.append(make());
  });
  return d;
};

/* A chart that is drawn to the width there is, with its figures as a table behind it. */
const figure = ({ title, text, legend, alt, draw, rows }) => {
  const id = `f${++numbered}`;
  const chart = h("div", { class: "chart", role: "img", "aria-label": `${title}. ${alt || text || ""}` });
  let drawn = 0;
  const redraw = force => {
    const width = !printing ? Math.floor(chart.clientWidth) : chart.closest(".pair") ? HALF_PAPER : PAPER;
    if (width > 0 && (force || width !== drawn)) {
      drawn = width;
      chart.replaceChildren(draw(width));
      /* The chart is one image, which has its name; its parts have none. */
      for (const e of chart.querySelectorAll("[aria-label]")) {
        e.dataset.mark = e.getAttribute("aria-label");
        e.removeAttribute("aria-label");
      }
    }
  };
  redraws.add(redraw);
  return h("figure", { role: "group", "aria-labelledby": id }, h("h3", { id }, title),
    text ? h("figcaption", {}, text) : null, legend || null, chart,
    rows ? folded("Figures as a table", rows) : null);
};

const swatch = (fill, kind) => {
  const e = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  e.setAttribute("width", kind ? 22 : 11); e.setAttribute("height", 11); e.setAttribute("aria-hidden", "true");
  const s = document.createElementNS("http://www.w3.org/2000/svg", kind ? "line" : "rect");
  for (const [k, v] of Object.entries(kind
    ? { x1: 0, x2: 22, y1: 6, y2: 6, stroke: fill, "stroke-width": 2.5, "stroke-dasharray": kind }
    : { width: 11, height: 11, rx: 2, fill })) s.setAttribute(k, v);
  e.append(s);
  return e;
};
const legendOf = items => h("ul", { class: "legend" }, items.map(([name, fill, kind]) =>
  h("li", {}, swatch(fill, kind), name)));
const runLegend = runs => legendOf(runs.map(r => [r.name, color(r), dash(r)]));

const style = { fontSize: "12px", background: "none" };
const draw = options => Plot.plot({ style, ...options });

/* ---- What was run ---- */

const quoted = s => /^[\w@%+=:,./-]+$/.test(s) ? s : `'${s.replaceAll("'", "'\\''")}'`;

const commands = runs => {
  const groups = new Map();
  for (const r of runs) {
    if (r.label) continue;
    const key = [r.f, r.g, r.c, r.cpus, r.seed, r.attacker].join();
    groups.set(key, [...(groups.get(key) || []), r]);
  }
  return [...groups.values()].map(list => {
    const r = list[0];
    const words = ["iovasim", "replay", ...r.t.map(t => t[0]), "--preset", r.preset,
      "--policy", unique(list.map(x => x.policy)).join(), "--api", unique(list.map(x => x.api)).join(),
      "--cpus", String(r.cpus / (r.hosts || 1)), "--seed", String(r.seed),
      "--limit", String(r.drives ? Math.max(...r.t.map(t => t[2])) : sum(r.t.map(t => t[2])))];
    if (r.attacker) words.push("--attacker");
    for (const s of D.configs[r.c].set) words.push("--set", s);
    return words.map(quoted).join(" ");
  });
};

const whatWasRun = runs => {
  const traces = new Map();
  for (const r of runs) for (const t of r.t || []) traces.set(t.join("\n"), t);
  const item = (k, v) => [h("dt", {}, k), h("dd", {}, v)];
  const list = v => unique(v).join(", ");
  const lines = commands(runs);
  const files = unique(runs.map(r => r.f));
  return h("section", { id: "run" }, h("h2", {}, "What was run"),
    h("dl", {}, item("Results", files.map(f => h("div", {}, h("code", {}, D.results[f][0]),
      ` by iovasim ${D.results[f][1]}, ${fmt(D.results[f][2])} runs`))),
    item("Presets", list(runs.map(r => r.preset))), item("Flush policies", list(runs.map(r => r.policy))),
    item("DMA APIs", list(runs.map(r => r.api))), item("Simulated CPUs", list(runs.map(r => r.cpus))),
    item("Seed", list(runs.map(r => r.seed)))),
    table("Traces", [{ name: "Trace" }, { name: "Format", text: true }, { name: "Records" },
      { name: "SHA-256", text: true }],
    [...traces.values()].map(t => [t[0], t[3], t[2], h("code", {}, t[1])])),
    lines.length ? [h("h3", {}, lines.length > 1 ? "Commands that give these figures again"
      : "The command that gives these figures again"), lines.slice(0, 24).map(l => h("pre", { tabindex: "0" }, l))] : null);
};

/* ---- The comparison ---- */

const cards = runs => {
  const least = (f, list = runs) => list.reduce((a, b) => f(b) < f(a) ? b : a);
  const cheap = least(r => metric(r, "cpu_cycles_per_io"));
  const translated = runs.filter(r => !r.all);
  const fast = least(r => -metric(r, "iops"));
  const closed = translated.filter(r => reach(r) === 0);
  const widest = translated.length ? least(r => -reach(r), translated) : null;
  const item = (k, v, unit, w) => h("li", {}, h("div", { class: "k" }, k),
    h("div", { class: "v" }, v, " ", h("small", {}, unit)), h("div", { class: "w" }, w));
  const safe = closed.length ? least(r => metric(r, "cpu_cycles_per_io"), closed) : null;
  return h("ul", { class: "cards" },
    item("Fewest CPU cycles", fmt(metric(cheap, "cpu_cycles_per_io")), "a request",
      cheap.name + (cheap.all ? ", which translates nothing" : "")),
    safe ? item("Fewest with nothing left open", fmt(metric(safe, "cpu_cycles_per_io")), "a request", safe.name) : null,
    item("Highest rate", fmt(metric(fast, "iops") / 1000), "thousand requests/s", fast.name),
    widest && reach(widest) > 0
      ? item(translated.length < runs.length ? "Most left open, where addresses are translated" : "Most left open", short(reach(widest)), "page\u00a0\u00b5s a request", widest.name)
      : translated.length ? item("Left open", "none", "", "No page stayed reachable") : null);
};

const COLUMNS = [
  ["kIOPS", "1000/s", r => metric(r, "iops") / 1000, "higher"],
  ["Data", "Gbit/s", r => metric(r, "throughput_gbps"), "higher"],
  ["CPU", "cycles", r => metric(r, "cpu_cycles_per_io"), "lower"],
  ["map", "cycles", r => metric(r, "map_cycles_per_io"), "lower"],
  ["unmap", "cycles", r => metric(r, "unmap_cycles_per_io") + metric(r, "deferred_cycles_per_io"), "lower"],
  ["Inval.", "commands", r => metric(r, "invalidations_per_io"), "lower"],
  ["Hits", "% of IOTLB", r => r.all ? null : 100 * metric(r, "iotlb_hit_rate"), "higher"],
  ["p50", "\u00b5s", r => metric(r, "io_latency_ns_p50") / 1000, "lower"],
  ["p99", "\u00b5s", r => metric(r, "io_latency_ns_p99") / 1000, "lower"],
  ["Reachable", "page \u00b5s", r => reach(r), "lower"],
];
const STALE = ["Stale hits", "accesses", r => r.all ? null : metric(r, "stale_hits"), "lower"];

/* With a hostile device: as `wrong` of `iovasim compare`. */
const WRONG = ["Wrong", "accesses", r => ["stale_hits", "attack_passed_pool", "attack_passed_other",
  "attack_passed_untranslated"].reduce((all, name) => all + (metric(r, name) || 0), 0), "lower"];

const comparison = runs => {
  const attacked = runs.some(r => metric(r, "attack_accesses") > 0);
  const columns = [...COLUMNS, attacked ? WRONG : STALE];
  const bests = columns.map(([, , f, better]) => {
    const values = runs.map(f).filter(v => v !== null && Number.isFinite(v));
    return better === "higher" ? Math.max(...values) : Math.min(...values);
  });
  const head = [{ name: "Run" }, ...columns.map(([name, unit], i) => ({ name, unit,
    best: row => runs.length > 1 && row[i + 1] === bests[i] && runs.some(r => columns[i][2](r) !== bests[i]) }))];
  return h("section", { id: "comparison" }, h("h2", {}, "Comparison"),
    h("p", { class: "soft" }, "For each request; the best of each column is marked; a heading sorts. p50, p99: latency. Unmap includes the flush timers "
      + "that unmaps caused. Reachable: page-microseconds of memory given back, and of pools, that the device "
      + "could still reach."
      + (attacked ? " Wrong: accesses that went through without a right to: through stale translations, and a hostile device\u2019s "
        + "to pools, to other bytes of a page, or past the IOMMU." : "")),
    table("Comparison of the runs", head, runs.map(r => [r.name, ...columns.map(c => c[2](r))]), { sort: true }),
    folded("Every metric", () => table("Every metric",
      [{ name: "Metric" }, { name: "Unit", text: true }, ...runs.slice(0, 60).map(r => ({ name: r.name })),
        { name: "Meaning", text: true }],
      D.metrics.map((m, i) => [h("code", {}, m[0]), m[1], ...runs.slice(0, 60).map(r => r.m[i]), m[2]]))));
};

/* ---- Cost against exposure ---- */

const powers = (most, from = -1) => {
  const all = [];
  for (let p = from; 10 ** p <= most * 1.0001; p++) all.push(10 ** p);
  return all;
};

/* Labels beside their dots where there is room; a label that would hide another is left out. */
const placeLabels = (plot, dots, labelled, width) => {
  const x = plot.scale("x"), y = plot.scale("y"), taken = [], placed = [];
  for (const d of dots) taken.push([x.apply(d.x) - 6, y.apply(d.y) - 6, x.apply(d.x) + 6, y.apply(d.y) + 6]);
  for (const d of labelled) {
    const w = d.run.name.length * 6.6 + 4, px = x.apply(d.x), py = y.apply(d.y);
    for (const [dx, dy, anchor] of [[10, 0, "start"], [-10, 0, "end"], [0, -14, "middle"], [0, 15, "middle"],
      [10, -12, "start"], [10, 12, "start"], [-10, -12, "end"], [-10, 12, "end"]]) {
      const left = px + dx - (anchor === "end" ? w : anchor === "middle" ? w / 2 : 0);
      const box = [left, py + dy - 7, left + w, py + dy + 7];
      if (box[0] < 44 || box[2] > width || box[1] < 0
        || taken.some(t => t[0] < box[2] && t[2] > box[0] && t[1] < box[3] && t[3] > box[1])) continue;
      taken.push(box);
      placed.push({ ...d, dx, dy, anchor });
      break;
    }
  }
  return placed;
};

const pareto = runs => {
  const finite = [...runs.map(reach), ...D.points.map(p => p[1] === null ? Infinity : p[1])].filter(Number.isFinite);
  const most = Math.max(1, ...finite), everything = most * 6;
  const at = v => Number.isFinite(v) ? v : everything;
  const dots = runs.map(run => ({ run, x: at(reach(run)), y: metric(run, "cpu_cycles_per_io") }));
  const others = D.points.map(p => ({ x: at(p[1] === null ? Infinity : p[1]), y: p[0] }));
  const front = dots.filter(d => !dots.some(o => o.x <= d.x && o.y <= d.y && (o.x < d.x || o.y < d.y)))
    .sort((a, b) => a.x - b.x || b.y - a.y);
  const any = runs.some(r => r.all) || D.points.some(p => p[1] === null);
  const least = Math.max(0.1, Math.min(most, ...finite.filter(v => v > 0)));
  /* A single power of ten is no scale: then halves and fifths of the next, too. */
  const tens = powers(most, Math.ceil(Math.log10(least) - 1e-9));
  const decades = tens.length > 1 ? tens
    : powers(10 * most).flatMap(d => [d / 5, d / 2, d]).filter(d => d >= most / 5 && d <= most * 1.0001);
  const options = (width, labels) => {
    const step = Math.ceil(decades.length / Math.max(1, Math.floor((width - 200) / 65)));
    /* Symlog: about a decade more than there are between least and everything. */
    const decade = (width - 106) / (Math.log10(everything / least) + 1);
    const shown = [0, ...decades.filter((d, i) => (decades.length - 1 - i) % step === 0
      && (!any || Math.log10(everything / d) * decade > 60))];
    return {
      width, height: Math.min(420, Math.max(300, width * 0.5)), marginLeft: 54, marginBottom: 42, marginTop: 24, marginRight: 38,
      x: { type: "symlog", constant: least, domain: [0, any ? everything : most * 1.1],
        ticks: any ? [...shown, everything] : shown, label: "reachable for the device, page \u00b5s a request",
        labelAnchor: "center", labelArrow: "none",
        tickFormat: v => v === everything ? "all memory" : short(v), grid: true, insetLeft: 14 },
      y: { label: "CPU cycles a request", labelArrow: "none", grid: true, zero: false, nice: true, tickFormat: fmt, ticks: 6 },
      marks: [
        Plot.line(front, { x: "x", y: "y", stroke: "currentColor", strokeOpacity: 0.35, strokeWidth: 1.5, strokeDasharray: "4 3", curve: "step-after" }),
        Plot.dot(others, { x: "x", y: "y", r: 2.5, fill: "currentColor", fillOpacity: 0.25 }),
        Plot.dot([...dots].sort((a, b) => front.includes(a) - front.includes(b)), { x: "x", y: "y", fill: d => color(d.run), fillOpacity: 0.85, symbol: d => symbol(d.run), r: 6, stroke: "var(--bg)",
          title: d => `${d.run.name}\n${fmt(d.y)} cycles a request\n${d.run.all ? "reaches all of memory" : fmt(reach(d.run)) + " page \u00b5s reachable"}`, tip: true }),
        ...labels.map(l => Plot.text([l], { x: "x", y: "y", text: d => d.run.name, dx: l.dx, dy: l.dy, textAnchor: l.anchor,
          fill: "currentColor", stroke: "var(--bg)", strokeWidth: 4, fontSize: 12 })),
      ],
      symbol: { type: "identity" },
    };
  };
  return h("section", { id: "pareto" }, h("h2", {}, "Cost against exposure"),
    figure({ title: "What each run costs, and what it leaves within a device\u2019s reach",
      text: "Down and to the left is better. The dashed line joins the runs that no other beats in both.",
      alt: `Best trade-offs: ${front.slice(0, 12).map(d => d.run.name).join("; ")}.`,
      draw: width => {
        const plain = draw(options(width, []));
        /* Of many runs those on the line, one where several are equal. */
        const labelled = runs.length <= 40 ? [...front, ...dots.filter(d => !front.includes(d))]
          : front.filter((d, i) => i === 0 || d.x !== front[i - 1].x || d.y !== front[i - 1].y);
        return draw(options(width, placeLabels(plain, dots, labelled, width)));
      },
      rows: () => table("Cost against exposure", [{ name: "Run" }, { name: "CPU", unit: "cycles a request" },
        { name: "Reachable", unit: "page \u00b5s a request" }, { name: "Held", unit: "page \u00b5s" }, { name: "Reusable", unit: "page \u00b5s" },
        { name: "Pools", unit: "page \u00b5s" }, { name: "Longest", unit: "\u00b5s" }, { name: "Promise", text: true }, { name: "Best trade-off", text: true }],
      dots.map(d => [d.run.name, d.y, reach(d.run), metric(d.run, "exposure_held_page_us_per_io"),
        metric(d.run, "exposure_reuse_page_us_per_io"), metric(d.run, "pool_page_us_per_io"),
        metric(d.run, "exposure_us_max"), d.run.promise, front.includes(d) ? "yes" : "no"])) }));
};

/* ---- Stacked bars ---- */

const HUE = {
  driver: "#7c8a9c", dma_api: "#4f6f9f", io_poll: "#d6b6e8", irq: "#a9b4c2", setup: "#8d8d8d",
  iova_alloc: "#2e8540", iova_free: "#74b783", pt_map: "#0a7f8f", pt_unmap: "#56b6c2", map_sync: "#8a4fc7",
  inval_submit: "#f0a13a", inval_lock: "#a33b20", inval_slot: "#7a1f3d", inval_wait: "#d9480f",
  flush_queue: "#c9a70c", bounce_copy: "#8b5e34", lock_wait: "#c2255c",
  link_up: "#a9b4c2", port: "#5d6b7c", edge: "#e3cf8f", queue: "#e0a800", pipeline: "#c9c14a", context: "#8b5e34",
  join: "#f08c3a", walker: "#c2255c", walk0: "#d9480f", walk1: "#b83a12", walk2: "#96300f", walk3: "#74260c", walk4: "#531b08",
  guest: "#8a4fc7", order: "#2e8540", memory: "#2f6fd0", link_down: "#7c8a9c",
};

const stacked = ({ title, text, runs, names, values, unit, focus }) => {
  const used = names.map((n, i) => i).filter(i => runs.some(r => values(r)[i] > 0));
  const total = r => sum(values(r));
  const data = runs.flatMap(r => used.filter(i => values(r)[i] > 0).map(i => ({ run: r.name, part: names[i][0], v: values(r)[i],
    title: `${r.name}\n${names[i][0]}: ${fmt(values(r)[i])} ${unit} (${fmt(100 * values(r)[i] / total(r))} %)\n${names[i][1]}` })));
  const order = used.map(i => names[i][0]);
  const longest = Math.max(...runs.map(r => r.name.length)) * 6.8 + 14;
  return figure({ title, text, legend: legendOf(used.map(i => [names[i][0], HUE[names[i][0]] || "#888"])),
    alt: runs.slice(0, 12).map(r => `${r.name}: ${fmt(total(r))} ${unit}`).join("; "),
    draw: width => {
      const above = longest > width * 0.3; /* No room beside the bars: names go above them. */
      return draw({ width, height: runs.length * (above ? 40 : 27) + 46, marginLeft: above ? 4 : longest, marginRight: 58, marginBottom: 36,
        x: { label: unit, labelAnchor: "center", labelArrow: "none", grid: true, ticks: width < 520 ? 4 : 7, tickFormat: fmt },
        y: { label: null, domain: runs.map(r => r.name), padding: above ? 0.55 : 0.25, axis: above ? null : "left", tickSize: 0 },
        color: { domain: order, range: order.map(n => HUE[n] || "#888") },
        marks: [
          Plot.barX(data, Plot.stackX({ x: "v", y: "run", fill: "part", order, title: "title", tip: true,
            stroke: "var(--bg)", strokeWidth: 0.5 })),
          Plot.text(runs, { x: total, y: "name", text: r => fmt(total(r)), textAnchor: "start", dx: 5, fill: "currentColor" }),
          ...(above ? [Plot.text(runs, { x: 0, y: "name", text: "name", textAnchor: "start", dy: -17, fill: "currentColor" })] : []),
          Plot.ruleX([0], { stroke: "currentColor" }),
        ] });
    },
    rows: () => table(title, [{ name: "Run" }, ...used.map(i => ({ name: names[i][0] })), { name: "total" }, ...(focus ? focus.head : [])],
      runs.map(r => [r.name, ...used.map(i => values(r)[i]), total(r), ...(focus ? focus.cells(r) : [])])) });
};

const cpu = runs => h("section", { id: "cpu" }, h("h2", {}, "CPU cycles"),
  stacked({ title: "CPU cycles a request, by owner", unit: "cycles", runs, names: D.owners, values: r => r.o,
    text: "Every cycle that was not idle has one owner." }),
  folded("What the owners are", () => table("Owners of CPU cycles", [{ name: "Owner" }, { name: "Meaning", text: true }],
    D.owners.map(o => [o[0], o[1]]))));

const device = runs => {
  const inside = D.parts.map((p, i) => p[2] ? i : -1).filter(i => i >= 0);
  const names = inside.map(i => D.parts[i]), translated = runs.filter(r => sum(inside.map(i => r.d[i])) > 0);
  const outcomes = ["hit", "walked", "joined", "bypassed", "faulted"];
  return h("section", { id: "device" }, h("h2", {}, "The device\u2019s time"),
    stacked({ title: "Time of a DMA, by cause", unit: "ns", runs, names: D.parts, values: r => r.d,
      text: "Where a transaction of the device was: on the link, in the IOMMU, in memory." }),
    translated.length ? stacked({ title: "Of that, stalls in the IOMMU", unit: "ns", runs: translated, names,
      values: r => inside.map(i => r.d[i]), text: "Waiting for a turn, for somebody else\u2019s walk (join), for a walker, and for entries of tables by level.",
      focus: { head: outcomes.map(name => ({ name, unit: "% of translations" })), cells: r => r.x } }) : null,
    folded("What the causes are", () => table("Causes", [{ name: "Cause" }, { name: "Meaning", text: true }],
      D.parts.map(p => [p[0], p[1]]))));
};

/* ---- Distributions and time, of runs that can be chosen ---- */

let chosen = new Set();

const chooser = (runs, redraw) => runs.length < 2 ? null
  : h("fieldset", {}, h("legend", {}, "Runs in the charts of latency and time"), runs.map(r => {
    const box = h("input", { type: "checkbox", onchange: () => {
      box.checked ? chosen.add(r) : chosen.delete(r);
      redraw();
    } });
    box.checked = chosen.has(r);
    return h("label", {}, box, " ", r.name);
  }));

const KINDS = [
  ["io_latency", "Latency of a request", "From its first submission to its last completion."],
  ["dma_read_latency", "Latency of a device\u2019s read", "From its submission to its data."],
  ["dma_write_latency", "Latency of a device\u2019s posted write", "From its submission to its credit."],
  ["exposure", "How long pages stayed reachable", "Of the pages that did: from the end of their unmap until nothing held a translation of them."],
  ["attack", "How late a hostile device got through", "From the unmap to each of its accesses to pages given back."],
];

const SHARES = ["p50", "p90", "p99", "p99.9", "largest"];

const distribution = ([key, title, text], runs) => {
  const have = runs.filter(r => r.h && r.h[key]);
  if (!have.length) return null;
  const low = Math.max(0.5, Math.min(...have.map(r => Math.max(r.h[key].b[0][0], 0.5)))) * 0.95;
  const high = Math.max(low * 1.5, ...have.map(r => r.h[key].b[r.h[key].b.length - 1][0])) * 1.05;
  const x = { type: "log", domain: [low, high], label: null, tickFormat: ns, grid: true };
  const ticks = width => { /* Whole decades, and between them when there are few. */
    const all = [];
    for (let p = Math.floor(Math.log10(low)); p <= Math.log10(high); p++)
      for (const m of high / low > 300 ? [1] : high / low > 15 ? [1, 3] : [1, 2, 3, 4, 5, 6, 8])
        if (m * 10 ** p >= low && m * 10 ** p <= high) all.push(m * 10 ** p);
    const step = Math.ceil(all.length / Math.max(2, width / 75));
    return all.filter((_, i) => i % step === 0);
  };
  const BINS = 72, edge = i => low * (high / low) ** (i / BINS);
  const binned = r => {
    const bins = Array(BINS).fill(0);
    for (const [last, n] of r.h[key].b)
      bins[Math.min(BINS - 1, Math.max(0, Math.floor(BINS * Math.log(Math.max(last, low) / low) / Math.log(high / low))))] += n;
    return bins;
  };
  const rows = () => table(title, [{ name: "Run" }, { name: "Count" }, { name: "Mean" }, ...SHARES.map(name => ({ name }))],
    have.map(r => [r.name, r.h[key].n, ns(r.h[key].mean), ...r.h[key].p.map(ns)]));
  const alt = have.map(r => `${r.name}: median ${ns(r.h[key].p[0])}, 99 % within ${ns(r.h[key].p[2])}`).join("; ");
  const histogram = figure({ title, text: `${text} Tick marks: median, 99th percentile.`, alt, rows, draw: width => {
    const data = have.flatMap(r => {
      const bins = binned(r), top = Math.max(...bins);
      return bins.flatMap((n, i) => [{ run: r.name, x: edge(i), y: n / top, c: color(r) }, { run: r.name, x: edge(i + 1), y: n / top, c: color(r) }]);
    });
    return draw({ width, height: have.length * 50 + 34, marginLeft: 4, marginRight: 16, marginBottom: 30, marginTop: 4,
      x: { ...x, ticks: ticks(width) }, y: { axis: null, domain: [0, 1.55] }, fy: { axis: null, domain: have.map(r => r.name), padding: 0.06 },
      marks: [
        Plot.areaY(data, { x: "x", y1: 0, y2: "y", fy: "run", fill: "c", fillOpacity: 0.55, z: "run" }),
        Plot.ruleY(have, { y: 0, fy: "name", stroke: "currentColor", strokeOpacity: 0.4 }),
        Plot.ruleX(have.flatMap(r => [{ r, v: r.h[key].p[0] }, { r, v: r.h[key].p[2] }]),
          { x: "v", fy: d => d.r.name, y1: 0, y2: 0.5, stroke: "currentColor", strokeWidth: 1.5 }),
        Plot.text(have, { fy: "name", x: low, y: 1.4, text: "name", textAnchor: "start", dx: 3, fill: "currentColor", stroke: "var(--bg)", strokeWidth: 4 }),
      ] });
  } });
  const cdf = figure({ title: `${title}: cumulative`, text: "Share of them that took no longer.", legend: runLegend(have), alt, draw: width => {
    const data = have.flatMap(r => {
      let seen = 0;
      return [{ r, x: low, y: 0 }, ...r.h[key].b.map(([last, n]) => ({ r, x: Math.max(last, low), y: 100 * (seen += n) / r.h[key].n }))];
    });
    return draw({ width, height: 300, marginLeft: 44, marginRight: 16, marginBottom: 30, x: { ...x, ticks: ticks(width) },
      y: { label: "%", labelArrow: "none", domain: [0, 100], grid: true, ticks: 5 },
      marks: have.map(r => Plot.line(data.filter(d => d.r === r), { x: "x", y: "y", stroke: color(r), strokeWidth: 2,
        strokeDasharray: dash(r), curve: "step-after", title: d => `${r.name}\n${fmt(d.y)} % within ${ns(d.x)}`, tip: true })) });
  }, rows });
  return h("div", { class: "pair" }, histogram, cdf);
};

const period = r => {
  const c = D.configs[r.c], first = D.configs[0].all;
  return c.other["iommu.period_ps"] || (first && first.iommu && first.iommu.period_ps) || 1;
};
const ratio = (a, b) => b > 0 ? a / b : null;
const at = (s, name, i) => s[name] ? s[name][i] : 0;
const SERIES = [
  ["IOTLB hits", "%", (s, i) => ratio(100 * at(s, "iotlb_lookup_hit", i), at(s, "iotlb_lookup", i)), "Of the look-ups in each window of time; one that joins a walk under way is no hit.", [0, 100]],
  ["Walks that a walk cache shortened", "%", (s, i) => ratio(100 * (at(s, "walkcache_lookup", i) - at(s, "walkcache_lookup_missed", i)), at(s, "walkcache_lookup", i)), "Of the walks begun; the others read every level from the root.", [0, 100]],
  ["Reads for each walk", "reads", (s, i) => ratio(at(s, "walk_read", i), at(s, "walk", i)), "Page-table entries read."],
  ["Translation stall of a DMA", "ns", (s, i) => ratio(at(s, "translate_ps", i) / 1000, at(s, "translation", i)), "Mean over the translations of each window."],
  ["Invalidation queue", "commands, mean", (s, i, dt, r) => at(s, "queued_cycles", i) * period(r) / dt, "Commands that software had queued and the IOMMU had not carried out."],
  ["Invalidation queue at its longest", "commands", (s, i) => at(s, "queued_most", i), "The most commands at the same time in each window."],
  ["Pages exposed", "pages", (s, i) => at(s, "exposed_most", i), "The most given-back pages that were reachable at the same time."],
  ["Pages of pools", "pages", (s, i) => at(s, "pool_most", i), "Mapped by design: a device reaches them all the time."],
  ["Data moved by the device", "Gbit/s", (s, i, dt) => at(s, "dma_bytes", i) * 8000 / dt, "Data, commands and lists."],
];

const seriesOf = (r, value) => r.s.end_ps.map((end, i) => {
  const began = i ? r.s.end_ps[i - 1] : 0;
  return { r, began: began / 1000, x: (began + end) / 2000, end: end / 1000, y: value(r.s, i, end - began, r) };
});

const overTime = ([title, unit, value, text, domain], runs) => {
  const have = runs.filter(r => r.s).map(r => ({ r, data: seriesOf(r, value) }))
    .filter(d => d.data.some(p => p.y !== null && p.y !== 0) || (domain && d.data.some(p => p.y !== null)));
  if (!have.length) return null;
  const most = Math.max(...have.flatMap(d => d.data.map(p => p.end)));
  const [by, word] = most >= 2e6 ? [1e6, "ms"] : most >= 2e3 ? [1e3, "\u00b5s"] : [1, "ns"];
  return figure({ title, text, legend: runLegend(have.map(d => d.r)),
    alt: have.map(({ r, data }) => {
      const values = data.map(p => p.y).filter(v => v !== null);
      return `${r.name}: ${fmt(Math.min(...values))} to ${fmt(Math.max(...values))} ${unit}`;
    }).join("; "),
    draw: width => draw({ width, height: 240, marginLeft: 52, marginRight: 16, marginBottom: 36, marginTop: 22,
      x: { domain: [0, most / by], label: `time, ${word}`, labelAnchor: "center", labelArrow: "none", ticks: width < 420 ? 4 : 6 },
      y: { label: unit, labelArrow: "none", grid: true, zero: true, nice: true, ticks: 5, tickFormat: fmt, ...(domain ? { domain } : {}) },
      marks: have.map(({ r, data }) => Plot.line(data, { x: d => d.x / by, y: "y", stroke: color(r), strokeWidth: 1.8, strokeDasharray: dash(r),
        title: d => `${r.name}\n${fmt(d.began / by)} to ${fmt(d.end / by)} ${word}\n${fmt(d.y)} ${unit}`, tip: true })) }),
    rows: () => table(title, [{ name: `Window, ${word}` }, ...have.map(d => ({ name: d.r.name, unit }))],
      Array.from({ length: Math.max(...have.map(d => d.data.length)) }, (_, i) => {
        const first = have.map(d => d.data[i]).find(p => p);
        return [fmt(first.end / by), ...have.map(d => d.data[i] ? d.data[i].y : null)];
      })) });
};

const detailed = runs => {
  const have = runs.filter(r => r.s || (r.h && Object.keys(r.h).length));
  if (!have.length) return null;
  /* At first, one of each preset and policy, those that Linux has before all: the others can
   * be added. */
  const kinds = new Map(have.map(r => [`${r.preset} ${r.policy}`, r]).reverse());
  const known = ["strict", "lazy", "passthrough"];
  const first = kinds.size > 1 ? have.filter(r => kinds.get(`${r.preset} ${r.policy}`) === r) : have;
  chosen = new Set([...first.filter(r => known.includes(r.policy)), ...first.filter(r => !known.includes(r.policy))].slice(0, 6));
  const body = h("div", {});
  const fill = () => {
    const shown = have.filter(r => chosen.has(r));
    const latency = KINDS.map(k => distribution(k, shown)).filter(Boolean);
    const time = SERIES.map(s => overTime(s, shown)).filter(Boolean);
    body.replaceChildren(
      h("section", { id: "latency" }, h("h2", {}, "Latencies"), latency.length ? latency : h("p", {}, "None of these runs has any.")),
      h("section", { id: "time" }, h("h2", {}, "Over time"), time.length ? h("div", { class: "pair" }, time)
        : h("p", {}, "These runs have no time series; results of this version of iovasim do.")));
    requestAnimationFrame(() => redraws.forEach(f => f()));
  };
  fill();
  return h("div", {}, chooser(have, fill), body);
};

/* ---- The configuration ---- */

const configuration = runs => {
  const used = unique(runs.map(r => r.c)), first = D.configs[0].all;
  const value = (c, key) => {
    const [t, k] = key.split(".");
    return key in D.configs[c].other ? D.configs[c].other[key] : first[t] && first[t][k];
  };
  const text = v => v === undefined ? "" : String(v);
  const keys = unique([...Object.entries(first).flatMap(([t, o]) => t === "preset" ? [] : Object.keys(o).map(k => `${t}.${k}`)),
    ...used.flatMap(c => Object.keys(D.configs[c].other))]);
  const differing = keys.filter(k => unique(used.map(c => text(value(c, k)))).length > 1);
  const set = unique(used.flatMap(c => D.configs[c].set));
  const label = c => { const r = runs.find(x => x.c === c); return used.length === 1 ? "Value" : r.label || `${r.preset} (${r.name})`; };
  const shown = used.slice(0, 12);
  const columns = [{ name: "Parameter" }, ...shown.map(c => ({ name: label(c) }))];
  const rowsOf = list => list.map(k => [h("code", {}, k), ...shown.map(c => text(value(c, k)))]);
  const search = h("input", { type: "search" });
  const all = h("div", {});
  const fill = () => all.replaceChildren(table("Resolved configuration", columns, rowsOf(keys.filter(k => k.includes(search.value.trim())))));
  search.addEventListener("input", fill);
  return h("section", { id: "configuration" }, h("h2", {}, "Configuration"),
    set.length ? h("p", {}, "Changed from the presets: ", set.slice(0, 40).map((s, i) => [i ? ", " : "", h("code", {}, s)]), set.length > 40 ? ", ..." : ".")
      : h("p", {}, "Every parameter is as its preset says."),
    used.length > shown.length ? h("p", { class: "soft" }, `The first ${shown.length} of ${used.length} configurations.`) : null,
    differing.length ? [h("h3", {}, "What differs between the runs"), table("Parameters that differ", columns, rowsOf(differing))] : null,
    folded(`All ${keys.length} resolved parameters`, () => { fill(); return h("div", {}, h("p", {}, h("label", {}, "Parameters whose name contains ", search)), all); }));
};

/* ---- Against the baseline ---- */

const baseline = () => {
  const B = D.baseline;
  if (!B) return null;
  const changes = B.findings.map(f => ({ verdict: f[0], run: f[1], metric: f[2], unit: f[3], cause: f[4], before: f[5], after: f[6],
    change: f[5] === 0 ? null : 100 * (f[6] - f[5]) / Math.abs(f[5]) }));
  const worse = changes.filter(c => c.verdict.startsWith("worse")), better = changes.filter(c => c.verdict === "better");
  const drawn = changes.filter(c => c.change !== null && c.verdict !== "changed")
    .sort((a, b) => Math.abs(b.change) - Math.abs(a.change)).slice(0, 20);
  drawn.forEach((c, i) => { c.key = `${i + 1}. ${c.metric}, ${c.run}`; });
  const verdictOf = c => h("span", { class: c.verdict === "better" ? "good" : c.verdict.startsWith("worse") ? "bad" : "" }, c.verdict);
  return h("section", { id: "baseline" }, h("h2", {}, "Against the baseline"),
    h("p", {}, h("code", {}, B.name), ` by iovasim ${B.version}: `,
      B.pairs === 0 ? "it has no run in common with this result."
        : B.found === 0 ? `${fmt(B.metrics)} metrics of ${fmt(B.pairs)} runs, none changed by more than 0.1 %.`
        : [h("strong", { class: worse.length ? "bad" : "good" }, `${fmt(B.found)} of ${fmt(B.metrics)} metrics changed`),
          ` by more than 0.1 % in ${fmt(B.pairs)} runs${B.found > changes.length ? `; the ${changes.length} most important are below` : ""}.`]),
    B.comparable || B.pairs === 0 ? null : h("p", { class: "note" }, "The two were not told the same, so a change is not a regression by itself."),
    B.differences.length ? table("What was told differently", [{ name: "Parameter" }, { name: "Baseline" }, { name: "Now" }, { name: "Runs" }],
      B.differences.map(d => [h("code", {}, d[0]), d[1] === null ? "not known" : d[1], d[2] === null ? "not known" : d[2], d[3]])) : null,
    B.missing.length ? h("p", {}, `Only in the baseline: ${B.missing.slice(0, 12).join(", ")}${B.missing.length > 12 ? ", ..." : ""}.`) : null,
    drawn.length ? figure({ title: "The largest changes", text: "In percent of the baseline\u2019s value; the colour says whether that is better or worse.",
      legend: legendOf([["worse", "var(--bad)"], ["better", "var(--good)"]]),
      alt: drawn.map(c => `${c.key}: ${percent(c.change)}`).join("; "),
      draw: width => {
        const most = Math.max(...drawn.map(c => Math.abs(c.change)));
        const trim = s => { const room = Math.floor(width / 6.9) - 1; return s.length > room ? s.slice(0, room - 1) + "\u2026" : s; };
        return draw({ width, height: drawn.length * 38 + 40, marginLeft: 4, marginRight: 4, marginBottom: 34,
          x: { domain: [-1.25 * most, 1.25 * most], label: "%", labelAnchor: "center", labelArrow: "none", grid: true, ticks: width < 520 ? 4 : 8 },
          y: { axis: null, domain: drawn.map(c => c.key), padding: 0.55 },
          marks: [Plot.barX(drawn, { x: "change", y: "key", fill: c => c.verdict === "better" ? "var(--good)" : "var(--bad)",
            title: c => `${c.key}\n${fmt(c.before)} \u2192 ${fmt(c.after)} ${c.unit}\n${c.cause}`, tip: true }),
          ...[1, -1].map(sign => Plot.text(drawn.filter(c => Math.sign(c.change) === sign), { x: "change", y: "key", text: c => percent(c.change),
            textAnchor: sign > 0 ? "start" : "end", dx: 4 * sign, fill: "currentColor" })),
          Plot.text(drawn, { x: -1.25 * most, y: "key", text: c => trim(c.key), textAnchor: "start", dy: -16, fill: "currentColor" }),
          Plot.ruleX([0], { stroke: "currentColor" })] });
      } }) : null,
    changes.length ? table("What changed", [{ name: "Metric" }, { name: "Change" }, { name: "Before" }, { name: "After" }, { name: "Unit", text: true },
      { name: "Verdict", text: true }, { name: "Run", text: true }, { name: "What it is made of", text: true }],
    changes.map(c => [c.metric, c.change === null ? "from 0" : percent(c.change), c.before, c.after, c.unit, verdictOf(c), c.run, c.cause])) : null);
};

/* ---- The page ---- */

const SECTIONS = [["run", "Run"], ["baseline", "Baseline"], ["comparison", "Comparison"], ["pareto", "Cost and exposure"], ["cpu", "CPU"],
  ["device", "Device"], ["latency", "Latency"], ["time", "Time"], ["configuration", "Configuration"]];

const main = h("main", { id: "main" });
const links = h("div", {});
const show = g => {
  const runs = D.runs.filter(r => r.g === g);
  redraws.clear();
  nameRuns(runs);
  main.replaceChildren(...[cards(runs), ...D.notes.map(n => h("p", { class: "note" }, n)), baseline(), comparison(runs),
    pareto(runs), cpu(runs.slice(0, 60)), device(runs.slice(0, 60)), detailed(runs), whatWasRun(runs), configuration(runs)].filter(Boolean));
  links.replaceChildren(...SECTIONS.filter(([id]) => main.querySelector(`#${id}`))
    .sort(([a], [b]) => main.querySelector(`#${a}`).compareDocumentPosition(main.querySelector(`#${b}`)) & 4 ? -1 : 1)
    .map(([id, name]) => h("a", { href: `#${id}` }, name)));
  redraws.forEach(f => f());
};

const picker = D.groups.length < 2 ? null : h("p", { class: "choose" }, h("label", {}, "Workload: ",
  h("select", { onchange: e => show(Number(e.target.value)) }, D.groups.map((name, i) => h("option", { value: i }, name)))));
document.body.prepend(
  h("a", { class: "skip", href: "#main" }, "Skip to the figures"),
  h("header", {}, h("h1", {}, D.title.replace(/: iovasim report$/, "")),
    h("p", { class: "soft" }, `iovasim report of ${fmt(sum(D.results.map(r => r[2])))} runs, version ${D.version}. All figures are of simulated time.`), picker),
  h("nav", { "aria-label": "Sections" }, links), main,
  h("footer", {}, "Made by iovasim. The file holds all of its figures; nothing is loaded from elsewhere. Charts: Observable Plot and D3 (ISC licence)."));
show(0);

/* Before the page is laid out for paper, which has no event of its own. */
for (const [event, on] of [["beforeprint", true], ["afterprint", false]]) addEventListener(event, () => {
  printing = on;
  redraws.forEach(f => f());
});

let pending = 0;
new ResizeObserver(() => {
  cancelAnimationFrame(pending);
  pending = requestAnimationFrame(() => redraws.forEach(f => f()));
}).observe(document.body);
document.documentElement.dataset.ready = "yes";
})();
