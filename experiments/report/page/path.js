// The way of a toy's weight in its plane, or in space, with sliders for momentum and time.
// A path looks as its run does everywhere; others of the same run have dots of their own.
const paths =
    runs.flatMap(
        (run) =>
            run.paths.map(
                (path, i) => Object
                                 .assign(
                                     {
                                       key: `path ${run.key} ${i}`,
                                       run,
                                       dash: i ? [...(run.dash || [12, 3]), ...Array(i).fill([1, 3]).flat()] : run.dash
                                     },
                                     path)));
const spatial = paths.some((path) => path.points.z.some((z) => z !== null));
const betas = [...new Set(paths.map((path) => path.beta).filter((beta) => beta !== null && beta > 0))].sort((a, b) => a - b);
const longest = paths.reduce((most, path) => Math.max(most, last(path.points.step)), 1);
const toy = {
  beta: betas[0],
  step: longest,
  turn: 30,
  timer: null
};

// What the sliders let through: the chosen momentum, and whatever has none.
const pathsShown = () => paths.filter((path) => !state.hidden.has(path.key) && (!path.beta || path.beta === toy.beta));

function slider(name, low, high, step, value, change) {
  const output = el("output", {}, shown(value));
  const input =
      el("input", {type: "range", min: low, max: high, step, value, name, oninput: () => change(Number(input.value), output)});
  return {label: el("label", {}, name, input, output), input, output};
}

const pathPlot = {
  id: "path",
  title: spatial ? "The path of the weight in space" : "The path of the weight in the plane",
  caption:
      "Only the direction of w counts for the loss, so that its gradient is at a right angle to w: a step of plain gradient " +
      "descent leads outwards, and the farther out, the less the next one turns. Momentum has a part along w too, decay " +
      "pulls inwards, and a norm may be held.",
  missing: () => (paths.length ? "" : "no run follows a toy's path (lines of kind \"path\")"),
  picture(card) {
    if (!card.sliders) makeSliders(card);
    const width = 760, height = 460, margin = 16, visible = pathsShown();
    const all = [[-1.05, -1.05], [1.05, 1.05], ...visible.flatMap((path) => pointsOf(path).map(project))];
    const [left, right] = ends(all.map(([x]) => x)), [low, high] = ends(all.map(([, y]) => y));
    const scale = Math.min((width - 2 * margin) / (right - left), (height - 2 * margin) / (high - low));
    const at = ([x, y]) => [width / 2 + scale * (x - (left + right) / 2), height / 2 - scale * (y - (low + high) / 2)],
          [cx, cy] = at([0, 0]);
    const reach = Math.max(-left, right, -low, high), rings = spatial ? globe(at) : circles(at, reach, scale);
    const labels = spatial ? [] : ringLabels(at, reach, scale, width, height), halo = {fill: css("--text"), ...paperHalo()};
    const drawn = visible.flatMap((path) => {
      const points = pointsOf(path).map((point) => at(project(point))), index = nearest(path.points.step, toy.step),
            stroke = color(path.run.color), thick = parseFloat(css("--line")), dash = scaled(path.dash, thick);
      const [x, y] = points[index] || [cx, cy];
      return [
        polyline(points, {stroke, "stroke-width": thick, "stroke-dasharray": dash && dash.join(" "), opacity: 0.25}),
        polyline(points.slice(0, index + 1), {stroke, "stroke-width": 1.5 * thick, "stroke-dasharray": dash && dash.join(" ")}),
        svg("line", {x1: cx, y1: cy, x2: x, y2: y, stroke, "stroke-width": thick, "stroke-dasharray": "4 3"}),
        svg("circle", {cx: x, cy: y, r: 3 + 1.5 * thick, fill: stroke, stroke: css("--paper"), "stroke-width": 1.5}),
      ];
    });
    const marks = [
      ...placesOf(visible, (path) => pointsOf(path)[0], "start"),
      ...placesOf(visible, (path) => path.target.length ? unit(path.target) : null, "target")
    ];
    card.show(
        width, height, ...rings, ...drawn, ...labels, svg("circle", {cx, cy, r: 3, fill: css("--text")}),
        ...marks.flatMap(({point, words}) => {
          const [x, y] = at(project(point)), side = x < width - 90 ? 1 : -1;
          return [
            svg("circle", {cx: x, cy: y, r: 7, fill: "none", stroke: css("--text"), "stroke-width": 1.5}),
            label(x + 11 * side, y + 4, words, side > 0 ? "start" : "end", halo)
          ];
        }));
    const items =
        paths.filter((path) => !path.beta || path.beta === toy.beta)
            .map(
                (path) => (
                    {key: path.key, name: path.series || path.run.label, color: color(path.run.color), dash: path.dash, path}));
    card.legend.classList.add("long");
    const outputs = fillLegend(card.legend, items);
    for (const {key, path} of items) {
      const index = nearest(path.points.step, toy.step);
      outputs.get(key).output.textContent = `loss ${shown(path.points.loss[index])}, norm ${shown(path.points.norm[index])}`;
    }
    return [
      ["series", "beta", "step", "x", "y", "z", "loss", "norm"],
      ...visible.flatMap(
          (path) => path.points.step.map(
              (step,
               i) => [path.series, path.beta, step, ...["x", "y", "z", "loss", "norm"].map((name) => path.points[name][i])]))
    ];
  },
};

