// Opens the reports as people do: wide and narrow, light and dark, by keyboard, on paper.
import { execFileSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import { EVIL } from "./hostile.mjs";

const LIMIT = 2e6;
const MODES = [[1280, "light"], [390, "dark"]], MORE = [[1280, "dark"], [390, "light"]];
const ONE = [MODES[0]];
const ALL = ["comparison", "pareto", "cpu", "device", "latency", "time", "run", "configuration"];
const NO_DETAIL = ALL.filter(s => s !== "latency" && s !== "time");
const PAGES = {
    replay: { sections: ALL, charts: 15, runs: 9, more: true },
    compare: { sections: ALL, charts: 15, runs: 5 },
    suite: { sections: ALL, charts: 12, runs: 1, groups: 2 },
    sweep: { sections: NO_DETAIL, charts: 4, runs: 6 },
    baseline: { sections: ["baseline", ...ALL], charts: 16, runs: 9 },
    several: { sections: ALL, charts: 12, runs: 3 },
    drives: { sections: ALL, charts: 12, runs: 3 },
    rdma: { sections: ALL, charts: 12, runs: 3 },
    both: { sections: ALL, charts: 15, runs: 18 },
    hostile: { sections: ALL, charts: 4, runs: 9, evil: true },
    many: { sections: NO_DETAIL, charts: 3, runs: 1 },
};

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });

/* Opens a page and looks at it in each mode; wrong: what is not as it should be. */
const open = async (name, modes, want) => {
    const wrong = [], page = await browser.newPage();
    const url = pathToFileURL(`${name}.html`).href;
    page.on("console", m => wrong.push(`console: ${m.text()}`));
    page.on("pageerror", e => wrong.push(`error: ${e.stack}`));
    page.on("request", r => r.url() === url || wrong.push(`asks for ${r.url()}`));
    await page.addInitScript({ path: "node_modules/axe-core/axe.min.js" });
    for (const [i, [width, colorScheme]] of modes.entries()) {
        await page.setViewportSize({ width, height: 900 });
        await page.emulateMedia({ colorScheme });
        if (i === 0) await page.goto(url);
        await page.evaluate(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done)))));
        const found = await look(page, want);
        wrong.push(...found.map(w => `at ${width} ${colorScheme}: ${w}`));
    }
    return { page, wrong };
};

const look = async (page, want) => {
    const wrong = [];
    const seen = await page.evaluate(({ evil }) => {
        const all = q => [...document.querySelectorAll(q)];
        const shown = all(".chart").map(c => ({
            name: c.getAttribute("aria-label"), svg: c.querySelectorAll("svg").length,
            marks: c.querySelectorAll("svg path[d], svg rect, svg circle, svg line").length,
            bad: [...c.querySelectorAll("svg *")].some(e => [...e.attributes].some(a => /NaN|Infinity|undefined/.test(a.value))),
            wide: c.getBoundingClientRect().width, drawn: Math.max(...[...c.querySelectorAll("svg")].map(g => g.getBoundingClientRect().width)) }));
        return { ready: document.documentElement.dataset.ready, shown, sections: all("main section").map(s => s.id),
            links: all("nav a").map(a => a.getAttribute("href")).filter(t => !document.querySelector(t)),
            rows: document.querySelectorAll("#comparison tbody tr").length, groups: all("header option").length,
            over: document.documentElement.scrollWidth - innerWidth, pwned: window.pwned, images: all("img").length,
            scripts: all("script").length, evil: evil && document.body.innerText.includes(evil.replace("\u2028", "")) === false
                && document.body.innerText.includes("</script><script>window.pwned=1") === false };
    }, { evil: want.evil ? EVIL : null });
    const expect = (what, fine) => fine || wrong.push(`${what}: ${JSON.stringify(seen).slice(0, 900)}`);
    expect("ready", seen.ready === "yes");
    for (const s of want.sections || []) expect(`section ${s}`, seen.sections.includes(s));
    expect("charts", seen.shown.length >= (want.charts || 0));
    for (const c of seen.shown)
        if (c.svg < 1 || c.marks < 3 || c.bad || c.wide < 200 || c.drawn > c.wide + 1 || c.drawn < c.wide * 0.9 || !c.name) wrong.push(`chart: ${JSON.stringify(c)}`);
    expect("links", seen.links.length === 0);
    expect("rows", seen.rows >= (want.runs || 0));
    expect("groups", !want.groups || seen.groups === want.groups);
    expect("wider than the window", seen.over <= 0);
    expect("scripts of others", seen.pwned === undefined && seen.images === 0 && seen.scripts === 3);
    expect("hostile names are shown", !seen.evil);
    const axe = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
    for (const v of axe.violations)
        if (v.impact === "serious" || v.impact === "critical")
            wrong.push(`axe: ${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map(n => n.html.slice(0, 160)).join(" | ")}`);
    return wrong;
};

