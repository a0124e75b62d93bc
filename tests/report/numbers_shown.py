"""What the plots of a report show, as their CSV gives it, held against the files of the runs."""
import csv
import json
import math
import os

MEAN, EVERY = "mean over layers", "every layer"


def lines_of(folder, kind):
    if not os.path.exists(f"{folder}/metrics.jsonl"):
        return []
    with open(f"{folder}/metrics.jsonl", errors="replace") as file:
        lines = []
        for line in file:
            try:
                lines.append(json.loads(line))
            except ValueError:
                pass  # damaged on purpose
    return [line for line in lines if line.get("kind") == kind]


def column(lines, name):
    return {line["step"]: line.get(name) for line in lines}


def predicted(lines, beta):
    """The squared norm by the lengths of the steps: norm_identity.h."""
    squared, along, values = lines[0]["norm"] ** 2, 0, {}
    for line in lines:
        lr, length = line["effective_lr"] * line["norm"] ** 2, line["radial"] ** 2 + line["tangential"] ** 2
        values[line["step"]] = squared
        squared, along = squared - 2 * lr * along + length, beta * (along - length / lr)
    return values


def training_plots(folder):
    """{plot: {part: {step: number}}}"""
    steps, epochs = lines_of(folder, "step"), lines_of(folder, "epoch")
    plots = {"loss": {"": column(steps, "loss")}, "lr": {"": column(steps, "lr")}}
    for plot, number in (("test-loss", "loss"), ("run-accuracy", "accuracy")):
        measured = "validation" if any(f"validation_{number}" in line for line in epochs) else "test"
        plots[plot] = {part: column(epochs, f"{part}_{number}") for part in (measured, "train")}
    return plots


def layer_plots(lines, beta):
    def of(name):
        return {step: abs(x) for step, x in column(lines, name).items()}

    def fired(view, name):
        return {line["step"]: line[name] if line["projected"] == view else None for line in lines}

    return {
        "norm": {"": of("norm")},
        "effective-step": {"": of("effective_step")},
        "angle": {"measured": of("angle"), "equilibrium": column(lines, "equilibrium_angle")},
        "identity": {"measured": {step: x * x for step, x in of("norm").items()}, "predicted": predicted(lines, beta)},
        "cosine": {"cosine": of("scaled_channel_cosine_max"), "where it was projected": fired("channel", "scaled_channel_cosine_max")},
        "layer-cosine": {"cosine": of("scaled_cosine"), "where it was projected": fired("layer", "scaled_cosine")},
        "radial": {"tangential": of("tangential"), "radial": of("radial")},
    }


def mean_plots(layers):
    """The means over layers, given the plots of each: geometric for cosines."""
    def mean(plot, part):
        series = [layer[plot][part] for layer in layers]
        logs = plot.endswith("cosine")
        rows = {step: [one[step] for one in series] for step in series[0]}
        if part == "where it was projected" or any(x is None for row in rows.values() for x in row):
            return dict.fromkeys(rows)
        return {step: math.exp(sum(map(math.log, row)) / len(row)) if logs else sum(row) / len(row) for step, row in rows.items()}

    return {plot: {part: mean(plot, part) for part in layers[0][plot]} for plot in layers[0]}


