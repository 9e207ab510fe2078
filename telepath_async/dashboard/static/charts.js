// uPlot charts that survive a resize and a change of theme, each with its table behind it.

/* global uPlot */
import { element, moment, number, parts, view, zoneName } from "./format.js";
import { table } from "./tables.js";

const HEIGHT = 190;

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export class Chart {
  // rows(data): [{label, colour, values, stacked}], top to bottom for stacks
  constructor(section, { title, note, rows, limit, onOpen, unit, digits = 0 }) {
    Object.assign(this, { section, title, rows, limit, onOpen, unit, digits });
    const id = `${section.id}-title`;
    section.setAttribute("aria-labelledby", id);
    const heading = element("h2", `${title} `, { id });
    this.note = element("small", note);
    heading.append(this.note);
    this.legend = element("div", null, { className: "legend" });
    this.plot = element("div", null, {
      className: "plot", tabindex: "0", role: "group",
      "aria-label": `${title}: arrow keys read it bar by bar${onOpen ? ", Enter opens" : ""}`,
    });
    this.tip = element("div", null, { className: "tip" });
    this.tip.hidden = true;
    this.details = element("details", null, { className: "behind" });
    this.behind = element("div", null, { className: "scroll" });
    this.details.append(element("summary", `${title} as a table`), this.behind);
    section.append(heading, this.legend, this.plot, this.details);
    this.details.addEventListener("toggle", () => this.fillTable());
    this.plot.addEventListener("keydown", (event) => this.onKey(event));
    this.plot.addEventListener("blur", () => this.hideTip());
    new ResizeObserver(() => this.resize()).observe(this.plot);
  }

  resize() {
    if (this.chart) this.chart.setSize({ width: this.plot.clientWidth, height: HEIGHT });
  }

  show(data) {
    this.data = data;
    this.drawn = this.rows(data);
    const shape = JSON.stringify([
      this.drawn.map((row) => row.label), view.local, data.times.length === 0,
    ]);
    if (this.chart && shape === this.shape) this.chart.setData(this.columns());
    else this.build(shape);
    if (this.details.open) this.fillTable();
  }

  rebuild() {
    if (this.data) this.build(this.shape);
  }

  build(shape) {
    if (this.chart) this.chart.destroy();
    this.chart = null;
    this.shape = shape;
    this.plot.replaceChildren();
    this.legend.replaceChildren(...this.drawn.map((row) => this.legendItem(row)));
    if (this.limit) this.legend.append(this.legendItem({ label: "limit", colour: "red", line: true }));
    const width = Math.max(100, this.plot.clientWidth);
    this.chart = new uPlot({ width, height: HEIGHT, ...this.options() }, this.columns(), this.plot);
    this.chart.over.append(this.tip);
    this.hideTip();
  }

  legendItem(row) {
    const item = element("span");
    const line = row.line || !row.stacked ? " line" : "";
    item.append(element("i", null, { className: `bg-${row.colour}${line}` }), row.label);
    return item;
  }

  options() {
    const axis = { stroke: colour("soft"), grid: { stroke: colour("grid") }, ticks: { show: false } };
    const font = '11px system-ui, "DejaVu Sans", sans-serif';
    return {
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      tzDate: (seconds) =>
        view.local ? new Date(seconds * 1000) : uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: {
        x: { range: () => [this.data.since, this.data.until] },
        y: { range: (u, low, high) => [0, Math.max(1, (high || 0) * 1.08, this.limitValue() * 1.15)] },
      },
      axes: [
        { ...axis, font, space: 64, values: (u, splits, index, space, step) => labels(splits, step) },
        { ...axis, font, size: 46, values: (u, splits) => splits.map(whole) },
      ],
      series: [{}, ...this.series()],
      hooks: {
        setCursor: [(u) => this.onCursor(u)],
        draw: [(u) => this.drawLimit(u)],
        ready: [(u) => u.over.addEventListener("click", () => this.open(u.cursor.idx))],
      },
    };
  }

  limitValue() {
    return this.limit ? this.limit(this.data).limit : 0;
  }

  // Stacks are drawn from the sum of all downwards, each over the one before.
  columns() {
    const columns = [this.data.times];
    this.drawn.forEach((row, index) => {
      if (row.stacked) {
        const below = this.drawn.slice(index);
        columns.push(row.values.map((_, at) => sum(below.map((other) => other.values[at]))));
      } else {
        columns.push(solid(row.values, this.few()), thin(row.values, this.few()));
      }
    });
    return columns;
  }

  few() {
    return this.limit(this.data).calls.map((calls) => calls < this.data.few);
  }

  series() {
    return this.drawn.flatMap((row) => {
      const stroke = colour(row.colour);
      if (row.stacked) {
        const paths = uPlot.paths.bars({ size: [0.86, 60], align: 1 });
        return [{ label: row.label, fill: stroke, width: 0, paths, points: { show: false } }];
      }
      const points = { size: 5, fill: stroke, stroke, filter: isolated };
      return [
        { label: row.label, stroke, width: row.width || 1.5, points },
        { label: `${row.label} of few calls`, stroke, width: 0.7, dash: [2, 3], points },
      ];
    });
  }

  drawLimit(u) {
    if (!this.limit) return;
    const { limit, alerts } = this.limit(this.data);
    const { ctx, bbox } = u;
    const y = u.valToPos(limit, "y", true);
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("red");
    ctx.setLineDash([6, 4]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    alerts.forEach((alert, at) => {
      if (!alert) return;
      const x = u.valToPos((this.data.times[at] + this.data.ends[at]) / 2, "x", true);
      const size = 5 * (window.devicePixelRatio || 1);
      ctx.beginPath();
      ctx.moveTo(x - size, bbox.top);
      ctx.lineTo(x + size, bbox.top);
      ctx.lineTo(x, bbox.top + 1.6 * size);
      ctx.fill();
    });
    ctx.restore();
  }

  onCursor(u) {
    const at = u.cursor.idx;
    if (at === null || at === undefined || u.cursor.left < 0) {
      this.tip.hidden = true;
      return;
    }
    this.at = at;
    const lines = this.lines(at).map((line) => element("div", line));
    this.tip.replaceChildren(element("b", this.when(at)), ...lines);
    this.tip.hidden = false;
    const left = u.cursor.left + 14;
    const over = left + this.tip.offsetWidth > u.over.clientWidth;
    this.tip.style.left = `${over ? Math.max(0, u.cursor.left - this.tip.offsetWidth - 14) : left}px`;
    this.tip.style.top = "6px";
  }

  hideTip() {
    this.tip.hidden = true;
  }

  when(at) {
    return `${moment(this.data.times[at])} – ${parts(this.data.ends[at]).time} ${zoneName()}`;
  }

  lines(at) {
    const lines = this.drawn.map((row) => `${row.label} ${this.figure(row.values[at])}`);
    if (!this.limit) return lines;
    const { calls, alerts } = this.limit(this.data);
    const few = calls[at] > 0 && calls[at] < this.data.few ? ": too few to tell" : "";
    const alert = alerts[at] ? ["average above the limit: an alert"] : [];
    return [...lines, `of ${number(calls[at])} calls${few}`, ...alert];
  }

  figure(value) {
    return value === null ? "–" : `${number(value, this.digits)}${this.unit ? ` ${this.unit}` : ""}`;
  }

  onKey(event) {
    const last = this.data ? this.data.times.length - 1 : -1;
    const at = this.at ?? last + 1;
    const moves = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last };
    if (event.key === "Enter") this.open(this.at);
    else if (event.key in moves && last >= 0) this.moveTo(Math.min(last, Math.max(0, moves[event.key])));
    else return;
    event.preventDefault();
  }

  moveTo(at) {
    this.at = at;
    const left = this.chart.valToPos(this.data.times[at], "x") + 1;
    this.chart.setCursor({ left, top: 10 });
    document.getElementById("spoken").textContent = `${this.when(at)}: ${this.lines(at).join(", ")}`;
  }

  open(at) {
    if (this.onOpen && at !== null && at !== undefined) this.onOpen(at);
  }

  fillTable() {
    if (!this.details.open || !this.data) return;
    const rows = this.data.times.map((_, at) => at).reverse();
    const columns = [
      {
        title: `time (${zoneName()})`, value: (at) => this.data.times[at],
        text: (at) => moment(this.data.times[at]), button: this.onOpen && ((at) => this.open(at)),
      },
      ...this.drawn.map((row) => ({
        title: row.label, value: (at) => row.values[at],
        text: (at) => number(row.values[at], this.digits),
      })),
    ];
    if (this.limit) {
      const { calls } = this.limit(this.data);
      columns.push({ title: "of calls", value: (at) => calls[at], text: (at) => number(calls[at]) });
    }
    this.behind.replaceChildren(table(columns, rows, { caption: this.title }));
  }
}

// Rounded, the lines at 0.5 and 1 of few calls would both be called 1.
function whole(value) {
  return Number.isInteger(value) ? number(value) : "";
}

function sum(values) {
  return values.every((value) => value === null) ? null : values.reduce((a, b) => a + (b || 0), 0);
}

function solid(values, few) {
  return values.map((value, at) => (few[at] ? null : value));
}

// A thin line joins the bars of few calls with their neighbours.
function thin(values, few) {
  return values.map((value, at) => (few[at] || few[at - 1] || few[at + 1] ? value : null));
}

function isolated(u, index) {
  const values = u.data[index];
  const found = [];
  values.forEach((value, at) => {
    const alone = (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null;
    if (value !== null && alone) found.push(at);
  });
  return found;
}

function labels(splits, step) {
  let shown = null;
  return splits.map((seconds) => {
    const { day, time, midnight } = parts(seconds);
    if (step >= 86400) return day.slice(5);
    const withDay = midnight || shown === null;
    shown = day;
    return withDay ? `${time}\n${day.slice(5)}` : time;
  });
}
