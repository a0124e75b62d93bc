// The plots against steps, and where their numbers come from.
const layerWords = () => (state.layer === EVERY && probed.length > 1 ? `${EVERY} of ${runs[state.run].label}` : state.layer);

// Lines of one quantity of the probe: a line a run, or a line a layer of the run picked.
function probeLines(column) {
  if (state.layer !== EVERY) {
    return probed.filter((run) => layerIndex(run, state.layer) >= 0 && run.probe[column][layerIndex(run, state.layer)].length).map((run) => (
      { key: run.key, name: run.label, of: state.layer, color: color(run.color), dash: run.dash, x: run.probe.step, y: run.probe[column][layerIndex(run, state.layer)] }));
  }
  const run = runs[state.run];
  if (!run || !run.probe) return [];
  const count = run.probe.layers.length - 1;
  const lines = run.probe.layers.map((name, i) => ({
    key: i === 0 ? "mean" : `layer ${name}`, name, of: run.label, color: i === 0 ? css("--text") : depthColor(i - 1, count), width: i === 0 ? 2 : 1,
    x: run.probe.step, y: run.probe[column][i],
  }));
  return [...lines.slice(1), lines[0]].filter((line) => line.y.length);  // the mean on top
}

function runLines(part, column, of = runs) {
  return of.filter((run) => held(part, column, [run])).map((run) => (
    { key: run.key, name: run.label, color: color(run.color), dash: run.dash, x: run[part].step, y: run[part][column] }));
}

const held = (part, column, of = runs) => of.some((run) => run[part][column] && run[part][column].some((y) => y !== null));
const watched = (column) => probed.some((run) => run.probe[column].some((line) => line.some((y) => y !== null)));

// The images that runs were measured on: a validation part, where one was held out for that, or the test set.
const isMeasured = (part, of) => held("epochs", `${part}_accuracy`, of);
const measuredPart = (of) => ["validation", "test"].find((part) => isMeasured(part, of));
const measuredParts = ["validation", "test"].filter((part) => runs.some((run) => measuredPart([run]) === part));
const measuredWords = measuredParts.join(" or ") || "test";
const withPart = (name, part) => (measuredParts.length > 1 ? `${name} (${part})` : name);
const measuredLines = (quantity) => measuredParts.flatMap((part) => runLines("epochs", `${part}_${quantity}`, runs.filter((run) => measuredPart([run]) === part))
  .map((line) => Object.assign(line, { part, name: withPart(line.name, part) })));

// The mean over the seeds of each experiment, with a band from the lowest to the highest.
function seedLines() {
  return [...repetitions.entries()].flatMap(([experiment, list]) => {
    const part = measuredPart(list), column = `${part}_accuracy`;
    if (!part) return [];
    const having = list.filter((run) => isMeasured(part, [run]));
    const x = sharedSteps(having.map((run) => ({ x: run.epochs.step })));
    const values = x.map((step) => having.map((run) => run.epochs[column][run.epochs.step.indexOf(step)]).filter((y) => typeof y === "number"));
    // Only where all have a value: a mean over others would jump.
    const of = (pick) => values.map((list) => (list.length === having.length ? pick(list) : null));
    const lowest = of((list) => Math.min(...list)), highest = of((list) => Math.max(...list)), mean = of((list) => list.reduce((a, b) => a + b) / list.length);
    const seedCount = new Set(having.map((run) => run.config && run.config.seed)).size;
    const seeds = having.length > 1 ? ` (${seedCount === having.length ? "" : `${having.length} runs, `}${seedCount} ${seedCount === 1 ? "seed" : "seeds"})` : "";
    return [{ key: `experiment ${experiment}`, name: withPart(experimentName(experiment) + seeds, part), color: color(experiment), dash: lookOf(experiment, 0).dash, width: 1.3, x, y: mean, low: lowest, high: highest }];
  });
}

// Where runs project weights by the rule, and where SGDP would if none does.
function threshold() {
  const optimizers = probed.map((run) => (run.config && run.config.optimizer) || {}).filter(({ type, projection }) => /^(sgdp|adamp)$/.test(type) && (projection || "rule") === "rule");
  const deltas = [...new Set(optimizers.map(({ delta }) => (typeof delta === "number" ? delta : 0.1)))].filter((value) => value > 0);
  if (!deltas.length) return [{ value: 0.1, words: "SGDP would project below delta = 0.1" }];
  return deltas.map((value) => ({ value, words: `weights are projected below delta = ${value}` }));
}

// Two quantities on one plot: the second lies under the first, wide and pale.
const paired = (first, part, second, secondPart) => [
  ...second.map((line) => Object.assign(line, { part: secondPart, pale: true, color: faded(line.color), width: state.layer === EVERY ? 2.5 : 4 })),
  ...first.map((line) => Object.assign({ part }, line)),
];

// Sentences about runs, those that are equal put together.
function inWords(sentence) {
  const of = state.layer === EVERY ? [runs[state.run]] : probed, said = new Map();
  for (const run of of) {
    if (!run || !run.probe) continue;
    const words = sentence(run.probe, Math.max(0, layerIndex(run, state.layer)));
    said.set(words, [...(said.get(words) || []), run.label]);
  }
  return [...said].map(([words, labels]) => (of.length > 1 ? `${labels.join(", ")}: ${words}.` : `${words}.`));
}
const projectedShare = (probe, i) => (probe.fired[i] > 0 ? `projected in ${percent(probe.fired[i])} of the steps watched` : "projected in no step");
function ruleInWords(probe, i) {
  const gaps = probe.gap.slice(1).map((gap, layer) => [gap, probe.layers[layer + 1]]).filter(([gap]) => gap !== null).sort((a, b) => b[0] - a[0]);
  if (!gaps.length) return probe.rule;
  if (i > 0) return `${probe.rule}; the largest difference is ${shown(100 * probe.gap[i])} %`;
  const close = gaps.filter(([gap]) => gap < 1e-4).length;
  return `${probe.rule}; ${close} of ${gaps.length} weights keep to it within 0.01 %, ${gaps[0][1]} is off by ${shown(100 * gaps[0][0])} %`;
}

