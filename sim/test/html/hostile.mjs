// Results that nobody's run makes: names that would like to be markup, and thousands of runs.
import { readFileSync, writeFileSync } from "node:fs";

export const EVIL = "</script><script>window.pwned=1</script><img src=x onerror=window.pwned=1>\"'&--><!--\u2028";

if (process.argv[1].endsWith("hostile.mjs")) {
    const text = readFileSync("result.json", "utf8");
    const evil = JSON.parse(text);
    evil.trace.path = `dir/${EVIL}`;
    evil.trace.format = EVIL;
    evil.config.linux[EVIL] = EVIL;
    evil.tool.version = EVIL;
    for (const run of evil.runs) {
        run.promise = EVIL;
        run.policy += EVIL;
        run.api += EVIL;
        run.preset = evil.config.preset = EVIL;
        run.series.end_ps[0] = EVIL; // Not a number: there is no series.
        run.histograms.io_latency.buckets[0] = [EVIL, EVIL, EVIL];
        run.histograms.exposure = EVIL;
        delete run.histograms.dma_read_latency.buckets;
    }
    writeFileSync("hostile.json", JSON.stringify(evil));

    const one = JSON.parse(text);
    const cases = [];
    for (let i = 0; i < 50; i++) {
        const result = structuredClone(one);
        result.config.iotlb.sets = 2 ** (i % 10);
        result.config.nvme.link_cut = i;
        for (const run of result.runs) {
            run.metrics.cpu_cycles_per_io.value += i;
            run.metrics.exposure_page_us_per_io.value += 50 - i;
        }
        cases.push({ name: `case ${i % 3}-${i}`, result });
    }
    writeFileSync("many.json", JSON.stringify({ schema: "iovasim.suite/1", name: "many", tool: one.tool, cases }));
}
