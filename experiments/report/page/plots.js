// The plots against steps, and where their numbers come from.
const layerWords = () => (state.layer === EVERY && layered.length > 1 ? `${EVERY} of ${runs[state.run].label}` : state.layer);

// The numbers of a column, where there are any; what a file calls its columns is no property of every object.
const columnOf = (columns, key) => (Object.hasOwn(columns, key) ? columns[key] : []);

// Lines of one quantity of layers: a line a run, or a line a layer of the run picked.
function layerLines(kind, subject, key) {
  if (state.layer !== EVERY) {
    return runs.flatMap((run) => {
      const layers = layersOf(run, kind, subject),
            y = layers && columnOf(layers.columns, key)[layers.names.indexOf(state.layer)];
      return y && y.length ?
          [{key: run.key, name: run.label, of: state.layer, color: color(run.color), dash: run.dash, x: layers.step, y}] :
          [];
    });
  }
  const run = runs[state.run], layers = run && layersOf(run, kind, subject);
  if (!layers) return [];
  const count = layers.names.length - 1;
  const lines = columnOf(layers.columns, key).map((y, i) => ({
                                                    key: i === 0 ? "mean" : `layer ${layers.names[i]}`,
                                                    name: layers.names[i],
                                                    of: run.label,
                                                    color: i === 0 ? css("--text") : depthColor(i - 1, count),
                                                    width: i === 0 ? 2 : 1,
                                                    x: layers.step,
                                                    y,
                                                  }));
  return [...lines.slice(1), lines[0]].filter((line) => line && line.y.length);  // the mean on top
}
const probeLines = (key) => layerLines(PROBE, "parameter", key);

// Lines of one quantity of steps or epochs, a line a run.
function runLines(kind, key, of = runs) {
  return of.filter((run) => held(kind, key, [run])).map((run) => {
    const table = run.measured.get(kind).table;
    return {key: run.key, name: run.label, color: color(run.color), dash: run.dash, x: table.step, y: columnOf(table, key)};
  });
}

const someNumber = (line) => line.some((y) => y !== null);
const held = (kind, key, of = runs) => of.some((run) => {
  const {table} = run.measured.get(kind) || {};
  return table && someNumber(columnOf(table, key));
});
const watched = (key, kind = PROBE, subject = "parameter") => runs.some((run) => {
  const layers = layersOf(run, kind, subject);
  return layers && columnOf(layers.columns, key).some(someNumber);
});

// The images that runs were measured on: a validation part, where one was held out for that, or the test set.
const isMeasured = (part, of) => held("epoch", `${part}_accuracy`, of);
const measuredPart = (of) => ["validation", "test"].find((part) => isMeasured(part, of));
const measuredParts = ["validation", "test"].filter((part) => runs.some((run) => measuredPart([run]) === part));
const measuredWords = measuredParts.join(" or ") || "test";
const withPart = (name, part) => (measuredParts.length > 1 ? `${name} (${part})` : name);
const measuredLines = (quantity) => measuredParts.flatMap(
    (part) => runLines("epoch", `${part}_${quantity}`, runs.filter((run) => measuredPart([run]) === part))
                  .map((line) => Object.assign(line, {part, name: withPart(line.name, part)})));

// The mean over the seeds of each experiment, with a band from the lowest to the highest.
function seedLines() {
  return [...repetitions.entries()].flatMap(([experiment, list]) => {
    const part = measuredPart(list), column = `${part}_accuracy`;
    if (!part) return [];
    const having = list.filter((run) => isMeasured(part, [run]));
    const x = sharedSteps(having.map((run) => ({x: run.epochs.step})));
    const values = x.map(
        (step) => having.map((run) => run.epochs[column][run.epochs.step.indexOf(step)]).filter((y) => typeof y === "number"));
    // Only where all have a value: a mean over others would jump.
    const of = (pick) => values.map((list) => (list.length === having.length ? pick(list) : null));
    const lowest = of((list) => Math.min(...list)), highest = of((list) => Math.max(...list)),
          mean = of((list) => list.reduce((a, b) => a + b) / list.length);
    const seedCount = new Set(having.map((run) => run.config && run.config.seed)).size;
    const seeds = having.length > 1 ?
        ` (${seedCount === having.length ? "" : `${having.length} runs, `}${seedCount} ${seedCount === 1 ? "seed" : "seeds"})` :
        "";
    return [{
      key: `experiment ${experiment}`,
      name: withPart(experimentName(experiment) + seeds, part),
      color: color(experiment),
      dash: lookOf(experiment, 0).dash,
      width: 1.3,
      x,
      y: mean,
      low: lowest,
      high: highest
    }];
  });
}

