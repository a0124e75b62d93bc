// The loss when one weight is scaled by a, from invariance.json.
const judged =
    runs.filter((run) => run.invariance && Array.isArray(run.invariance.parameters) && run.invariance.parameters.length);
const verdictLooks = {
  channel: ["--good", null],
  layer: ["--good", [8, 4]],
  none: ["--soft", null]
};  // colours that no run has
const verdictWords = {
  channel: "invariant, by channel",
  layer: "invariant, as a layer",
  none: "not invariant"
};

function scalingCurve(parameter) {
  const points =
      (parameter.scaled || []).filter((one) => one.a > 0 && typeof one.loss === "number").map((one) => [one.a, one.loss]);
  if (typeof parameter.loss === "number" && !points.some(([a]) => a === 1)) points.push([1, parameter.loss]);
  return points.sort((p, q) => p[0] - q[0]);
}

// The weight chosen here, or lately in the page's bar, if it is one of `names`; probes need not watch all that are judged.
function weightPicked(card, names) {
  if (card.layer !== state.layer) card.weight = card.layer = state.layer;
  const value = names.includes(card.weight) ? card.weight : "";
  card.weights.replaceChildren(picker("weight", [["", "all"], ...names.map((name) => [name, name])], value, (weight) => {
    card.weight = weight;
    card.draw();
  }));
  return value;
}

const scaling = {
  id: "scaling",
  title: "Loss against a, for w → a w",
  caption: "One weight at a time is made longer or shorter, all else kept: the loss of a scale-invariant one stays level.",
  missing: () => (judged.length ? "" : "no run has invariance.json; make it with `azimuth invariance RUN`"),
  picture(card) {
    const run = card.runPicker(judged), parameters = run.invariance.parameters;
    const curves = parameters.map(scalingCurve), points = curves.flat();
    if (!points.length) {
      card.stage.replaceChildren(el("div", {class: "empty"}, "invariance.json holds no losses."));
      return [];
    }
    const range = (i) => [Math.min(...points.map((p) => p[i])), Math.max(...points.map((p) => p[i]))];
    const [left, right] = range(0), [low, high] = range(1), log = low > 0 && high / low > 30,
                 room = log ? 1 : 0.06 * (high - low || 1);
    const box = {x: 74, y: 12, w: 668, h: 280};
    const xs = scaleOf(left, right, box.x, box.x + box.w, true),
          ys = scaleOf(log ? low / 1.1 : low - room, log ? high * 1.1 : high + room, box.y + box.h, box.y, log);
    const names = parameters.map((parameter) => parameter.name), chosen = names.indexOf(weightPicked(card, names));
    const verdict = (parameter) => (parameter.verdict in verdictLooks ? parameter.verdict : "none");
    const order =
        parameters.map((_, i) => i).sort((i, j) => (verdict(parameters[j]) === "none") - (verdict(parameters[i]) === "none"));
    const lines = order.map((i) => {  // the invariant ones on top
      const parameter = parameters[i], key = `verdict ${verdict(parameter)}`;
      if (state.hidden.has(key)) return svg("g");
      const [stroke, dash] = verdictLooks[verdict(parameter)];
      const line = polyline(curves[i].map(([a, loss]) => [xs(a), ys(loss)]), {
        stroke: css(stroke),
        "stroke-dasharray": dash && dash.join(" "),
        "stroke-width": (i === chosen ? 2 : 1) * parseFloat(css("--line")),
        opacity: chosen < 0 ? 0.85 :
            i === chosen    ? 1 :
                              0.2
      });
      line.append(svg("title", {}, `${parameter.name}: ${parameter.words || verdictWords[verdict(parameter)]}`));
      return line;
    });
    card.show(760, box.y + box.h + 2.4 * fontSize() + 18, axes(box, xs, ys, "a", "loss"), ...lines);
    const present = Object.keys(verdictLooks).filter((one) => parameters.some((parameter) => verdict(parameter) === one));
    fillLegend(card.legend, present.map((one) => ({
                                          key: `verdict ${one}`,
                                          name: `${verdictWords[one]} (${parameters.filter((p) => verdict(p) === one).length})`,
                                          color: css(verdictLooks[one][0]),
                                          dash: verdictLooks[one][1]
                                        })));
    card.words.replaceChildren(chosen >= 0 ? el("p", {}, `${names[chosen]}: ${parameters[chosen].words || ""}`) : "");
    return [
      ["parameter", "verdict", "a", "loss"],
      ...parameters.flatMap((parameter, i) => curves[i].map(([a, loss]) => [parameter.name, parameter.verdict, a, loss]))
    ];
  },
};
