// Draws the charts of a page with uPlot. What is drawn is in a script element of data beside each; the exact figures
// are there as text, and in the table beneath: floats are for drawing alone.
"use strict";

const drawn = new Map(); // element -> { plot, spec }
const STACKED = new Set(["bars", "areas"]);
const FONT = '12px ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';

function draw(box) {
  const data = document.getElementById(box.dataset.chart);
  if (!data) return;
  drawn.get(box)?.plot.destroy();
  box.replaceChildren();
  const spec = JSON.parse(data.textContent);
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  const plot = new uPlot(options(box, spec, tip), columns(spec), box);
  box.append(tip);
  drawn.set(box, { plot, spec });
}

function columns(spec) {
  const xs = spec.times ?? spec.labels.map((_, at) => at);
  const floats = spec.series.map((one) => one.values.map((value) => (value === null ? null : Number(value))));
  if (!STACKED.has(spec.kind)) return [xs, ...floats];
  const sum = xs.map(() => 0);
  const stacked = floats.map((values, of) =>
    spec.series[of].dashed ? values : values.map((value, at) => (sum[at] += value ?? 0)));
  return [xs, ...inOrder(spec).map((one) => stacked[spec.series.indexOf(one)])];
}

/** The series as they are drawn: of stacked ones the highest first, for each covers the one before; lines over all. */
function inOrder(spec) {
  if (!STACKED.has(spec.kind)) return spec.series;
  return [...spec.series.filter((one) => !one.dashed).reverse(), ...spec.series.filter((one) => one.dashed)];
}

function options(box, spec, tip) {
  const colour = colours(box);
  const count = spec.labels.length;
  const inset = spec.kind === "bars" || count < 2 ? 0.5 : 0;
  const pad = spec.times ? null : [-inset, count - 1 + inset];
  return {
    width: box.clientWidth || 300,
    height: box.clientHeight || 260,
    padding: [spec.marks.length ? 20 : 8, 8, 0, 0],
    legend: { show: false },
    cursor: {
      y: false, drag: { x: false, y: false, setScale: false }, points: { show: !STACKED.has(spec.kind), size: 7 },
      sync: { key: "page", scales: ["x", null] },
    },
    scales: {
      x: { time: false, range: pad ? () => pad : undefined },
      y: { range: (_, __, most) => [0, most > 0 ? most * 1.05 : 1] },
    },
    axes: [
      {
        font: FONT, stroke: colour("--muted"), grid: { show: false }, ticks: { show: false }, size: 28, gap: 6,
        splits: spec.times ? undefined : (plot) => splits(count, plot.bbox.width / devicePixelRatio || plot.width, spec),
        values: (_, at) => at.map((one) => (spec.times ? day(one) : spec.labels[one] ?? "")),
      },
      {
        font: FONT, stroke: colour("--muted"), ticks: { show: false }, gap: 8, space: 44,
        grid: { stroke: colour("--hair"), width: 1 },
        values: (_, at) => at.map((one) => short(one, spec.money)),
        size: (_, texts) => Math.max(32, 14 + 7.2 * Math.max(0, ...(texts ?? []).map((text) => text.length))),
        incrs: spec.money ? undefined : WHOLE,
      },
    ],
    series: [{}, ...inOrder(spec).map((one) => line(one, spec, colour))],
    hooks: {
      drawClear: STACKED.has(spec.kind) ? [] : [(plot) => hatch(plot, spec, colour("--hair"), false)],
      draw: [
        (plot) => spec.kind === "bars" && hatch(plot, spec, colour("--panel"), true),
        (plot) => spec.kind === "areas" && hatch(plot, spec, colour("--panel"), true),
        (plot) => marks(plot, spec, colour),
      ],
      setCursor: [(plot) => point(plot, box, tip)],
    },
  };
}

const WHOLE = [1, 2, 5].flatMap((one) => Array.from({ length: 15 }, (_, power) => one * 10 ** power)).sort((a, b) => a - b);