class Shown:
    """The tables, and what was found wrong with them."""

    def __init__(self, tables):
        self._tables = {plot: list(csv.reader(text.splitlines())) for plot, text in tables.items()}
        self.held, self.wrong = 0, []

    def check(self, holds, words):
        if holds:
            self.held += 1
        else:
            self.wrong.append(words)

    def rows(self, plot):
        return self._tables.get(plot, [])

    def hold(self, plot, name, series):
        """A column's first, middle and last number."""
        if plot not in self._tables:
            return
        heads, *rows = self._tables[plot]
        by_step = {float(row[0]): row for row in rows}
        steps = list(series)
        for step in {steps[0], steps[len(steps) // 2], steps[-1]}:
            cell = by_step.get(step, [])[heads.index(name)] if name in heads and step in by_step else ""
            want = series[step]
            right = cell == "" if want is None else cell != "" and math.isclose(float(cell), want, rel_tol=2e-5, abs_tol=1e-12)
            self.check(right, f"{plot} shows {cell or 'nothing'} as {name} at step {step} instead of {want}")

    def hold_all(self, plots, *words):
        for plot, parts in plots.items():
            for part, series in parts.items():
                self.hold(plot, ", ".join(filter(None, [*words, part])), series)


def hold_spread(shown, folders):
    """The first experiment's band, of the runs that make it."""
    runs = [column(lines_of(folder, "epoch"), "test_accuracy") for folder in folders]
    if not shown.rows("accuracy"):
        return
    names = [name for name in shown.rows("accuracy")[0] if name != "step"][:3]
    for name, pick in zip(names, (min, lambda values: sum(values) / len(values), max)):
        shown.hold("accuracy", name, {step: pick([run[step] for run in runs]) for step in runs[0]})


def hold_pictures(shown, folder, layers):
    heads, *rows = shown.rows("heatmap")
    first = [line["effective_step"] for line in layers[rows[0][0]] if line["epoch"] == 1]
    shown.check(math.isclose(float(rows[0][1]), sum(first) / len(first), rel_tol=2e-5), "heatmap shows another effective step")
    heads, *rows = shown.rows("histogram")
    for name, lines in layers.items():
        counted = sum(float(row[heads.index(name)]) for row in rows if float(row[1]) <= 1.0001)
        shown.check(counted == sum(line["scaled_cosine"] < 1 for line in lines), f"histogram counts other cosines of {name}")
    with open(f"{folder}/invariance.json") as file:
        judged = json.load(file)["parameters"][1]
    for one in judged["scaled"]:
        shown.check([judged["name"], judged["verdict"], str(one["a"]), str(one["loss"])] in shown.rows("scaling"), f"scaling lacks a = {one['a']}")


def hold_declared(shown, folder, label, layer, run_is_picked):
    """What a stranger's probe noted, by its declaration in measurements.json."""
    with open(f"{folder}/measurements.json") as file:
        declared = {one["kind"]: {quantity["key"]: quantity for quantity in one["quantities"]} for one in json.load(file)["kinds"]}
    for kind in declared.keys() - {"step", "epoch", "path", "scale_invariance"}:
        lines = lines_of(folder, kind)
        for key, one in declared[kind].items():
            if not one["drawn"]:
                continue
            subject = one["per"]
            if subject not in ("parameter", "module"):
                of_step = [line for line in lines if "parameter" not in line and "module" not in line]
                shown.hold(f"{kind}-{key}", label, column(of_step, key))
                continue
            names = list(dict.fromkeys(line[subject] for line in lines if subject in line))
            beside = declared[kind].get(one["beside"])
            parts = {key: beside and (one["name"] or key), **({beside["key"]: beside["name"] or beside["key"]} if beside else {})}
            for of, part in parts.items():
                series = {name: column([line for line in lines if line.get(subject) == name], of) for name in names}
                series[MEAN] = means(list(series.values()), declared[kind][of]["geometric_mean"])
                for name in series if layer == EVERY and run_is_picked else [layer] if layer in series else []:
                    words = [name, label] if layer == EVERY else [label, name]
                    shown.hold(f"{kind}-{key}", ", ".join(filter(None, [*words, part])), series[name])


def means(all_series, geometric):
    """The mean of series at each step, over those that have a value there."""
    def mean(values):
        if geometric:
            return math.exp(sum(map(math.log, values)) / len(values))
        return sum(values) / len(values)

    known = {step: [series[step] for series in all_series if series[step] is not None] for step in all_series[0]}
    return {step: mean(values) if values else None for step, values in known.items()}


def compare(work, runs, tables):
    """(how many numbers are right, what is wrong) of the reports named "single", "several" and "lesson" by the runs in them."""
    folders = [f"{work}/{run}" for run in runs]
    held, wrong = 0, []
    for layer, plots in tables.items():
        shown = Shown(plots)
        for folder, run in zip(folders, runs):
            strangers = {"stranger": "update_ratio", "modules": "dead_units"}
            if run in strangers:
                hold_declared(shown, folder, strangers[run], layer, run == runs[0])
            if not run.startswith("sgd") or "hostile" in runs or "shapes" in runs:
                continue
            label = "tiny" if len(runs) == 1 or "stranger" in runs else run
            with open(f"{folder}/config.json") as file:
                optimizer = json.load(file)["optimizer"]
            shown.hold_all(training_plots(folder), label)
            lines = lines_of(folder, "scale_invariance")
            layers = {name: [line for line in lines if line["parameter"] == name] for name in dict.fromkeys(line["parameter"] for line in lines)}
            by_layer = {name: layer_plots(of, 0 if optimizer["type"] == "sgdp" else optimizer["momentum"]) for name, of in layers.items()}
            by_layer[MEAN] = mean_plots(list(by_layer.values()))
            if layer != EVERY:
                shown.hold_all(by_layer[layer], label, layer)
            elif run == runs[0]:
                for name, expected in by_layer.items():
                    shown.hold_all(expected, name, label)
            if run == runs[0] == "sgd-1":
                hold_spread(shown, [folder for folder, name in zip(folders, runs) if name.startswith("sgd-")])
                hold_pictures(shown, folder, layers)
        for path in [path for run in runs for path in lines_of(f"{work}/{run}", "path")][::60]:
            cells = [row for row in shown.rows("path") if row[0] == path["series"] and row[2] == str(path["step"])]
            right = not cells or all(math.isclose(float(cell), path[name], rel_tol=2e-5, abs_tol=1e-9) for cell, name in
                                     zip(cells[0][3:5] + cells[0][6:], ("x", "y", "loss", "norm")))
            shown.check(right, f"path shows another point at step {path['step']} of {path['series']}")
        held, wrong = held + shown.held, wrong + shown.wrong
    return held, wrong