/* The command that a page names gives its figures again. */
const REPEATED = { replay: "result", several: "several", drives: "drives", rdma: "rdma" };
const repeat = async (page, result) => {
    const commands = await page.$$eval("#run pre", all => all.map(e => e.textContent));
    const wrong = commands.length === 1 ? [] : [`${commands.length} commands`];
    try {
        execFileSync("sh", ["-c", `${commands[0].replace(/^iovasim/, '"$IOVASIM"')} --json repeated.json`], { stdio: "pipe" });
        if (!readFileSync("repeated.json").equals(readFileSync(`${result}.json`))) wrong.push(`gives others: ${commands[0]}`);
    } catch (e) {
        wrong.push(`fails: ${e.stderr || e}`);
    }
    return wrong;
};

let failures = 0;
const report = (name, mode, wrong) => {
    for (const w of wrong) {
        failures++;
        console.log(`${name} at ${mode}: ${w}`);
    }
};

for (const [name, want] of Object.entries(PAGES)) {
    if (statSync(`${name}.html`).size >= LIMIT) report(name, "any", [`is ${statSync(`${name}.html`).size} bytes long`]);
    const { page, wrong } = await open(name, want.more ? [...MODES, ...MORE] : MODES, want);
    report(name, "the sizes", wrong);
    if (REPEATED[name]) report(name, "command", await repeat(page, REPEATED[name]));
    await page.close();
}

/* With a hostile device, what it got through counts as it does on the terminal. */
{
    const { page, wrong } = await open("compare", ONE, PAGES.compare);
    const last = await page.$$eval("#comparison table:first-of-type tr", rows => rows.map(r => [r.children[0].textContent, r.lastElementChild.textContent]));
    if (!/^Wrong/.test(last[0][1])) wrong.push(`the last column is ${last[0][1]}`);
    const row = name => Number((last.find(r => r[0] === name) || [])[1]?.replace(/,/g, ""));
    if (row("strict") !== 0) wrong.push(`strict: ${row("strict")}`);
    for (const name of ["lazy", "damn", "passthrough"])
        if (!(row(name) > 0)) wrong.push(`${name}: ${row(name)}`);
    report("compare", "the hostile device", wrong);
    await page.close();
}

/* By keyboard: a heading sorts, a folded table opens, a run is added, another workload shown. */
{
    const { page, wrong } = await open("replay", ONE, PAGES.replay);
    const column = () => page.$$eval("#comparison tbody tr", rows => rows.map(r => r.children[3].textContent.replace(/,/g, "")).map(Number));
    const before = await column();
    await page.focus("#comparison thead th:nth-child(4) button");
    await page.keyboard.press("Enter");
    const sorted = await column();
    if (String(sorted) !== String([...before].sort((a, b) => a - b))) wrong.push(`sorted: ${sorted}`);
    await page.keyboard.press("Enter");
    if (String(await column()) !== String(sorted.reverse())) wrong.push("sorted the other way round");
    await page.focus("#cpu summary");
    await page.keyboard.press("Enter");
    await page.waitForSelector("#cpu details[open] td");
    const sums = await page.$$eval("#cpu details[open] tbody tr", rows => rows.map(r => [...r.querySelectorAll("td")].map(d => Number(d.textContent.replace(/,/g, "")))));
    for (const r of sums)
        if (Math.abs(r.slice(0, -1).reduce((a, b) => a + b, 0) - r.at(-1)) > r.length) wrong.push(`owners do not sum: ${r}`);
    const lines = () => page.$$eval("#time .chart", c => c[0].querySelectorAll("svg g[data-mark=line]").length);
    const had = await lines();
    await page.locator("fieldset input:not(:checked)").first().press("Space");
    await page.waitForFunction(n => document.querySelectorAll("#time .chart")[0].querySelectorAll("svg g[data-mark=line]").length === n + 1, had, { timeout: 5000 })
        .catch(() => wrong.push("a run that was chosen is not drawn"));
    const pdf = await page.pdf({ format: "A4" });
    if (pdf.length < 20000) wrong.push("does not print");
    report("replay", "keyboard", wrong);
    await page.close();
}
{
    const { page, wrong } = await open("suite", ONE, PAGES.suite);
    await page.selectOption("header select", { label: "mixed" });
    const rows = await page.$$eval("#comparison tbody tr", r => r.length);
    if (rows !== 2) wrong.push(`the other workload has ${rows} runs`);
    report("suite", "another workload", wrong);
    await page.close();
}

/* What this is to find, it finds. */
writeFileSync("planted.html", readFileSync("replay.html", "utf8").replace("default-src 'none'; ", "").replace(/script-src[^"]*/, "")
    .replace("</body>", "<p style='color:#eee;background:#fff'>pale</p><img src='data:image/png;base64,AA=='><script>console.error('planted')</script></body>"));
{
    const { page, wrong } = await open("planted", ONE, PAGES.replay);
    for (const what of ["console: planted", "color-contrast", "image-alt", "scripts of others"])
        if (!wrong.some(w => w.includes(what))) report("planted", what, ["was not found"]);
    await page.close();
}
await browser.close();
console.log(failures ? `${failures} wrong` : "every page is fine");
process.exit(failures ? 1 : 0);
