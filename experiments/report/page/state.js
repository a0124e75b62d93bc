// What the page shows, and in which colours.
const data = JSON.parse(document.getElementById("data").textContent);
const runs = data.runs;
const MEAN = "mean over layers", EVERY = "every layer";
const probed = runs.filter((run) => run.probe);
const PROBE = "scale_invariance";
// What a run measured, by kind: a table of what is of steps, and, by what they are of (parameter or module), {names, step,
// columns} of what is of layers.
for (const run of runs) {
  run.measured =
      new Map([["step", {table: run.steps}], ["epoch", {table: run.epochs}], ...run.others.map((one) => [one.kind, one])]);
  if (run.probe)
    run.measured.set(PROBE, {layers: {parameter: {names: run.probe.layers, step: run.probe.step, columns: run.probe}}});
}
const layersOf = (run, kind, subject) => ((run.measured.get(kind) || {}).layers || {})[subject];
const allLayers = (run) => [...run.measured.values()].flatMap((one) => Object.values(one.layers || {}));
const layered = runs.filter((run) => allLayers(run).length);
const layerNames = [...new Set(layered.flatMap((run) => allLayers(run).flatMap((layers) => layers.names.slice(1))))];

const state = {
  theme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light",
  layer: layered.length === 1 && layerNames.length > 1 ? EVERY :
      layerNames.length === 1                          ? layerNames[0] :
                                                         MEAN,
  run: Math.max(0, runs.findIndex((run) => layered.includes(run))),
  hidden: new Set(),  // keys of lines that are switched off
};

// Colours that people with any colour vision tell apart (Okabe and Ito's), darker or lighter to suit the paper.
const palettes = {
  light: ["#0072b2", "#d55e00", "#009e73", "#b3478c", "#d48a00", "#2a9fd6", "#444444"],
  dark: ["#56b4e9", "#ff8f4d", "#2fc69b", "#e29bc4", "#f0c040", "#8fd3ff", "#dddddd"],
  projector: ["#0060a0", "#c04000", "#007a55", "#9a2f78", "#a56a00", "#000000", "#6a3fb5"],
};
const dashes = [null, [8, 4], [2, 3], [10, 3, 2, 3], [16, 4], [6, 2, 2, 2, 2, 2]];
// As many as there are runs: from here on a stroke and ever more dots.
const dashAt = (index) =>
    (index < dashes.length ? dashes[index] : [14, 3, ...Array.from({length: index - 3}, () => [2, 3]).flat()]);
const viridis = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];

const color = (index) => palettes[state.theme][index % 7];
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// A colour for a share of 0 to 1, dark to light.
function shade(share) {
  const at = Math.min(1, Math.max(0, share)) * (viridis.length - 1), low = Math.min(Math.floor(at), viridis.length - 2);
  const part = (hex, i) => parseInt(hex.slice(1 + 2 * i, 3 + 2 * i), 16);
  const mix = [0, 1, 2].map((i) => Math.round(part(viridis[low], i) * (1 - at + low) + part(viridis[low + 1], i) * (at - low)));
  return `rgb(${mix.join(",")})`;
}
// Layers by depth, kept off the paper's own brightness.
function depthColor(index, count) {
  const share = count > 1 ? index / (count - 1) : 0;
  return shade(state.theme === "dark" ? 0.4 + 0.6 * share : 0.82 * share);
}

const faded = (stroke) => (stroke.startsWith("#") ? `${stroke}55` : stroke.replace("rgb(", "rgba(").replace(")", ",0.33)"));

// How a run looks, in every plot, legend and table: an experiment has a colour; dashes tell its repetitions apart, and
// experiments of the same colour.
const repetitions = new Map();
for (const run of runs) {
  const list = repetitions.get(run.experiment) || [];
  run.repetition = list.push(run) - 1;
  repetitions.set(run.experiment, list);
}
const mostRepetitions = Math.max(...[...repetitions.values()].map((list) => list.length));
const lookOf = (experiment, repetition) =>
    ({color: experiment, dash: dashAt(mostRepetitions * Math.floor(experiment / 7) + repetition)});
runs.forEach((run, index) => Object.assign(run, {key: `run ${index}`}, lookOf(run.experiment, run.repetition)));

// Values of a run's config by path, "optimizer.lr", for the ones that differ; a list of numbers or words is one value.
function flatten(value, path = "", into = {}) {
  if (value === null || typeof value !== "object")
    into[path] = value;
  else if (Array.isArray(value) && value.every((one) => one === null || typeof one !== "object"))
    into[path] = value.join(", ");
  else
    for (const [key, inner] of Object.entries(value)) flatten(inner, path ? `${path}.${key}` : key, into);
  return into;
}
const options = runs.map((run) => flatten(run.config || {}));
const differing = [...new Set(options.flatMap((flat) => Object.keys(flat)))].filter(
    (path) =>
        !/^(name|description|\$schema)$/.test(path) && new Set(options.map((flat) => JSON.stringify(flat[path]))).size > 1);
// Of these the ones that all runs have, so that they can be compared.
const telling = differing.filter((path) => path !== "seed" && options.every((flat) => path in flat));

// What sets an experiment apart from the others of the page.
function experimentName(experiment) {
  const list = repetitions.get(experiment), flat = options[runs.indexOf(list[0])];
  if (list.length === 1 || telling.length === 0) return list.length === 1 ? list[0].label : `${list[0].label} and repetitions`;
  return telling.slice(0, 3)
      .map((path) => (path === "optimizer.type" ? flat[path] : `${path.split(".").pop()} ${flat[path]}`))
      .join(", ");
}

function shown(x) {
  if (x === null || x === undefined || Number.isNaN(x)) return "–";
  if (typeof x !== "number") return String(x);
  const size = Math.abs(x);
  if (x === 0 || (size >= 1e-3 && size < 1e5)) return String(Number(x.toPrecision(4)));
  return x.toExponential(2).replace(/\.?0*e\+?/, "e");
}
// What is set or counted, as it is.
const exact = (x) => (x === null || x === undefined ? "–" : String(x));
// With two decimals, or as many as keep a part from reading as all or nothing.
function percent(x) {
  if (typeof x !== "number" || Number.isNaN(x)) return "–";
  let digits = 2;
  while (digits < 12 && x > 0 && x < 1 && [0, 100].includes(Number((100 * x).toFixed(digits)))) ++digits;
  return `${(100 * x).toFixed(digits)} %`;
}
const last = (list) => {
  for (let i = (list || []).length - 1; i >= 0; --i)
    if (list[i] !== null) return list[i];
  return null;
};
const best = (list) => {
  const numbers = list.filter((x) => x !== null);
  return numbers.length ? Math.max(...numbers) : null;
};
const layerIndex = (run, name) => (run.probe ? run.probe.layers.indexOf(name) : -1);
