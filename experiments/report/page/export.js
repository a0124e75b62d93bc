// A plot as a table or as a picture.
const fileName = (plot, end) =>
    `${[data.title.slice(0, 60), plot.id, ...(plot.of ? [plot.of()] : [])].join("-").replace(/[^\w.-]+/g, "_").slice(0, 120)}.${
        end}`;

// RFC 4180. A text that a spreadsheet would take for a formula gets an apostrophe.
function csvCell(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  if (typeof value === "number") return String(value);
  const content = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(content) ? `"${content.replace(/"/g, '""')}"` : content;
}
const exportCsv = (plot) =>
    save(fileName(plot, "csv"), plot.rows().map((row) => row.map(csvCell).join(",")).join("\r\n") + "\r\n", "text/csv");

async function exportPng(plot) {
  const canvas = await plot.image();
  if (canvas) save(fileName(plot, "png"), canvas.toDataURL("image/png"));
}

function blankCanvas(width, height, title) {
  const ratio = 2, canvas = el("canvas", {width: width * ratio, height: height * ratio}), context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.fillStyle = css("--paper");
  context.fillRect(0, 0, width, height);
  context.fillStyle = css("--text");
  context.font = "600 16px sans-serif";
  context.fillText(title, 12, 24);
  return {canvas, context};
}

// dygraphs' canvas with the labels that it sets beside it in HTML, then the legend.
function chartImage(chart) {
  if (!chart.graph) return null;
  const frame = chart.host.getBoundingClientRect(), lines = chart.lines.filter((line) => !state.hidden.has(line.key));
  const top = 36, names = lines.filter((line) => !line.pale), perRow = Math.max(1, Math.floor(frame.width / 220));
  const {canvas, context} =
      blankCanvas(frame.width + 16, top + frame.height + 22 * Math.ceil(names.length / perRow) + 16, heading(chart.plot));
  context.drawImage(chart.graph.hidden_, 0, top, frame.width, frame.height);
  context.fillStyle = css("--soft");
  context.textBaseline = "middle";
  for (const text of chart.host.querySelectorAll(".dygraph-axis-label, .dygraph-xlabel, .dygraph-ylabel")) {
    const place = text.getBoundingClientRect(), turned = text.classList.contains("dygraph-ylabel");
    context.save();
    context.font = `${parseFloat(getComputedStyle(text).fontSize)}px sans-serif`;
    context.translate(place.left - frame.left + place.width / 2, top + place.top - frame.top + place.height / 2);
    if (turned) context.rotate(-Math.PI / 2);
    context.textAlign = "center";
    context.fillText(text.textContent, 0, 0);
    context.restore();
  }
  context.font = "13px sans-serif";
  names.forEach((line, i) => {
    const x = 12 + (i % perRow) * 220, y = top + frame.height + 16 + 22 * Math.floor(i / perRow);
    context.strokeStyle = line.color;
    context.lineWidth = 2.5;
    context.setLineDash(line.dash || []);
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + 28, y);
    context.stroke();
    context.fillStyle = css("--text");
    context.fillText(shortened(line.name, 26), x + 34, y);
  });
  return canvas;
}

async function svgImage(picture, title) {
  if (!picture) return null;
  const [, , width, height] = picture.getAttribute("viewBox").split(" ").map(Number), image = new Image();
  const copy = picture.cloneNode(true);
  copy.setAttribute("width", 2 * width);
  copy.setAttribute("height", 2 * height);
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
  await image.decode();
  const {canvas, context} = blankCanvas(width, height + 36, title);
  context.drawImage(image, 0, 36, width, height);
  return canvas;
}