// Where runs project weights by the rule, as their optimizer's options say, and where SGDP would if none does.
function threshold() {
  const optimizers =
      probed.map((run) => (run.config && run.config.optimizer) || {}).filter(({projection}) => projection === "rule");
  const deltas = [...new Set(optimizers.map(({delta}) => delta))].filter((value) => typeof value === "number" && value > 0);
  if (!deltas.length) return [{value: 0.1, words: "SGDP would project below delta = 0.1"}];
  return deltas.map((value) => ({value, words: `weights are projected below delta = ${value}`}));
}

// Two quantities on one plot: the second lies under the first, wide and pale.
const paired = (first, part, second, secondPart) =>
    [...second.map(
         (line) => Object.assign(
             line, {part: secondPart, pale: true, color: faded(line.color), width: state.layer === EVERY ? 2.5 : 4})),
     ...first.map((line) => Object.assign({part}, line)),
];

// Sentences about runs, those that are equal put together.
function inWords(sentence) {
  const of = state.layer === EVERY ? [runs[state.run]] : probed, said = new Map();
  for (const run of of ) {
    if (!run || !run.probe) continue;
    const words = sentence(run.probe, Math.max(0, layerIndex(run, state.layer)));
    said.set(words, [...(said.get(words) || []), run.label]);
  }
  return [...said].map(([words, labels]) => (of.length > 1 ? `${labels.join(", ")}: ${words}.` : `${words}.`));
}
const projectedShare = (probe, i) =>
    (probe.fired[i] > 0 ? `projected in ${percent(probe.fired[i])} of the steps watched` : "projected in no step");
function ruleInWords(probe, i) {
  const gaps = probe.gap.slice(1)
                   .map((gap, layer) => [gap, probe.layers[layer + 1]])
                   .filter(([gap]) => gap !== null)
                   .sort((a, b) => b[0] - a[0]);
  if (!gaps.length) return probe.rule;
  if (i > 0) return `${probe.rule}; the largest difference is ${shown(100 * probe.gap[i])} %`;
  const close = gaps.filter(([gap]) => gap < 1e-4).length;
  return `${probe.rule}; ${close} of ${gaps.length} weights keep to it within 0.01 %, ${gaps[0][1]} is off by ${
      shown(100 * gaps[0][0])} %`;
}

const noProbe = 'no run has probe data; add "probes": [{"type": "scale_invariance"}] to the config';

// What is declared of the lines of a kind.
const quantitiesOf = (kind) => (data.kinds.find((one) => one.kind === kind) || {quantities: []}).quantities;
const quantityOf = (kind, key) => quantitiesOf(kind).find((one) => one.key === key);
const others = data.kinds.map((one) => one.kind).filter((kind) => ![PROBE, "step", "epoch", "path"].includes(kind));

