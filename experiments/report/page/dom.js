// Small tools to build the page. Text goes in as text, never as HTML.
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on"))
      element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined)
      element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function picker(label, choices, value, change) {
  const select =
      el("select", {onchange: () => change(select.value)},
         ...choices.map(([key, text]) => el("option", {value: key, selected: key === value}, text)));
  return el("label", {}, label, select);
}

// Dashes for lines of that width.
const scaled = (dash, width) => dash && dash.map((length) => length * Math.max(1, width / 1.6));

// A line as a legend shows it.
function sample(stroke, dash, width) {
  const line = svg("line", {x1: 0, y1: 4, x2: 26, y2: 4, stroke, "stroke-width": width});
  if (dash) line.setAttribute("stroke-dasharray", dash.join(" "));
  return svg("svg", {viewBox: "0 0 26 8"}, line);
}

// Chips that switch lines on and off; `items` are {key, name, color, dash}. Returns the outputs by key, for values at the
// cursor.
function fillLegend(legend, items) {
  const outputs = new Map();
  legend.replaceChildren(...items.map((item) => {
    const output = el("output", {});
    const chip =
        el("button", {
          class: "chip",
          type: "button",
          title: `${item.name}: show or hide`,
          "aria-pressed": String(!state.hidden.has(item.key)),
          "data-key": item.key,
          onclick: () => toggle(item.key),
        },
           sample(item.color, item.dash, 2.5), el("span", {}, item.name), output);
    outputs.set(item.key, {chip, output});
    return chip;
  }));
  return outputs;
}

function toggle(key) {
  if (!state.hidden.delete(key)) state.hidden.add(key);
  refresh("lines");
}

function save(name, content, type) {
  const url =
      typeof content === "string" && content.startsWith("data:") ? content : URL.createObjectURL(new Blob([content], {type}));
  el("a", {href: url, download: name}).click();
  if (url.startsWith("blob:")) setTimeout(() => URL.revokeObjectURL(url), 10000);
}

const heading = (plot) => (plot.of ? `${plot.title}: ${plot.of()}` : plot.title);

// A card with a title, a stage to draw on, a legend and a caption. `plot` has id, title, caption and, to export, rows() and
// image().
function card(plot, extra = []) {
  const stage = el("div", {class: "stage"}), legend = el("div", {class: "legend"}), controls = el("div", {class: "controls"}),
        words = el("div", {class: "words small"}), title = el("h3", {}, heading(plot));
  const large = el("button", {type: "button", onclick: () => enlarge(box)}, "enlarge");
  const box =
      el("section", {class: "card", id: plot.id, "aria-label": plot.title},
         el("div", {class: "head"}, title, ...extra,
            el("button", {type: "button", class: "png", onclick: () => exportPng(plot)}, "PNG"),
            el("button", {type: "button", class: "csv", onclick: () => exportCsv(plot)}, "CSV"), large),
         stage, controls, legend, words, el("p", {class: "caption"}, plot.caption));
  return {box, heading: title, stage, legend, controls, words};
}

function enlarge(box) {
  box.classList.toggle("large");
  document.body.style.overflow = document.querySelector(".card.large") ? "hidden" : "";
  refresh("size");
}
addEventListener("keydown", (event) => {
  const large = document.querySelector(".card.large");
  if (event.key === "Escape" && large) enlarge(large);
});