const ends = (list) => list.reduce(([low, high], x) => [Math.min(low, x), Math.max(high, x)], [Infinity, -Infinity]);
const unit = (point) => point.map((x) => (x || 0) / Math.hypot(...point));
// What paths start from or should come to, each place once.
function placesOf(list, place, words) {
  const known = new Map(list.map(place).filter(Boolean).map((point) => [String(point), point]));
  return [...known.values()].map((point) => ({point, words}));
}
const pointsOf = (path) =>
    path.points.step.map((_, i) => [path.points.x[i] || 0, path.points.y[i] || 0, path.points.z[i] || 0]);

// From space to the screen: turned about the vertical axis, seen from a little above.
function project([x, y, z]) {
  if (!spatial) return [x, y];
  const turn = (toy.turn * Math.PI) / 180, tilt = 0.45;
  const right = x * Math.cos(turn) - y * Math.sin(turn), deep = x * Math.sin(turn) + y * Math.cos(turn);
  return [right, z * Math.cos(tilt) + deep * Math.sin(tilt)];
}

// So that a text can be read on lines.
const paperHalo = () => ({stroke: css("--paper"), "stroke-width": 4, "paint-order": "stroke"});
const ringRadii = (reach) => roundTicks(0, 1.7 * reach, 9).filter((radius) => radius > 0);

// Labels of rings along the half axis that has most room in the picture.
function ringLabels(at, reach, scale, width, height) {
  const [cx, cy] = at([0, 0]);
  const [dx, dy, room] = [[1, 0, width - cx], [-1, 0, cx], [0, 1, height - cy], [0, -1, cy]].reduce(
      (best, one) => (one[2] > best[2] ? one : best));
  return ringRadii(reach)
      .filter((radius) => radius * scale < room - 2 * fontSize())
      .map((radius) => label(cx + dx * radius * scale + 3, cy + dy * radius * scale - 3, shown(radius), "start", paperHalo()));
}

// Rings of equal norm.
function circles(at, reach, scale) {
  const [cx, cy] = at([0, 0]), grid = {fill: "none", stroke: css("--grid")};
  const spokes = Array.from({length: 12}, (_, i) => {
    const angle = (i * Math.PI) / 6, [x, y] = at([4 * reach * Math.cos(angle), 4 * reach * Math.sin(angle)]);
    return svg("line", {x1: cx, y1: cy, x2: x, y2: y, stroke: css("--grid")});
  });
  return [
    ...spokes, ...ringRadii(reach).map((radius) => svg("circle", Object.assign({cx, cy, r: radius * scale}, grid))),
    svg("circle", {cx, cy, r: scale, fill: "none", stroke: css("--soft"), "stroke-dasharray": "2 3"})
  ];
}

function globe(at) {
  const ring = (point) =>
      polyline(Array.from({length: 73}, (_, i) => at(project(point((i * Math.PI) / 36)))), {stroke: css("--grid")});
  const rings = [-60, -30, 0, 30, 60].map((degrees) => {
    const height = Math.sin((degrees * Math.PI) / 180), radius = Math.cos((degrees * Math.PI) / 180);
    return ring((t) => [radius * Math.cos(t), radius * Math.sin(t), height]);
  });
  const meridians = [0, 30, 60, 90, 120, 150].map((degrees) => {
    const turn = (degrees * Math.PI) / 180;
    return ring((t) => [Math.cos(t) * Math.cos(turn), Math.cos(t) * Math.sin(turn), Math.sin(t)]);
  });
  return [...rings, ...meridians];
}

function makeSliders(card) {
  const sliders = {
    step: slider(
        "iteration", 0, longest, 1, toy.step,
        (value, output) => {
          toy.step = value;
          output.textContent = shown(value);
          card.draw();
        }),
  };
  if (betas.length > 1)
    sliders.beta = slider("beta", 0, betas.length - 1, 1, 0, (value, output) => {
      toy.beta = betas[value];
      output.textContent = shown(toy.beta);
      card.draw();
    });
  if (sliders.beta) sliders.beta.output.textContent = shown(toy.beta);
  if (spatial)
    sliders.turn = slider("turn", 0, 360, 1, toy.turn, (value, output) => {
      toy.turn = value;
      output.textContent = `${value}°`;
      card.draw();
    });
  const go = (step) => {
    sliders.step.input.value = toy.step = step;
    sliders.step.output.textContent = shown(step);
    card.draw();
  };
  const play =
      el("button", {
        type: "button",
        class: "play",
        onclick: () => {
          if (toy.timer) return stop();
          if (toy.step >= longest) go(0);
          play.textContent = "pause";
          toy.timer = setInterval(
              () => (toy.step >= longest ? stop() : go(Math.min(longest, toy.step + Math.max(1, Math.round(longest / 250))))),
              33);
        }
      },
         "play");
  const stop = () => {
    clearInterval(toy.timer);
    toy.timer = null;
    play.textContent = "play";
  };
  card.sliders = sliders;
  card.controls.append(...Object.values(sliders).map((one) => one.label), play);
}
