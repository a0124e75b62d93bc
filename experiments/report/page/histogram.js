// How often |cos(w, g)| sqrt(dim) came to what.
const histogram = {
  id: "histogram",
  title: "Cosines of weight and gradient, counted",
  caption:
      "|cos(w, g)| √dim over all steps watched: scale-invariant weights lie far left of delta, the others about 1, where " +
      "random directions would lie.",
  missing: () =>
      (watched("scaled_cosine") ? "" :
           probed.length        ? "the probe noted no such number" :
                                  noProbe),
  picture(card) {
    const run = card.runPicker(probed), layers = run.probe.layers.slice(1), counts = run.probe.histogram;
    const edge = (bin) => 10 ** (bin / 4 - 9);
    const chosen = layers.indexOf(state.layer),
          sum = counts[0].map((_, bin) => counts.reduce((total, one) => total + one[bin], 0));
    const highest = Math.max(1, ...sum), box = {x: 62, y: 12, w: 680, h: 260};
    const xs = scaleOf(1e-9, 1e2, box.x, box.x + box.w, true), ys = scaleOf(0, highest, box.y + box.h, box.y);
    const bars = (list, fill, opacity) => list.map((count, bin) => {
      const bar = svg("rect", {
        x: xs(edge(bin)) + 0.5,
        y: ys(count),
        width: xs(edge(bin + 1)) - xs(edge(bin)) - 1,
        height: box.y + box.h - ys(count),
        fill,
        opacity
      });
      bar.append(svg("title", {}, `${shown(edge(bin))} to ${shown(edge(bin + 1))}: ${count}`));
      return bar;
    });
    const delta = threshold()[0], marks = [];
    if (delta && delta.value >= 1e-9 && delta.value <= 1e2) {
      marks.push(
          svg("rect", {x: box.x, y: box.y, width: xs(delta.value) - box.x, height: box.h, fill: css("--shade")}),
          label(xs(delta.value) - 6, box.y + fontSize() + 2, `delta = ${delta.value}`, "end", {fill: css("--good")}));
    }
    card.show(
        760, box.y + box.h + 2.4 * fontSize() + 18, ...marks, axes(box, xs, ys, "|cos(w, g)| √dim", "steps"),
        ...bars(sum, css("--soft"), chosen >= 0 ? 0.25 : 0.75),
        ...(chosen >= 0 ? bars(counts[chosen], color(run.color), 0.95) : []));
    return [
      ["from", "to", "all", ...layers],
      ...sum.map((count, bin) => [edge(bin), edge(bin + 1), count, ...counts.map((one) => one[bin])])
    ];
  },
};