function line(one, spec, colour) {
  const own = one.hue === "all" ? colour("--text") : colour(`--hue-${one.hue}`);
  if (one.dashed) return { stroke: colour("--text"), width: 1.5, dash: [4, 4], points: { show: false } };
  if (spec.kind === "bars") {
    return { fill: own, stroke: own, width: 0, paths: uPlot.paths.bars({ size: [0.86, 72] }), points: { show: false } };
  }
  if (spec.kind === "areas") return { fill: own, stroke: own, width: 1, points: { show: false } };
  const paths = spec.kind === "steps" ? uPlot.paths.stepped({ align: 1 }) : undefined;
  return { stroke: own, width: 2, paths, points: { show: spec.labels.length < 2, size: 6, fill: own } };
}

/** The colours of the stylesheet, as the page has them now. */
function colours(box) {
  const probe = document.createElement("i");
  box.append(probe);
  const found = new Map();
  return (name) => {
    if (!found.has(name)) {
      probe.isConnected || box.append(probe);
      probe.style.color = `var(${name})`;
      found.set(name, getComputedStyle(probe).color);
      probe.remove();
    }
    return found.get(name);
  };
}

/** Which steps have a label: as many as there is room for. */
function splits(count, width, spec) {
  const letters = Math.max(...spec.labels.map((label) => label.length));
  const room = Math.max(1, Math.floor(width / (letters * 7 + 28)));
  const every = Math.max(1, Math.ceil(count / room));
  return spec.labels.map((_, at) => at).filter((at) => at % every === 0);
}

function short(value, money) {
  const units = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
  const [limit, letter] = units.find(([one]) => Math.abs(value) >= one && (!money || one >= 1e3)) ?? [1, ""];
  const text = String(Number((value / limit).toPrecision(4)));
  return letter ? `${text} ${letter}` : text;
}

function day(seconds) {
  return new Date(seconds * 1000).toLocaleDateString(undefined, { day: "numeric", month: "short", timeZone: "UTC" });
}

/** The step that is not over yet is hatched. */
function hatch(plot, spec, stroke, over) {
  if (spec.unfinished === null || spec.times) return;
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  let left = plot.valToPos(spec.unfinished - 0.5, "x", true);
  let right = plot.valToPos(spec.unfinished + 0.5, "x", true);
  left = Math.max(left, bbox.left);
  right = Math.min(right, bbox.left + bbox.width);
  let top = bbox.top;
  if (over) {
    const high = inOrder(spec).map((one, of) => (one.dashed ? 0 : plot.data[of + 1][spec.unfinished] ?? 0));
    top = plot.valToPos(Math.max(0, ...high), "y", true);
  }
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, right - left, bbox.top + bbox.height - top);
  ctx.clip();
  ctx.beginPath();
  ctx.setLineDash([]);
  ctx.lineWidth = 2 * ratio;
  ctx.strokeStyle = stroke;
  const height = bbox.top + bbox.height - top;
  for (let at = left - height; at < right; at += 6 * ratio) {
    ctx.moveTo(at, top + height);
    ctx.lineTo(at + height, top);
  }
  ctx.stroke();
  ctx.restore();
}

