// Plots against steps, drawn by dygraphs. They share the cursor and the zoom, each at the points it has.
const charts = [];
const view = {
  window: null,
  cursor: null
};  // steps shown, null: all; the step under the pointer

// A plot is {id, title, caption, y, log, lines()}; lines() gives {key, name, color, dash, width, x, y, low, high}, where low
// and high make a band and a `pale` line goes with the other of its key; `of` and `part` go with the name in a table. of() of a
// plot says what it shows just now; value(y) is how a number at the cursor reads. level() gives thresholds, {value, words};
// what is under them is shaded.
class Chart {
  constructor(plot) {
    this.plot = plot;
    this.log = Boolean(plot.log);
    const scale =
        el("button", {type: "button", class: "scale", "aria-pressed": String(this.log), onclick: () => this.setLog(!this.log)},
           "log");
    this.scale = scale;
    Object.assign(this, card(Object.assign(plot, {rows: () => this.rows(), image: () => chartImage(this)}), [scale]));
    this.where = el("div", {class: "at"});
    this.cursor = el("div", {class: "cursor"});
    this.host = el("div", {class: "plot"});
    this.stage.append(this.host, this.cursor, this.where);
    this.visible = true;
    new IntersectionObserver(([entry]) => {
      this.visible = entry.isIntersecting;
      if (this.visible && this.stale) this.update();
      if (this.visible) this.showCursor();
    }, {rootMargin: "200px"}).observe(this.box);
    charts.push(this);
  }

  setLog(log) {
    this.log = log;
    this.scale.setAttribute("aria-pressed", String(log));
    this.draw();
  }

  // Anew, with the lines that the state asks for.
  draw() {
    if (this.graph) this.graph.destroy();
    this.graph = null;
    this.heading.textContent = heading(this.plot);
    this.lines = this.plot.lines();
    this.outputs = fillLegend(this.legend, this.lines.filter((line) => !line.pale));
    this.words.replaceChildren(...(this.plot.words ? this.plot.words() : []).map((sentence) => el("p", {}, sentence)));
    this.levels = this.plot.level ? this.plot.level() : [];
    const table = this.table(this.log);
    if (!table.rows.length) {
      this.host.replaceChildren(
          el("div", {class: "empty"}, this.log ? "Nothing above 0 to draw on a logarithmic scale." : "Nothing to draw here."));
      return;
    }
    this.host.replaceChildren();
    this.graph = new Dygraph(this.host, table.rows, this.options(table));
    this.stale = false;
  }

  // Rows of [step, number or band of each line]: null where a line has no point, NaN where it has a gap.
  table(log) {
    const bands = this.lines.some((line) => line.low);
    const steps = sharedSteps(this.lines);
    const at = new Map(steps.map((step, i) => [step, i]));
    const rows = steps.map((step) => [step, ...this.lines.map(() => (bands ? [null, null, null] : null))]);
    const number = (x) => (x === null || (log && x <= 0) ? NaN : x);
    let any = false;
    this.lines.forEach((line, j) => line.x.forEach((step, i) => {
      const y = number(line.y[i]);
      any = any || !Number.isNaN(y);
      rows[at.get(step)][j + 1] = !bands ? y :
          Number.isNaN(y)                ? [null, null, null] :
                                           [line.low ? number(line.low[i]) : y, y, line.high ? number(line.high[i]) : y];
    }));
    return {rows: any ? rows : [], bands, steps};
  }

  options({bands, steps}) {
    const names = this.lines.map((_, i) => `line ${i}`), base = parseFloat(css("--line")), size = parseFloat(css("--size"));
    const style = (line) => ({strokePattern: scaled(line.dash, base), strokeWidth: (line.width || 1) * base});
    return {
      labels: ["step", ...names],
      colors: this.lines.map((line) => line.color),
      visibility: this.lines.map((line) => !state.hidden.has(line.key)),
      series: Object.fromEntries(names.map((name, i) => [name, style(this.lines[i])])),
      customBars: bands,
      fillAlpha: 0.2,
      connectSeparatedPoints: true,
      logscale: this.log,
      legend: "never",
      dateWindow: (this.range = view.window || padded(steps)),
      valueRange: this.valueRange(),
      yRangePad: 10,
      highlightCircleSize: 2 + base,
      pointSize: 1 + base,  // of points without neighbours
      gridLineColor: css("--grid"),
      axisLineColor: css("--edge"),
      axisLabelFontSize: Math.round(0.78 * size),
      ylabel: this.plot.y,
      xlabel: "step",
      yLabelWidth: Math.round(1.3 * size),
      xLabelHeight: Math.round(1.1 * size),
      axes: {
        x: {axisLabelFormatter: (x) => shown(x), pixelsPerLabel: 5 * size, axisLabelWidth: 4 * size},
        y: {
          axisLabelFormatter: (y) => shown(y),
          axisLabelWidth: Math.round(3.8 * size),
          pixelsPerLabel: 2.6 * size,
          ...(this.log ? {
            ticker: (low, high, pixels) =>
                decades(Math.max(low, 1e-300), high, pixels / (2.6 * size)).map((v) => ({v, label: shown(v)}))
          } :
                         {})
        },
      },
      underlayCallback: (context, area, graph) => this.underlay(context, area, graph),
      drawCallback: (graph, initial) => {
        const range = graph.isZoomed("x") ? graph.xAxisRange() : null;
        if (!initial && !this.following && String(range) !== String(this.range)) zoomTo(range, this);
      },
      highlightCallback: (event, x, points) => {
        let near = null, best = Infinity;
        for (const point of points) {
          const distance = Math.abs(point.canvasy - event.offsetY);
          if (distance < best) [near, best] = [this.lines[Number(point.name.slice(5))].key, distance];
        }
        pointAt(x, this, near);
      },
      unhighlightCallback: () => pointAt(null, this, null),
    };
  }

