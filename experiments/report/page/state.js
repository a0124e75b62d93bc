// What the page shows, and in which colours.
const data = JSON.parse(document.getElementById("data").textContent);
const runs = data.runs;
const MEAN = "mean over layers", EVERY = "every layer";
const layerNames = [...new Set(runs.flatMap((run) => (run.probe ? run.probe.layers.slice(1) : [])))];
const probed = runs.filter((run) => run.probe);

const state = {
  theme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light",
  layer: probed.length === 1 && layerNames.length > 1 ? EVERY : layerNames.length === 1 ? layerNames[0] : MEAN,
  run: Math.max(0, runs.findIndex((run) => run.probe)),
  hidden: new Set(),  // keys of lines that are switched off
};

// Colours that people with any colour vision tell apart (Okabe and Ito's), darker or lighter to suit the paper.
const palettes = {
  light: ["#0072b2", "#d55e00", "#009e73", "#b3478c", "#d48a00", "#2a9fd6", "#444444"],
  dark: ["#56b4e9", "#ff8f4d", "#2fc69b", "#e29bc4", "#f0c040", "#8fd3ff", "#dddddd"],
  projector: ["#0060a0", "#c04000", "#007a55", "#9a2f78", "#a56a00", "#000000", "#6a3fb5"],
};
const dashes = [null, [8, 4], [2, 3], [10, 3, 2, 3], [16, 4], [6, 2, 2, 2, 2, 2]];
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

// An experiment has a colour; dashes tell its repetitions apart, and experiments of the same colour. Where there are not enough of
// them, each run has a look of its own.
const repetitions = new Map();
for (const run of runs) {
  const list = repetitions.get(run.experiment) || [];
  run.repetition = list.push(run) - 1;
  repetitions.set(run.experiment, list);
}
const mostRepetitions = Math.max(...[...repetitions.values()].map((list) => list.length));
const oneLookEach = mostRepetitions * Math.ceil(repetitions.size / 7) > dashes.length;
runs.forEach((run, index) => {
  run.key = `run ${index}`;
  run.color = oneLookEach ? index : run.experiment;
  run.dash = dashes[(oneLookEach ? Math.floor(index / 7) : mostRepetitions * Math.floor(run.experiment / 7) + run.repetition) % dashes.length];
});
const experimentDash = (experiment) => dashes[((oneLookEach ? 1 : mostRepetitions) * Math.floor(experiment / 7)) % dashes.length];

// Values of a run's config by path, "optimizer.lr", for the ones that differ.
function flatten(value, path = "", into = {}) {
  if (value === null || typeof value !== "object") into[path] = value;
  else for (const [key, inner] of Object.entries(value)) flatten(inner, path ? `${path}.${key}` : key, into);
  return into;
}
const options = runs.map((run) => flatten(run.config || {}));
const differing = [...new Set(options.flatMap((flat) => Object.keys(flat)))].filter(
  (path) => !/^(name|description|\$schema)$/.test(path) && new Set(options.map((flat) => JSON.stringify(flat[path]))).size > 1);
// Of these the ones that all runs have, so that they can be compared.
const telling = differing.filter((path) => path !== "seed" && options.every((flat) => path in flat));

// What sets an experiment apart from the others of the page.
function experimentName(experiment) {
  const list = repetitions.get(experiment), flat = options[runs.indexOf(list[0])];
  if (list.length === 1 || telling.length === 0) return list.length === 1 ? list[0].label : `${list[0].label} and repetitions`;
  return telling.slice(0, 3).map((path) => (path === "optimizer.type" ? flat[path] : `${path.split(".").pop()} ${flat[path]}`)).join(", ");
}

function shown(x) {
  if (x === null || x === undefined || Number.isNaN(x)) return "–";
  if (typeof x !== "number") return String(x);
  const size = Math.abs(x);
  if (x === 0 || (size >= 1e-3 && size < 1e5)) return String(Number(x.toPrecision(4)));
  return x.toExponential(2).replace(/\.?0*e\+?/, "e");
}
const percent = (x) => (typeof x === "number" && !Number.isNaN(x) ? `${(100 * x).toFixed(2)} %` : "–");
const last = (list) => {
  for (let i = (list || []).length - 1; i >= 0; --i) if (list[i] !== null) return list[i];
  return null;
};
const best = (list) => {
  const numbers = list.filter((x) => x !== null);
  return numbers.length ? Math.max(...numbers) : null;
};
const layerIndex = (run, name) => (run.probe ? run.probe.layers.indexOf(name) : -1);
