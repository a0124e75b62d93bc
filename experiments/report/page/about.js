// What is said in words and tables: a lesson's outcome, what is missing, the runs and how to repeat them.
function lessonPanel(lesson) {
  const rows = Array.isArray(lesson.rows) ? lesson.rows : [];
  const words = (row, name) => (row.words && row.words[name]) || "–";
  return el(
      "section", {class: "panel lesson"}, lesson.question ? el("p", {class: "question"}, lesson.question) : null,
      lesson.formula ? el("p", {class: "formula"}, lesson.formula) : null,
      table(
          ["What", "Predicted", "Measured", "Relative error", "Allowed", ""],
          rows.map(
              (row) =>
                  [row.what,
                   ...["predicted", "measured", "error", "allowed"].map((name) => words(row, name)),
                   el("span", {class: row.holds ? "holds" : "fails"}, row.holds ? "✓ holds" : "✗ does not hold"),
  ]),
          [1, 2, 3, 4]));
}

function table(heads, rows, numeric = []) {
  const kind = (i) => (numeric.includes(i) ? "number" : null);
  const cell = (content) =>
      (content instanceof Node                       ? content :
           content === null || content === undefined ? "–" :
                                                       String(content));
  return el(
      "table", {}, el("thead", {}, el("tr", {}, ...heads.map((head, i) => el("th", {class: kind(i)}, head)))),
      el("tbody", {},
         ...rows.map((row) => el("tr", {}, ...row.map((content, i) => el("td", {class: kind(i)}, cell(content)))))));
}

function runsPanel() {
  const columns = telling.filter((path) => path !== "optimizer.type").slice(0, 6);
  const seeds = differing.includes("seed"), parts = ["validation", "test"].filter((part) => isMeasured(part));
  // The best of a run is told by the part that is held out for that, if there is one.
  const scores = parts.flatMap(
      (part, i) => [[`Last ${part} accuracy`, part, last], ...(i ? [] : [[`Best ${part} accuracy`, part, best]])]);
  const rows = runs.map((run, i) => {
    const flat = options[i];
    return [
      el("span", {class: "name"}, el("span", {class: "swatch"}, sample(color(run.color), run.dash, 2.5)), run.label),
      flat["optimizer.type"],
      ...columns.map((path) => el("span", {class: "value", title: exact(flat[path])}, exact(flat[path]))),
      ...(seeds ? [exact(flat.seed)] : []), exact(last(run.epochs.step.length ? run.epochs.step : run.steps.step)),
      shown(last(run.epochs.train_loss) ?? last(run.steps.loss)),
      ...scores.map(([, part, pick]) => percent(pick(run.epochs[`${part}_accuracy`])))
    ];
  });
  const fixed = 2, numbers = Array.from({length: columns.length + 3 + scores.length}, (_, i) => i + fixed);
  return el(
      "section", {class: "panel", id: "runs"},
      table(
          [
            "Run", "Optimizer", ...columns.map((path) => path.split(".").slice(-2).join(".")), ...(seeds ? ["Seed"] : []),
            "Steps", "Last loss", ...scores.map(([head]) => head)
          ],
          rows, numbers));
}

function notesPanel() {
  const list = runs.flatMap((run) => run.notes.map((note) => el("li", {}, runs.length > 1 ? `${run.label}: ${note}` : note)));
  const models = new Set(runs.filter((run) => run.config).map((run) => JSON.stringify(run.config.model)));
  if (models.size > 1)
    list.push(el("li", {}, "These runs are of different models: a mean over layers is over the layers that each run has."));
  const longest = Math.max(0, ...runs.flatMap((run) => [run.stretch.steps, run.stretch.layers]));
  if (longest)
    list.push(
        el("li", {},
           `Long lines are thinned out: of every stretch of steps, of ${longest} at the most, each keeps its lowest and its ` +
               "highest point, or, where numbers are missing, its highest and a gap."));
  if (paths.some((path) => path.of > path.points.step.length))
    list.push(
        el("li", {},
           "Long paths are thinned out: of every stretch of iterations they keep the outermost points in each direction."));
  return list.length ? el("section", {class: "panel", id: "notes"}, el("ul", {}, ...list)) : null;
}

// What `azimuth invariance` found of each weight of a run.
function scorecard(run) {
  const share = (rate) => (typeof rate === "number" ? percent(rate) : "–"), rates = (one) => one.hit_rate || {};
  return el(
      "details", {class: "panel"},
      el("summary", {}, `${run.label}: ${run.invariance.parameters.length} weights, ${run.invariance.batches} batches`),
      table(
          ["Weight", "Verdict", "Graph", "Numbers", "SGDP's rule, by channel", "by layer", "In words"],
          run.invariance.parameters.map(
              (one) =>
                  [one.name, one.verdict, one.structure, one.numbers, share(rates(one).channel), share(rates(one).layer),
                   one.words]),
          [4, 5]));
}

function repeatPanel() {
  const lessons =
      data.lessons.filter((lesson) => lesson.name).map((lesson) => el("pre", {}, `azimuth lesson ${quoted(lesson.name)}`));
  return el("section", {class: "panel", id: "repeat"}, ...lessons, ...runs.map((run) => {
    const whole = run.config && run.config.model && run.config.data;  // a toy's config is no experiment
    const about = run.environment || {},
          facts = ["date", "commit", "processor", "threads", "onednn", "compiler"].filter((name) => about[name] !== undefined);
    return el(
        "details", {open: runs.length === 1},
        el("summary", {}, run.label,
           run.config && run.config.description ? el("span", {class: "small"}, ` — ${run.config.description}`) : null),
        about.command ? el("p", {}, "The command, as it was typed:") : null,
        about.command ? el("pre", {}, about.command) : null,
        whole ? el("p", {}, "The same from its folder, or from the config below, saved as a file:") : null,
        whole ? el("pre", {}, `azimuth train ${quoted(`${run.folder}/config.json`)}`) : null,
        facts.length ? el("p", {class: "small"}, facts.map((name) => `${name}: ${about[name]}`).join(" · ")) : null,
        run.config ? el("details", {}, el("summary", {}, "config.json, with every default"),
                        el("pre", {}, JSON.stringify(run.config, null, 2))) :
                     null);
  }));
}
const quoted = (path) => (/^[\w./=+-]+$/.test(path) ? path : `'${path.replace(/'/g, "'\\''")}'`);