  // Wide enough for a threshold to be seen, and kept where all lines are hidden; otherwise dygraphs' choice.
  valueRange() {
    const levels = this.levels.map((one) => one.value);
    if (!levels.length && this.lines.some((line) => !state.hidden.has(line.key))) return null;
    let low = Math.min(...levels), high = Math.max(...levels);
    for (const line of this.lines) {
      for (const y of line.y)
        if (y !== null && !(this.log && y <= 0)) [low, high] = [Math.min(low, y), Math.max(high, y)];
    }
    return this.log ? [low / 2, high * 2] : [Math.min(0, low), high * 1.08];
  }

  underlay(context, area, graph) {
    this.levels.forEach(({value, words}, i) => {
      const y = Math.min(area.y + area.h, Math.max(area.y, graph.toDomYCoord(value)));
      context.fillStyle = css("--shade");
      context.fillRect(area.x, y, area.w, area.y + area.h - y);
      context.save();
      context.strokeStyle = context.fillStyle = css("--good");
      context.setLineDash([6, 4]);
      context.lineWidth = 1.5;
      context.beginPath();
      context.moveTo(area.x, y);
      context.lineTo(area.x + area.w, y);
      context.stroke();
      context.font = `${0.78 * parseFloat(css("--size"))}px sans-serif`;
      context.setLineDash([]);
      context.strokeStyle = css("--paper");
      context.lineWidth = 4;
      context.textAlign = "right";
      const bottom = area.y + area.h - 8 - 1.2 * i * parseFloat(css("--size"));
      context.strokeText(words, area.x + area.w - 6, bottom);
      context.fillText(words, area.x + area.w - 6, bottom);
      context.restore();
    });
  }

  // Follows the state without new lines: which are hidden, how far it is zoomed.
  update() {
    this.stale = !this.visible;
    if (this.stale || !this.graph) return;
    this.following = true;
    this.graph.updateOptions({
      visibility: this.lines.map((line) => !state.hidden.has(line.key)),
      dateWindow: (this.range = view.window || padded(this.graph.xAxisExtremes())),
      valueRange: this.valueRange(),
    });
    this.following = false;
    for (const [key, {chip}] of this.outputs) chip.setAttribute("aria-pressed", String(!state.hidden.has(key)));
  }

  showCursor(near = null) {
    const step = view.cursor, range = this.graph && this.graph.xAxisRange();
    const inside = step !== null && range && step >= range[0] && step <= range[1];
    this.cursor.style.display = inside ? "block" : "none";
    this.where.textContent = inside ? `step ${step}` : "";
    if (inside) this.cursor.style.left = `${this.graph.toDomXCoord(step)}px`;
    for (const [key, {chip, output}] of this.outputs || []) {
      const line = this.lines.find((one) => one.key === key && !one.pale);
      const covered = inside && step >= line.x[0] && step <= line.x[line.x.length - 1];
      output.textContent = covered ? (this.plot.value || shown)(line.y[nearest(line.x, step)]) : "";
      chip.classList.toggle("near", key === near);
    }
  }

  rows() {
    const {rows, bands} = this.table(false);
    const cells = (row) => row.slice(1).flatMap((value, j) => (this.lines[j].low ? value : bands ? [value[1]] : [value]));
    const names = this.lines.flatMap((line) => (line.low ? [`${line.name}, lowest`, line.name, `${line.name}, highest`] : [
                                       [line.name, line.of, line.part].filter(Boolean).join(", ")
                                     ]));
    return [["step", ...names], ...rows.map((row) => [row[0], ...cells(row)])];
  }
}

// All steps at which a line has a point, ascending.
function sharedSteps(lines) {
  if (!lines.length) return [];
  const first = lines[0].x;
  if (lines.every((line) => line.x === first || (line.x.length === first.length && line.x.every((x, i) => x === first[i]))))
    return first;
  return [...new Set(lines.flatMap((line) => line.x))].sort((a, b) => a - b);
}

// A little room at both ends; some even where there is one step only.
function padded(steps) {
  const first = steps[0], end = steps[steps.length - 1], room = Math.max(0.012 * (end - first), end === first ? 1 : 0);
  return [first - room, end + room];
}

function nearest(steps, step) {
  let low = 0, high = steps.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (steps[middle] <= step)
      low = middle;
    else
      high = middle;
  }
  return high >= 0 && Math.abs(steps[high] - step) < Math.abs(steps[low] - step) ? high : low;
}

function zoomTo(window, from) {
  view.window = window;
  if (from) from.range = window;
  for (const chart of charts)
    if (chart !== from || window === null) chart.update();
}

let waiting = null;
function pointAt(step, from, near) {
  view.cursor = step;
  if (waiting === null)
    requestAnimationFrame(() => {
      for (const chart of charts)
        if (chart.visible) chart.showCursor(chart === waiting.from ? waiting.near : null);
      waiting = null;
    });
  waiting = {from, near};
}