/** What happened, as upright lines with a text; texts that would meet stand in the next row. */
function marks(plot, spec, colour) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.font = `${12 * ratio}px ${FONT.slice(5)}`;
  ctx.textBaseline = "top";
  ctx.textAlign = "left";
  const ends = [0, 0];
  for (const mark of spec.marks) {
    const x = Math.round(plot.valToPos(mark.at, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = ctx.fillStyle = colour("--muted");
    ctx.lineWidth = ratio;
    ctx.setLineDash([2 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top - 16 * ratio);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    const width = ctx.measureText(mark.text).width;
    const fits = x + width + 6 * ratio < bbox.left + bbox.width;
    const start = fits ? x + 5 * ratio : x - 5 * ratio - width;
    const row = ends.findIndex((end) => start >= end);
    if (row < 0 || start < bbox.left) continue;
    ends[row] = start + width + 8 * ratio;
    ctx.fillStyle = colour("--panel");
    ctx.globalAlpha = row ? 0.8 : 0;
    ctx.fillRect(start - 2 * ratio, bbox.top + (row * 15 - 17) * ratio, width + 4 * ratio, 14 * ratio);
    ctx.globalAlpha = 1;
    ctx.fillStyle = colour("--muted");
    ctx.fillText(mark.text, start, bbox.top + (row * 15 - 16) * ratio);
  }
  ctx.restore();
}

/** One tip, at the chart under the pointer, with the values of all charts of the page that have the same steps. */
function point(plot, box, tip) {
  const at = plot.cursor.idx;
  if (at === null || at === undefined || !box.matches(":hover")) {
    tip.hidden = true;
    return;
  }
  const own = drawn.get(box)?.spec;
  if (!own) return;
  const others = [...drawn.values()].map((one) => one.spec)
    .filter((spec) => spec !== own && spec.labels.length === own.labels.length && spec.tips[at] === own.tips[at]);
  tip.replaceChildren(text("b", own.tips[at] + (at === own.unfinished ? ", so far" : "")));
  for (const spec of [own, ...others]) tip.append(...figures(spec, at, others.length > 0));
  tip.hidden = false;
  const x = plot.valToPos(plot.data[0][at], "x") + plot.bbox.left / devicePixelRatio;
  const right = x + 16 + tip.offsetWidth < box.clientWidth;
  tip.style.left = `${right ? x + 16 : Math.max(0, x - 16 - tip.offsetWidth)}px`;
  tip.style.top = "8px";
}

function figures(spec, at, titled) {
  const table = document.createElement("table");
  const rows = spec.series.map((one) => ({ ...one, value: one.values[at] }))
    .filter((one) => one.value !== null && (Number(one.value) || spec.series.length < 4))
    .sort((one, other) => one.dashed - other.dashed || Number(other.value) - Number(one.value));
  for (const one of rows) {
    const row = table.insertRow();
    const mark = document.createElement("i");
    mark.className = one.dashed ? "dash" : `dot hue-${one.hue}`;
    row.insertCell().append(mark, one.name);
    row.insertCell().append(figure(one.value, spec.money));
  }
  if (STACKED.has(spec.kind) && rows.length !== 1) {
    const row = table.insertRow();
    row.className = "all";
    row.insertCell().append("all");
    row.insertCell().append(figure(sum(rows.filter((one) => !one.dashed).map((one) => one.value)), spec.money));
  }
  const unit = text("small", titled ? `${spec.title}, ${spec.unit}` : spec.unit);
  return [unit, table];
}

/** The exact sum of decimal texts. */
function sum(values) {
  const places = Math.max(0, ...values.map((value) => (String(value).split(".")[1] ?? "").length));
  const whole = values.reduce((all, value) => {
    const [front, back = ""] = String(value).split(".");
    return all + BigInt(front + back.padEnd(places, "0"));
  }, 0n);
  if (!places) return String(whole);
  const digits = String(whole < 0n ? -whole : whole).padStart(places + 1, "0");
  return `${whole < 0n ? "-" : ""}${digits.slice(0, -places)}.${digits.slice(-places)}`;
}

/** A figure as pages show it: amounts with two decimals from 1 up, below 1 with four digits that matter. */
function figure(value, money) {
  const number = Number(value);
  if (!money) return number.toLocaleString("en");
  if (number === 0) return "0";
  const digits = Math.abs(number) >= 1
    ? { minimumFractionDigits: 2, maximumFractionDigits: 2 }
    : { minimumSignificantDigits: 4, maximumSignificantDigits: 4 };
  return number.toLocaleString("en", digits);
}

function text(kind, words) {
  const made = document.createElement(kind);
  made.textContent = words;
  return made;
}

const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const plot = drawn.get(target)?.plot;
    if (plot && target.clientWidth && target.clientWidth !== plot.width) {
      plot.setSize({ width: target.clientWidth, height: plot.height });
    }
  }
});

function drawAll() {
  for (const box of drawn.keys()) if (!box.isConnected) drawn.delete(box);
  for (const box of document.querySelectorAll("[data-chart]")) {
    draw(box);
    resized.observe(box);
  }
}

drawAll();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
document.addEventListener("htmx:afterSettle", drawAll);
document.addEventListener("mouseleave", () => {
  for (const tip of document.querySelectorAll(".chart .tip")) tip.hidden = true;
});
