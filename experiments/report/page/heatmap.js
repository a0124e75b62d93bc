// Layers against epochs: the mean effective step as a colour.
const heatmap = {
  id: "heatmap",
  title: "Effective step by layer and epoch",
  caption:
      "Each cell is the mean of a layer's effective steps in an epoch, on a logarithmic scale: a row that darkens from left " +
      "to right is a layer that comes to rest.",
  missing: () =>
      (!probed.length ? noProbe :
           probed.some((run) => run.probe.layers.length > 2 || run.probe.heat.epochs.length > 1) ?
                        "" :
                        "there is one layer and one epoch only"),
  picture(card) {
    const run = card.runPicker(probed), {epochs, values} = run.probe.heat, layers = run.probe.layers.slice(1);
    const all = values.flat().filter((x) => x !== null && x > 0);
    const low = Math.min(...all), high = Math.max(...all);
    const share = (x) => (high > low ? Math.log(x / low) / Math.log(high / low) : 0.5);
    const left = 13 * fontSize() + 10, top = 8, width = 760, size = Math.max(fontSize() + 4, Math.min(34, 330 / layers.length));
    const wide = (width - left - 90) / Math.max(1, epochs.length), height = top + size * layers.length + 2.6 * fontSize() + 16;
    const cells = layers.flatMap((layer, i) => epochs.map((epoch, j) => {
      const x = values[i][j];
      const cell = svg("rect", {
        x: left + wide * j,
        y: top + size * i,
        width: Math.max(0.5, wide - 0.6),
        height: size - 0.6,
        fill: x > 0 ? shade(share(x)) : css("--grid"),
        opacity: state.layer === layer || !layers.includes(state.layer) ? 1 : 0.3
      });
      cell.append(svg("title", {}, `${layer}, epoch ${epoch}: ${shown(x)}`));
      return cell;
    }));
    const names = layers.map(
        (layer, i) =>
            label(left - 6, top + size * (i + 0.5) + fontSize() * 0.35, shortened(layer, 24), "end", {fill: css("--text")}));
    const stride = Math.max(1, Math.ceil(epochs.length / 14));
    const numbers =
        epochs
            .map(
                (epoch, j) =>
                    (j % stride ?
                         null :
                         label(left + wide * (j + 0.5), top + size * layers.length + fontSize() + 4, shown(epoch), "middle")))
            .filter(Boolean);
    const bar = Array.from({length: 40}, (_, i) => svg("rect", {
                                           x: width - 74,
                                           y: top + ((39 - i) * size * layers.length) / 40,
                                           width: 16,
                                           height: (size * layers.length) / 40 + 0.5,
                                           fill: shade(i / 39)
                                         }));
    const ends = all.length ?
        [label(width - 54, top + fontSize(), shown(high)), label(width - 54, top + size * layers.length, shown(low))] :
        [];
    card.show(
        width, height, ...cells, ...names, ...numbers, ...bar, ...ends,
        label(left + (width - left - 90) / 2, height - 6, "epoch", "middle"));
    return [["layer", ...epochs.map((epoch) => `epoch ${epoch}`)], ...layers.map((layer, i) => [layer, ...values[i]])];
  },
};
const shortened = (text, length) => (text.length > length ? `…${text.slice(1 - length)}` : text);