// A plot of one quantity, as it is declared, with its companion; `more` adds to it.
function declaredPlot(kind, key, more = {}) {
  const one = quantityOf(kind, key), beside = quantityOf(kind, one.beside);
  const ofLayers = ["parameter", "module"].includes(one.per);
  const lines = (of) => (ofLayers ? layerLines(kind, one.per, of) : runLines(kind, of)), word = (of) => of.name || of.key;
  const missing = () => {
    if (ofLayers ? watched(key, kind, one.per) : held(kind, key)) return "";
    return kind === PROBE && !probed.length ? noProbe :
        kind === "step"                     ? "no run has noted it" :
                                              "the probe noted no such number";
  };
  return {
    id: `${kind}-${key}`,
    title: one.title || key,
    y: one.unit || key,
    log: one.scale === "log",
    caption: one.caption,
    missing,
    ...(ofLayers ? {of: layerWords} : {}),
    ...(one.share ? {value: percent} : {}),
    lines: () => (beside ? paired(lines(key), word(one), lines(beside.key), word(beside)) : lines(key)),
    ...more
  };
}
// Those of a kind: first the ones that `more` adds to, in its order.
function declaredPlots(kind, more = {}) {
  const keys = quantitiesOf(kind).filter((one) => one.drawn).map((one) => one.key),
        first = Object.keys(more).filter((key) => keys.includes(key));
  return [...first, ...keys.filter((key) => !first.includes(key))].map(
      (key) => declaredPlot(kind, key, Object.hasOwn(more, key) ? more[key] : {}));
}

// Plots of the test or validation part and the training set, which take what each run has.
const accuracy = {
  y: quantityOf("epoch", "test_accuracy").unit,
  log: false,
  value: percent
};
const training = [
  ...declaredPlots("step", {loss: {id: "loss"}, lr: {id: "lr"}}),
  {
    id: "test-loss",
    title: "Loss, epoch by epoch",
    y: quantityOf("epoch", "test_loss").unit,
    log: false,
    caption: `Thin: on the ${
        measuredWords} images, which the network was not trained on; pale: on the training set, during the epoch.`,
    missing: () => (held("epoch", "train_loss") ? "" : "no run has finished an epoch"),
    lines: () => paired(measuredLines("loss"), "", runLines("epoch", "train_loss"), "train")
  },
  {
    ...accuracy,
    id: "run-accuracy",
    title: "Accuracy, run by run",
    caption: `Thin: the share of the ${
        measuredWords} images that the network gets right; pale: of the training set, during the epoch.`,
    missing: () => (held("epoch", "train_accuracy") ? "" : "no run has finished an epoch"),
    lines: () => paired(measuredLines("accuracy"), "", runLines("epoch", "train_accuracy"), "train")
  },
  {
    ...accuracy,
    id: "accuracy",
    title: "Accuracy with its spread over seeds",
    y: `${measuredWords} ${accuracy.y}`,
    caption: "The mean over runs that differ in nothing but their seed; the band reaches from the worst to the best of them.",
    missing: () => (measuredParts.length ? "" : "no run was evaluated"),
    lines: seedLines
  },
];

// The cosines are drawn with the projection's threshold, and where it fired.
const cosinePlot = (id, key, fired) => ({
  id,
  level: threshold,
  lines: () => paired(probeLines(key), quantityOf(PROBE, key).name, probeLines(fired), "where it was projected")
});
const laboratory = [
  ...declaredPlots(PROBE, {
    norm: {id: "norm"},
    effective_step: {id: "effective-step"},
    angle: {id: "angle"},
    tangential: {id: "radial"},
    scaled_channel_cosine_max:
        {...cosinePlot("cosine", "scaled_channel_cosine_max", "fired_channel"), words: () => inWords(projectedShare)},
    scaled_cosine: cosinePlot("layer-cosine", "scaled_cosine", "fired_layer"),
  }),
  {
    id: "identity",
    title: "Squared norm, measured and predicted",
    y: `${quantityOf(PROBE, "norm").unit}²`,
    log: false,
    of: layerWords,
    caption:
        "Thin: measured; pale: what the lengths of the steps and momentum alone say, if every gradient is orthogonal to the " +
        "weight. Where they part, gradients lie along the weight in part, or, with SGDP and AdamP, a step was not " +
        "projected.",
    missing: () =>
        (!probed.length                        ? noProbe :
             watched("norm_squared_predicted") ? "" :
                                                 [...new Set(probed.map((run) => run.probe.rule))].join("; ") +
                 '; it takes a probe with "every": 1, from the first step on'),
    words: () => inWords(ruleInWords),
    lines: () => paired(probeLines("norm_squared"), "measured", probeLines("norm_squared_predicted"), "predicted")
  },
];
