// Uses a report as a reader would, and gives {held, problems}: how many checks held, and which did not. `expect` names the report
// (tests/report/check).
async function exercise(expect) {
  const problems = [];
  let held = 0;
  const check = (holds, words) => (holds ? ++held : problems.push(words));
  const pause = (ms) => new Promise((go) => setTimeout(go, ms));
  const drawn = async () => {
    for (let i = 0; i < 3000; ++i) {
      await pause(20);
      if (document.body.hasAttribute("data-drawn")) return;
    }
    problems.push("the plots did not come to an end");
  };
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);
  const pixels = (id) => one(`#${id} canvas`).toDataURL();
  const colors = (canvas) => new Set(new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size;
  const choose = async (select, value) => {
    select.value = value;
    select.dispatchEvent(new Event("change"));
    await drawn();
  };
  const mouse = (target, type, x, y) => target.dispatchEvent(new MouseEvent(type, { clientX: x, clientY: y, bubbles: true, cancelable: true, view: window, button: 0, detail: 1 }));

  await drawn();
  const ids = {
    single: ["loss", "test-loss", "run-accuracy", "accuracy", "lr", "norm", "effective-step", "angle", "identity", "cosine", "layer-cosine", "radial", "heatmap", "histogram", "scaling"],
    several: ["loss", "accuracy", "lr", "norm", "effective-step", "angle", "identity", "cosine", "radial", "heatmap", "histogram", "scaling"],
    lesson: ["path"], hostile: ["loss", "norm"], cut: ["loss", "norm"], one: [], empty: [], shapes: ["loss", "norm"], many: ["loss", "accuracy", "norm", "heatmap"],
  }[expect];
  for (const id of ids) check(one(`#${id}`), `${id} is there`);
  for (const box of all(".card")) {
    const canvas = one("canvas", box), picture = one(".stage svg", box), empty = one(".empty", box);
    check(empty || (canvas ? colors(canvas) > 3 : picture && picture.querySelectorAll("*").length > 5), `${box.id} is drawn`);
    check(one(".caption", box).textContent.length > 20, `${box.id} has a caption`);
    check(!ids.includes(box.id) || !empty, `${box.id} has something to show`);
  }
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
    await choose(select, names[1]);
    check(all("#norm .chip").length === names.length - 1, "every layer and the mean have a line");
    await choose(select, names[0]);

    const shownBefore = pixels("loss"), chip = () => one("#loss .chip");
    chip().click();
    await drawn();
    check(pixels("loss") !== shownBefore && chip().getAttribute("aria-pressed") === "false", "a click on the legend hides a line");
    chip().click();
    await drawn();
    check(pixels("loss") === shownBefore, "another shows it again");
    one("#norm .scale").click();
    await pause(100);
    check(pixels("norm") !== before, "the scale may be linear");

    const place = one("#loss .plot").getBoundingClientRect(), target = all("#loss canvas")[1], y = place.top + place.height / 2;
    mouse(target, "mousemove", place.left + place.width * 0.5, y);
    await pause(200);
    check(one("#norm .cursor").style.display === "block", "the cursor shows in other plots, too");
    check(/^step \d/.test(one("#lr .at").textContent) && one("#lr .chip output").textContent !== "", "with the step and the values there");
    const labels = (id) => all(`#${id} .dygraph-axis-label-x`).map((label) => label.textContent).join();
    const wide = labels("norm");
    mouse(target, "mousedown", place.left + place.width * 0.4, y);
    mouse(document, "mousemove", place.left + place.width * 0.6, y);
    mouse(document, "mouseup", place.left + place.width * 0.6, y);
    await pause(200);
    check(labels("norm") !== wide, "a zoom is followed by other plots");
    one("#unzoom").click();
    await pause(200);
    check(labels("norm") === wide, "and taken back");
  }
  if (expect === "single") {
    const curve = () => one("#scaling .stage").innerHTML, before = curve();
    await choose(one("#scaling select"), "4.weight");
    check(curve() !== before && /takes its length away/.test(one("#scaling .words").textContent), "a weight may be picked, and is judged in words");
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
    check(all(".lesson tbody tr").length === 2 && all(".lesson .fails").length === 1, "the lesson's table says what holds");
  }
  if (expect === "several") check(all("#runs tbody tr").length === 4 && /different models/.test(one("#notes").textContent), "different models are said to be");
  if (expect === "many") check(all("#loss .chip").length === 20 && /thinned out: of every stretch of steps, of 21/.test(one("#notes").textContent), "thinning is said");
  if (expect === "shapes") check(/lesson.json: "rows"/.test(one("#notes").textContent), "what does not fit is said");
  if (expect === "cut") check(/cannot be read/.test(one("#notes").textContent) && /cut off/.test(one("#notes").textContent), "damage is said");
  if (expect === "empty") check(/probes/.test(one("#absent").textContent), "what is not drawn has a reason");
  if (expect === "hostile") check(/onerror/.test(one("h1").textContent + one("#repeat").textContent), "a hostile text is shown as text");

  const files = [], blobs = new Map();
  URL.createObjectURL = (blob) => {
    blobs.set(`blob:${blobs.size}`, blob);
    return `blob:${blobs.size - 1}`;
  };
  HTMLAnchorElement.prototype.click = function () {
    if (this.download) files.push([this.download, this.href]);
  };
  for (const box of all(".card")) {
    const from = files.length;
    one(".csv", box).click();
    if (one(".empty", box)) continue;
    one(".png", box).click();
    for (let i = 0; i < 100 && files.length < from + 2; ++i) await pause(10);
    const [csv, png] = files.slice(from);
    check(csv && csv[0].endsWith(".csv") && (await blobs.get(csv[1]).text()).split("\r\n").length > 2, `${box.id} gives a CSV`);
    check(png && png[0].endsWith(".png") && png[1].startsWith("data:image/png") && png[1].length > 5000, `${box.id} gives a PNG`);
  }
  return { held, problems };
}
