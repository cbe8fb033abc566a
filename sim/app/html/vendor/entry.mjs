// What the report draws with, and no more: it becomes plot.min.js (README.md).
export {
    plot, barX, dot, line, rectY, areaY, ruleX, ruleY, text, tip, pointer, pointerX, axisX, axisY,
    gridX, gridY, stackX
} from "@observablehq/plot";