const noProbe = 'no run has probe data; add "probes": [{"type": "scale_invariance"}] to the config';
const needsProbe = (column) => (probed.length ? (watched(column) ? "" : "the probe noted no such number") : noProbe);
const training = [
  { id: "loss", title: "Training loss", y: "loss", log: false, caption: "The loss of the batches, as each run went along.",
    missing: () => (held("steps", "loss") ? "" : "no run has noted a loss"), lines: () => runLines("steps", "loss") },
  { id: "test-loss", title: "Loss, epoch by epoch", y: "loss", log: false,
    caption: `Thin: on the ${measuredWords} images, which the network was not trained on; pale: on the training set, during the epoch.`,
    missing: () => (held("epochs", "train_loss") ? "" : "no run has finished an epoch"),
    lines: () => paired(measuredLines("loss"), "", runLines("epochs", "train_loss"), "train") },
  { id: "run-accuracy", title: "Accuracy, run by run", y: "accuracy", log: false, value: percent,
    caption: `Thin: the share of the ${measuredWords} images that the network gets right; pale: of the training set, during the epoch.`,
    missing: () => (held("epochs", "train_accuracy") ? "" : "no run has finished an epoch"),
    lines: () => paired(measuredLines("accuracy"), "", runLines("epochs", "train_accuracy"), "train") },
  { id: "accuracy", title: "Accuracy with its spread over seeds", y: `${measuredWords} accuracy`, log: false, value: percent,
    caption: "The mean over runs that differ in nothing but their seed; the band reaches from the worst to the best of them.",
    missing: () => (measuredParts.length ? "" : "no run was evaluated"), lines: seedLines },
  { id: "lr", title: "Learning rate", y: "learning rate", log: false, caption: "What the schedule makes of the learning rate.",
    missing: () => (held("steps", "lr") ? "" : "no run has noted a step"), lines: () => runLines("steps", "lr") },
];
const laboratory = [
  { id: "norm", title: "Norm of the weights", y: "‖w‖", log: true, of: layerWords,
    caption: "A weight under batch norm computes the same at any length, yet every step that is orthogonal to it makes it longer, momentum's most of all.",
    missing: () => needsProbe("norm"), lines: () => probeLines("norm") },
  { id: "effective-step", title: "Effective step", y: "‖ŵ′ − ŵ‖", log: true, of: layerWords,
    caption: "How far one step moves the direction of the weight, which is all that a scale-invariant network sees: it falls as the norm grows.",
    missing: () => needsProbe("effective_step"), lines: () => probeLines("effective_step") },
  { id: "angle", title: "Angle of a step, and its equilibrium", y: "radians", log: true, of: layerWords,
    caption: "Thin: the angle that each step turns the weight by; pale: the one at which growth by steps and shrinking by weight decay would balance, where theory knows it.",
    missing: () => needsProbe("angle"), lines: () => paired(probeLines("angle"), "measured", probeLines("equilibrium_angle"), "equilibrium") },
  { id: "identity", title: "Squared norm, measured and predicted", y: "‖w‖²", log: false, of: layerWords,
    caption: "Thin: measured; pale: what the lengths of the steps and momentum alone say, if every gradient is orthogonal to the weight. Where they part, gradients lie along the weight in part, or, with SGDP and AdamP, a step was not projected.",
    missing: () => (!probed.length ? noProbe : watched("norm_squared_predicted") ? ""
      : [...new Set(probed.map((run) => run.probe.rule))].join("; ") + '; it takes a probe with "every": 1, from the first step on'),
    words: () => inWords(ruleInWords), lines: () => paired(probeLines("norm_squared"), "measured", probeLines("norm_squared_predicted"), "predicted") },
  { id: "cosine", title: "Is the gradient orthogonal to the weight?", y: "largest |cos(w, g)| √dim", log: true, of: layerWords, level: threshold,
    caption: "The largest cosine of a channel with its gradient, times the root of its size (the mean over layers is a geometric one): SGDP and AdamP take a weight for scale-invariant, and project its step, in the shaded region, unless it has one dimension only, as biases and gains have; pale: steps that were projected by channel.",
    missing: () => needsProbe("scaled_channel_cosine_max"), words: () => inWords(projectedShare),
    lines: () => paired(probeLines("scaled_channel_cosine_max"), "cosine", probeLines("fired_channel"), "where it was projected") },
  { id: "layer-cosine", title: "The same for layers as a whole", y: "|cos(w, g)| √dim", log: true, of: layerWords, level: threshold,
    caption: "The second view of the projection's rule, tried where some channel fails the first; pale: steps that were projected on this view. A random gradient falls below delta by chance in 8 steps of 100.",
    missing: () => needsProbe("scaled_cosine"), lines: () => paired(probeLines("scaled_cosine"), "cosine", probeLines("fired_layer"), "where it was projected") },
  { id: "radial", title: "Radial against tangential", y: "length", log: true, of: layerWords,
    caption: "Thin: the part of a step across the weight, which turns it; pale: the part along the weight, which only changes its length.",
    missing: () => needsProbe("tangential"), lines: () => paired(probeLines("tangential"), "tangential", probeLines("radial"), "radial") },
];
