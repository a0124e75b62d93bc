// Puts the page together and keeps it in step with the state.
const sections = [
  ["The path", [pathPlot], Picture], ["Training", training, Chart],
  ["The length and the direction of the weights", laboratory, Chart],
  ...others.map((kind) => [`Seen by the probe ${kind}`, declaredPlots(kind), Chart]),
  ["Maps and counts", [heatmap, histogram, scaling], Picture]
];

function buildBar() {
  const themes =
      el("span", {class: "joined", role: "group", "aria-label": "theme"},
         ...Object.keys(palettes).map(
             (theme) =>
                 el("button", {
                   type: "button",
                   "data-theme-choice": theme,
                   "aria-pressed": String(theme === state.theme),
                   onclick: () => setTheme(theme)
                 },
                    theme)));
  const bar = document.getElementById("bar");
  bar.replaceChildren(el("h1", {}, data.title));
  if (layerNames.length)
    bar.append(picker("layer", [MEAN, EVERY, ...layerNames].map((name) => [name, name]), state.layer, (layer) => {
      state.layer = layer;
      runPicker.hidden = layer !== EVERY || layered.length < 2;
      refresh("data");
    }));
  const runPicker =
      picker("of run", layered.map((run) => [String(runs.indexOf(run)), run.label]), String(state.run), (index) => {
        state.run = Number(index);
        refresh("data");
      });
  runPicker.hidden = state.layer !== EVERY || layered.length < 2;
  bar.append(runPicker, el("button", {type: "button", id: "unzoom", onclick: () => zoomTo(null, null)}, "all steps"), themes);
}

function setTheme(theme) {
  state.theme = theme;
  document.documentElement.dataset.theme = theme;
  for (const button of document.querySelectorAll("[data-theme-choice]"))
    button.setAttribute("aria-pressed", String(button.dataset.themeChoice === theme));
  document.querySelectorAll("#runs .swatch line").forEach((line, i) => line.setAttribute("stroke", color(runs[i].color)));
  refresh("data");
}

// "lines": what is hidden; "size": the room there is; "data": everything. One chart a turn, so that the page answers meanwhile.
function refresh(what) {
  const turn = ++refresh.turn, queue = [...charts].sort((a, b) => Number(b.visible) - Number(a.visible));
  const next = () => {
    if (turn !== refresh.turn) return;
    const chart = queue.shift();
    if (!chart) return document.body.setAttribute("data-drawn", String(charts.length));
    if (what === "lines")
      chart.update();
    else
      chart.draw();
    setTimeout(next, 0);
  };
  document.body.removeAttribute("data-drawn");
  next();
}
refresh.turn = 0;

function build() {
  document.documentElement.dataset.theme = state.theme;
  buildBar();
  const page = document.getElementById("page"), absent = new Map();  // titles by what is missing
  page.replaceChildren(...data.lessons.map(lessonPanel), ...[notesPanel(), runs.length ? runsPanel() : null].filter(Boolean));
  for (const [title, plots, Kind] of sections) {
    const drawn = plots.filter((plot) => {
      const missing = plot.missing();
      if (missing) absent.set(missing, [...(absent.get(missing) || []), plot.title]);
      return !missing;
    });
    if (drawn.length)
      page.append(
          el("h2", {}, title),
          el("div", {class: drawn.length > 1 ? "plots" : "plots wide"}, ...drawn.map((plot) => new Kind(plot).box)));
  }
  if (judged.length) page.append(el("h2", {}, "Whose length matters?"), ...judged.map(scorecard));
  if (absent.size && runs.length)
    page.append(
        el("h2", {}, "Not drawn"),
        el("section", {class: "panel", id: "absent"},
           el("ul", {}, ...[...absent].map(([missing, titles]) => el("li", {}, `${titles.join(" · ")}: ${missing}.`)))));
  if (runs.length) page.append(el("h2", {}, "To repeat it"), repeatPanel());
  refresh("data");
}
build();
