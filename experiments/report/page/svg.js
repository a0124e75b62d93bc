// What dygraphs does not draw: small pictures of our own. Colours and fonts are attributes, so that an exported picture keeps
// them.
function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes))
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const fontSize = () => (state.theme === "projector" ? 15 : 12);
function label(x, y, content, anchor = "start", more = {}) {
  return svg(
      "text",
      Object.assign(
          {x, y, "text-anchor": anchor, fill: css("--soft"), "font-size": fontSize(), "font-family": "sans-serif"}, more),
      content);
}

// A scale from [low, high] to pixels, with ticks at round numbers.
function scaleOf(low, high, from, to, log = false) {
  const f = log ? Math.log10 : (x) => x;
  const span = f(high) - f(low) || 1;
  const scale = (x) => from + ((f(x) - f(low)) / span) * (to - from);
  scale.ticks = log ? decades(low, high) : roundTicks(low, high);
  return scale;
}
function roundTicks(low, high, count = 5) {
  const raw = (high - low || 1) / count, power = 10 ** Math.floor(Math.log10(raw));
  const size = [1, 2, 5, 10].find((factor) => factor * power >= raw) * power, ticks = [];
  for (let i = Math.ceil(low / size - 1e-9); i * size <= high * (1 + 1e-12) + 1e-300 && ticks.length < 50; ++i)
    ticks.push(Number((i * size).toPrecision(12)));
  return ticks;
}
// Powers of ten, with 2 and 5 times these where there are few; round numbers within one decade.
function decades(low, high, most = 8) {
  most = Math.max(1, most);
  const first = Math.floor(Math.log10(low) - 1e-9), end = Math.ceil(Math.log10(high) + 1e-9), span = Math.log10(high / low);
  if (span < 1) return roundTicks(low, high, most).filter((x) => x > 0);
  const stride = Math.ceil(span / most), factors = span * 3 <= most ? [1, 2, 5] : [1], ticks = [];
  for (let i = Math.ceil(first / stride) * stride; i <= end; i += stride)
    ticks.push(...factors.map((factor) => Number(`${factor}e${i}`)));
  return ticks.filter((x) => x >= low * (1 - 1e-9) && x <= high * (1 + 1e-9));
}

// Grid, numbers and names of two axes around the box {x, y, w, h}.
function axes(box, xs, ys, xName, yName) {
  const group = svg("g"), grid = {stroke: css("--grid"), "stroke-width": 1};
  for (const x of xs.ticks) {
    group.append(
        svg("line", Object.assign({x1: xs(x), x2: xs(x), y1: box.y, y2: box.y + box.h}, grid)),
        label(xs(x), box.y + box.h + fontSize() + 5, shown(x), "middle"));
  }
  for (const y of ys.ticks) {
    group.append(
        svg("line", Object.assign({x1: box.x, x2: box.x + box.w, y1: ys(y), y2: ys(y)}, grid)),
        label(box.x - 6, ys(y) + 4, shown(y), "end"));
  }
  group.append(
      svg("rect", {x: box.x, y: box.y, width: box.w, height: box.h, fill: "none", stroke: css("--edge")}),
      label(box.x + box.w / 2, box.y + box.h + 2.2 * fontSize() + 10, xName, "middle"),
      label(0, 0, yName, "middle", {transform: `translate(${fontSize() + 2} ${box.y + box.h / 2}) rotate(-90)`}));
  return group;
}

function polyline(points, attributes) {
  return svg(
      "polyline",
      Object.assign({points: points.map(([x, y]) => `${x.toFixed(2)},${y.toFixed(2)}`).join(" "), fill: "none"}, attributes));
}

// A card whose picture is drawn anew when the state changes: picture() fills this.stage and returns what CSV exports.
class Picture {
  constructor(plot) {
    this.plot = plot;
    Object.assign(
        this,
        card(Object.assign(
            plot, {rows: () => this.table || [], image: () => svgImage(this.stage.querySelector("svg"), plot.title)})));
    this.choosers = el("span", {});
    this.weights = el("span", {});
    this.controls.append(this.choosers, this.weights);
    this.visible = true;
    charts.push(this);
  }
  draw() { this.table = this.plot.picture(this); }
  update() { this.draw(); }
  showCursor() {}
  show(width, height, ...children) {
    const title = svg("title", {}, this.plot.title);
    this.stage.replaceChildren(
        svg("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", xmlns: "http://www.w3.org/2000/svg"}, title,
            svg("rect", {width, height, fill: css("--paper")}), ...children));
  }
  // A chooser among runs, kept while it fits.
  runPicker(having) {
    if (!having.includes(this.run)) this.run = having.includes(runs[state.run]) ? runs[state.run] : having[0];
    if (having.length > 1)
      this.choosers.replaceChildren(picker("run", having.map((run) => [run.key, run.label]), this.run.key, (key) => {
        this.run = having.find((run) => run.key === key);
        this.draw();
      }));
    return this.run;
  }
}
