// Uses a report as a reader would, and gives {held, problems, tables}: how many checks held, which did not, and what the plots
// export as CSV, by layer chosen and plot. `expect` names the report (tests/report/check).
async function exercise(expect) {
  const problems = [];
  let held = 0;
  const check = (holds, words) => (holds ? ++held : problems.push(words));
  const pause = (ms) => new Promise((go) => setTimeout(go, ms));
  // Waits for what a machine with much else to do may take a while for.
  const until = async (holds) => {
    for (let i = 0; i < 3000 && !holds(); ++i) await pause(20);
    return holds();
  };
  const drawn = async () => {
    await pause(20);
    if (!(await until(() => document.body.hasAttribute("data-drawn")))) problems.push("the plots did not come to an end");
  };
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);
  const pixels = (id) => one(`#${id} canvas`).toDataURL();
  const inPicture = (text, svg) => {
    const {x, y, width, height} = text.getBBox(), room = svg.viewBox.baseVal;
    return x >= 0 && y >= 0 && x + width <= room.width && y + height <= room.height;
  };
  // Where a plot draws its threshold: at the row with most of its colour, read off the numbers of the logarithmic axis.
  const levelDrawn = (id) => {
    const canvas = one(`#${id} canvas`), hex = getComputedStyle(document.documentElement).getPropertyValue("--good").trim();
    const [red, green, blue] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)),
                       {data, width} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const counts = Array(canvas.height).fill(0);
    for (let i = 0; i < data.length; i += 4)
      if (data[i] === red && data[i + 1] === green && data[i + 2] === blue) ++counts[Math.floor(i / 4 / width)];
    const frame = canvas.getBoundingClientRect(),
          y = (counts.indexOf(Math.max(...counts)) + 0.5) * (frame.height / canvas.height);
    const marks = all(`#${id} .dygraph-axis-label-y`).map((mark) => {
      const place = mark.getBoundingClientRect();
      return [place.top + place.height / 2 - frame.top, Math.log10(Number(mark.textContent))];
    });
    const [[low, from], [high, to]] = [marks[0], marks[marks.length - 1]];
    return 10 ** (from + ((y - low) / (high - low)) * (to - from));
  };
  const colors = (canvas) =>
      new Set(new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size;
  const choose = async (select, value) => {
    select.value = value;
    select.dispatchEvent(new Event("change"));
    await drawn();
  };
  const mouse = (target, type, x, y) => target.dispatchEvent(
      new MouseEvent(type, {clientX: x, clientY: y, bubbles: true, cancelable: true, view: window, button: 0, detail: 1}));

  await drawn();
  const ids = {
    single: [
      "loss", "test-loss", "run-accuracy", "accuracy", "lr", "norm", "effective-step", "angle", "identity", "cosine",
      "layer-cosine", "radial", "heatmap", "histogram", "scaling"
    ],
    several: [
      "loss", "accuracy", "lr", "norm", "effective-step", "angle", "identity", "cosine", "radial", "heatmap", "histogram",
      "scaling"
    ],
    lesson: ["path"],
    toys: ["path", "loss", "accuracy"],
    hostile: ["loss", "norm"],
    cut: ["loss", "norm"],
    one: [],
    empty: [],
    shapes: ["loss", "norm"],
    many: ["loss", "accuracy", "norm", "heatmap"],
    sweep: ["loss", "run-accuracy", "accuracy"],
    stranger: ["loss", "norm", "update_ratio-ratio", "update_ratio-above"],
    modules: [
      "loss", "dead_units-dead", "dead_units-gradient", "activations-zeros", "activations-mean", "activations-rms",
      "activations-gradient_rms"
    ],
  }[expect];
  for (const id of ids) check(one(`#${id}`), `${id} is there`);
  for (const box of all(".card")) {
    const canvas = one("canvas", box), picture = one(".stage svg", box), empty = one(".empty", box);
    check(empty || (canvas ? colors(canvas) > 3 : picture && picture.querySelectorAll("*").length > 5), `${box.id} is drawn`);
    check(one(".caption", box).textContent.length > 20, `${box.id} has a caption`);
    check(!ids.includes(box.id) || !empty, `${box.id} has something to show`);
    const looks = all(".chip line", box).map((line) => line.getAttribute("stroke") + line.getAttribute("stroke-dasharray"));
    check(new Set(looks).size === looks.length, `no two lines of ${box.id} look alike`);
    check(
        all(".chip", box).every((chip) => chip.title.includes(one("span", chip).textContent)),
        `${box.id} tells the whole name of a line that is cut`);
  }
  // A run looks the same in every legend and in the table, and unlike the others.
  const lookOfRun = new Map(), look = (line) => `${line.getAttribute("stroke")} ${line.getAttribute("stroke-dasharray")}`;
  const runLines = [
    ...all(".chip").map((chip) => [chip.dataset.key.replace(/^path (run \d+) 0$/, "$1"), one("line", chip)]),
    ...all("#runs .swatch line").map((line, i) => [`run ${i}`, line])
  ];
  for (const [key, line] of runLines)
    if (/^run \d+$/.test(key)) lookOfRun.set(key, new Set([...(lookOfRun.get(key) || []), look(line)]));
  check([...lookOfRun.values()].every((looks) => looks.size === 1), "a run looks the same everywhere");
  check(new Set([...lookOfRun.values()].flatMap((looks) => [...looks])).size === lookOfRun.size, "no two runs look alike");
  check(!window.hacked && !one("main img"), "text from a config stays text");
  check(performance.getEntriesByType("resource").length === 0, "nothing is loaded");

  const paper = () => getComputedStyle(document.body).backgroundColor, first = paper();
  for (const theme of ["dark", "projector", "light"]) {
    one(`[data-theme-choice="${theme}"]`).click();
    await drawn();
    check(document.documentElement.dataset.theme === theme, `the theme ${theme} is chosen`);
    if (theme === "dark") check(paper() !== first || first === "rgb(14, 17, 22)", "the dark theme is another");
  }

  if (["single", "several", "many"].includes(expect)) {
    const select = one("#bar select"), names = all("option", select).map((option) => option.value);
    await choose(select, names[0]);
    const before = pixels("norm");
    await choose(select, names[2]);
    check(pixels("norm") !== before, "another layer gives another curve");
    check(
        one("#norm h3").textContent === `Norm of the weights: ${names[2]}` && one("#loss h3").textContent === "Training loss",
        "a plot of layers is headed by the one that it shows");
    check(expect === "many" || Math.abs(Math.log10(levelDrawn("cosine") / 0.1)) < 0.1, "delta is drawn at 0.1");
    await choose(select, names[1]);
    check(all("#norm .chip").length === names.length - 1, "every layer and the mean have a line");
    await choose(select, names[0]);

    const shownBefore = pixels("loss"), chip = () => one("#loss .chip");
    chip().click();
    await drawn();
    check(
        pixels("loss") !== shownBefore && chip().getAttribute("aria-pressed") === "false",
        "a click on the legend hides a line");
    chip().click();
    await drawn();
    check(pixels("loss") === shownBefore, "another shows it again");
    one("#norm .scale").click();
    check(await until(() => pixels("norm") !== before), "the scale may be linear");
    one("#norm .scale").click();

    const place = one("#loss .plot").getBoundingClientRect(), target = all("#loss canvas")[1], y = place.top + place.height / 2;
    mouse(target, "mousemove", place.left + place.width * 0.5, y);
    check(await until(() => one("#norm .cursor").style.display === "block"), "the cursor shows in other plots, too");
    check(
        /^step \d/.test(one("#lr .at").textContent) && one("#lr .chip output").textContent !== "",
        "with the step and the values there");
    if (expect === "several") {
      const early = one("#lr .at").textContent;
      mouse(target, "mousemove", place.left + place.width * 0.95, y);
      await until(() => one("#lr .at").textContent !== early);
      const said = (name) =>
          one("output", all("#loss .chip").find((chip) => one("span", chip).textContent === name)).textContent;
      check(said("sgd-1") !== "" && said("wide") === "", "a run that had ended has no value at the cursor");
    }
    const labels = (id) => all(`#${id} .dygraph-axis-label-x`).map((label) => label.textContent).join();
    const wide = labels("norm");
    mouse(target, "mousedown", place.left + place.width * 0.4, y);
    mouse(document, "mousemove", place.left + place.width * 0.6, y);
    mouse(document, "mouseup", place.left + place.width * 0.6, y);
    check(await until(() => labels("norm") !== wide), "a zoom is followed by other plots");
    one("#unzoom").click();
    check(await until(() => labels("norm") === wide), "and taken back");
  }
  if (expect === "single") {
    const curve = () => one("#scaling .stage").innerHTML, before = curve();
    await choose(one("#scaling select"), "4.weight");
    check(
        curve() !== before && /takes its length away/.test(one("#scaling .words").textContent),
        "a weight may be picked, and is judged in words");
  }
  if (expect === "lesson") {
    const picture = () => one("#path .stage").innerHTML, input = (name) => one(`#path input[name="${name}"]`);
    const slide = (name, value) => {
      input(name).value = value;
      input(name).dispatchEvent(new Event("input"));
    };
    const end = picture(), legend = () => one("#path .legend").textContent;
    slide("iteration", 20);
    check(picture() !== end, "the slider of iterations moves the point");
    const early = picture(), name = legend();
    slide("beta", 1);
    check(picture() !== early && legend() !== name, "the slider of beta changes the path");
    const texts = all("#path .stage text"), named = (words) => texts.filter((text) => text.textContent === words).length;
    check(
        texts.every((text) => inPicture(text, one("#path .stage svg"))) &&
            texts.filter((text) => Number(text.textContent) > 0).length > 3,
        "rings are labelled within the picture");
    check(named("start") === 1 && named("target") === 1, "the start and the target are marked");
    check(all(".lesson tbody tr").length === 2 && all(".lesson .fails").length === 1, "the lesson's table says what holds");
  }
  if (expect === "toys") {
    const rows = all("#runs tbody tr").map((row) => row.textContent);
    check(rows.length === 12 && rows.every((row) => row.includes("99.996 %")), "what is not all is not shown as all");
    check(rows[9].includes("123456"), "a seed is shown whole");
    const strokes = new Set(all("#path .chip line").map((line) => line.getAttribute("stroke")));
    check(
        all("#path .stage polyline[stroke-width]")
            .filter((line) => line.getAttribute("opacity"))
            .every((line) => strokes.has(line.getAttribute("stroke"))),
        "paths are drawn in the colours of their legend");
    check(
        all("#accuracy .chip span").map((name) => name.textContent)[0].endsWith("(3 runs, 2 seeds)"),
        "a run that is there twice is one seed");
  }
  if (expect === "stranger") {
    const card = (key) => one(`#update_ratio-${key}`), said = (key, part) => one(part, card(key)).textContent;
    check(all("h2").some((head) => head.textContent === "Seen by the probe update_ratio"), "a stranger's probe has a section");
    check(
        said("ratio", "h3").startsWith("Update beside weight: ") && said("above", "h3") === "Parameters that move too fast",
        "its plots have their titles");
    check(said("ratio", ".dygraph-ylabel") === "‖d‖ / ‖w‖" && said("above", ".dygraph-ylabel") === "share", "and their units");
    check(
        /pale: what is taken for healthy/.test(said("ratio", ".caption")) && /above the target/.test(said("above", ".caption")),
        "and their captions");
    check(
        one(".scale", card("ratio")).getAttribute("aria-pressed") === "true" &&
            one(".scale", card("above")).getAttribute("aria-pressed") === "false",
        "and their scales");
    check(!one("#update_ratio-target"), "what is drawn beside another has no plot of its own");
    await choose(one("#bar select"), "0.bias");  // which only the stranger watches
    check(
        all(".chip", card("ratio")).length === 1 && one(".empty", one("#norm")),
        "a layer that one probe watches is drawn for that one");
    check(
        /metrics.jsonl holds lines of kind "mystery", which no probe declared/.test(one("#notes").textContent),
        "what nobody declared is said");
  }
  if (expect === "modules") {
    const names = (key) => all(`#${key} .chip span`).map((name) => name.textContent).join(", ");
    check(names("dead_units-dead") === "2, 5, mean over layers", "a stranger's probe of modules has a line for each");
    check(names("activations-rms") === "0, 1, 2, 3, 4, 5, 6, mean over layers", "the built-in one has a line for each module");
    check(
        one("#dead_units-gradient .scale").getAttribute("aria-pressed") === "true" &&
            one("#dead_units-dead h3").textContent.startsWith("Dead units: "),
        "its plots are as declared");
  }
  if (expect === "several")
    check(
        all("#runs tbody tr").length === 4 && /different models/.test(one("#notes").textContent),
        "different models are said to be");
  if (expect === "many")
    check(
        all("#loss .chip").length === 20 && /thinned out: of every stretch of steps, of 21/.test(one("#notes").textContent),
        "thinning is said");
  if (expect === "sweep") {
    const names = all("#loss .chip span").map((name) => name.textContent),
          heads = all("#runs th").map((head) => head.textContent);
    check(names.indexOf("lr=2,seed=1") < names.indexOf("lr=10,seed=1"), "names are sorted as numbers are");
    check(
        ["Last validation accuracy", "Best validation accuracy", "Last test accuracy"].every((head) => heads.includes(head)) &&
            !heads.some((head) => /^Best( test|$)/.test(head)),
        "the best is told by validation");
    check(one("#accuracy .dygraph-ylabel").textContent === "validation or test accuracy", "the accuracy is named by its parts");
    const parts = all("#run-accuracy .chip span").map((name) => name.textContent);
    check(
        parts.includes("lr=1,seed=1 (validation)") && parts.includes("lr=12,seed=2 (test)"), "each run is told with its part");
  }
  if (expect === "shapes") check(/lesson.json: "rows"/.test(one("#notes").textContent), "what does not fit is said");
  if (expect === "cut")
    check(/cannot be read/.test(one("#notes").textContent) && /cut off/.test(one("#notes").textContent), "damage is said");
  if (expect === "empty") check(/probes/.test(one("#absent").textContent), "what is not drawn has a reason");
  if (expect === "hostile")
    check(/onerror/.test(one("h1").textContent + one("#repeat").textContent), "a hostile text is shown as text");

  const files = [], blobs = new Map();
  URL.createObjectURL = (blob) => {
    blobs.set(`blob:${blobs.size}`, blob);
    return `blob:${blobs.size - 1}`;
  };
  HTMLAnchorElement.prototype.click = function() {
    if (this.download) files.push([this.download, this.href]);
  };
  const select = one("#bar select"), layers = all("option", select).slice(0, 3).map((option) => option.value), tables = {};
  for (const layer of layers.length ? layers : ["none"]) {
    if (layers.length) await choose(select, layer);
    for (const box of all(".card")) {
      const from = files.length;
      one(".csv", box).click();
      const [name, url] = files[from], text = await blobs.get(url).text();
      (tables[layer] ??= {})[box.id] = text;
      if (one(".empty", box)) continue;
      check(name.endsWith(".csv") && text.split("\r\n").length > 2, `${box.id} gives a CSV`);
      if (box.id === "norm")
        check(name.includes(layer.replace(/[^\w.-]+/g, "_").slice(0, 20)), `the file of ${box.id} is named after the layer`);
      if (Object.keys(tables).length > 1) continue;
      one(".png", box).click();
      await until(() => files.length === from + 2);
      const [png, picture] = files[from + 1];
      check(png.endsWith(".png") && picture.startsWith("data:image/png") && picture.length > 5000, `${box.id} gives a PNG`);
    }
  }
  if (expect === "hostile")
    check(
        tables["every layer"].norm.split("\r\n").some((row) => row.split(",").includes("0")),
        "a CSV has the numbers that a logarithmic scale cannot show");
  return {held, problems, tables};
}

// What a short and wide window leaves of the plots, with the theme for a projector.
async function project() {
  document.querySelector('[data-theme-choice="projector"]').click();
  for (let i = 0; i < 3000 && !document.body.hasAttribute("data-drawn"); ++i) await new Promise((go) => setTimeout(go, 20));
  return [...document.querySelectorAll(".plot")]
      .filter((plot) => plot.clientHeight < 150)
      .map((plot) => `${plot.closest(".card").id} is ${plot.clientHeight} pixels high`);
}
