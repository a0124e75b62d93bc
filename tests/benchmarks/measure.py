"""What compare and growth share: the programs they time, the figures kept on the way, and what the machine is."""
import datetime
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


class Failed(Exception):
    """A sentence for the person who ran the tool."""


def positive(text):
    if int(text) < 1:
        raise ValueError
    return int(text)


def add_arguments(parser):
    parser.add_argument("--data", metavar="ROOT", help="folder of CIFAR-10; by default where `azimuth data get` puts it")
    parser.add_argument("--keep", metavar="FILE", help="write each figure there, and take those it has from it: to go on after a stop")
    parser.add_argument("--build", metavar="DIR", help="take the programs of this build, as they are, instead of building")


class Bench:
    """Runs programs one at a time, each in a process of its own, on as many threads as stated, which wait alike."""

    def __init__(self, args):
        self.build = pathlib.Path(args.build or ROOT / "build" / "release")
        if not args.build:
            subprocess.run([ROOT / ".ci" / "build", "release", "azimuth_cli"], check=True)
            known = subprocess.run(["ninja", "-C", self.build, "-t", "query", "onednn_limit"], capture_output=True)
            if known.returncode == 0:
                subprocess.run([ROOT / ".ci" / "build", "release", "onednn_limit"], check=True)
        if not (self.build / "azimuth").exists():
            raise Failed(f"there is no {self.build / 'azimuth'}: build it, or leave --build away")
        self.keep = pathlib.Path(args.keep) if args.keep else None
        self.kept = {}
        if self.keep and self.keep.exists():
            for line in self.keep.read_text().splitlines():
                key, figures = json.loads(line)
                self.kept[json.dumps(key)] = figures
            print(f"going on with the {len(self.kept)} figures of {self.keep}", file=sys.stderr)
        self.data = data_options(self.build, args.data)
        self.started = time.monotonic()

    def figures(self, of, command, threads, environment=None):
        """The JSON object that a program prints; None where it says that this machine or version cannot."""
        command = [str(word) for word in command]
        key = json.dumps([of, [*command, *(f"{name}={value}" for name, value in (environment or {}).items())]])
        if key not in self.kept:
            self.kept[key] = self.run(of, command, threads, environment)
            if self.keep:
                with self.keep.open("a") as file:
                    file.write(json.dumps([json.loads(key), self.kept[key]]) + "\n")
        return self.kept[key]

    def run(self, of, command, threads, environment):
        environment = dict(os.environ, GOMP_SPINCOUNT="10000", OMP_NUM_THREADS=str(threads), **(environment or {}))  # as azimuth starts itself
        environment.pop("OMP_WAIT_POLICY", None)
        print(f"{time.monotonic() - self.started:5.0f} s  {' '.join(map(str, of))}", end="", flush=True, file=sys.stderr)
        result = subprocess.run(command, capture_output=True, text=True, env=environment)
        if result.returncode == 2 and "train.precision" in result.stderr:
            print("  not available", file=sys.stderr)
            return None
        if result.returncode != 0:
            raise Failed(f"\n{' '.join(command)} failed ({result.returncode}): {result.stderr.strip()[-500:]}")
        figures = json.loads(result.stdout)
        print(f"  {figures['images_per_second']:.1f} images/s" if "images_per_second" in figures else "", file=sys.stderr)
        return figures

    def azimuth(self, of, config, steps, threads, settings=(), options=()):
        settings = [*self.data, f"train.threads={threads}", *settings]
        command = [self.build / "azimuth", "bench", ROOT / "experiments" / "configs" / f"{config}.json", "--json", "--steps", steps]
        return self.figures(of, [*command, *options, *(f"--set={setting}" for setting in settings)], threads)

    def limit(self, net, caches, batch, threads, rounds):
        """The best of the rounds, as it is a bound: images a second by mode and number type. None of each with oneDNN 3, for which
        there is no such program."""
        if not (self.build / "onednn_limit").exists():
            return {mode: {precision: None for precision in ("f32", "bf16")} for mode in ("training", "evaluation")}
        taken = [self.figures([net, "limit", caches, turn], [self.build / "onednn_limit", net, caches, batch], threads) for turn in range(rounds)]
        return {mode: {precision: max(figures[mode][precision] or 0 for figures in taken) for precision in taken[0][mode]}
                for mode in ("training", "evaluation")}

    def machine(self):
        """A sentence on what the figures were taken on."""
        found = json.loads(subprocess.run([self.build / "azimuth", "doctor", "--json"], capture_output=True, text=True).stdout)
        about = {finding["subject"]: finding["state"] for finding in found}
        commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
        return (f"{about['processor']}, {len(os.sched_getaffinity(0))} cores; {datetime.date.today()}, Azimuth {commit}, "
                f"oneDNN {about['oneDNN']}, compiler {about['compiler']}")


def data_options(build, root):
    """Settings that name the real CIFAR-10, or drawings of the same shape and number of classes where it is not here."""
    if root:
        if not pathlib.Path(root).is_dir():
            raise Failed(f"--data {root}: no such folder")
        return [f"data.root={pathlib.Path(root).resolve()}"]
    listed = json.loads(subprocess.run([build / "azimuth", "data", "list", "--json"], capture_output=True, text=True, check=True).stdout)
    if any(entry["name"] == "cifar10" and entry["state"] == "whole" for entry in listed):
        return []
    print("CIFAR-10 is not here: training on drawings of the same shape (--data ROOT, or `azimuth data get cifar10`)", file=sys.stderr)
    return ["data.type=shapes"]


def torch_python():
    """A Python that has torch: this one, or another on the path. None, with a word on what to install, where there is none."""
    for candidate in dict.fromkeys([sys.executable, "/usr/bin/python3", shutil.which("python3") or sys.executable]):
        look = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"
        if subprocess.run([candidate, "-c", look], capture_output=True).returncode == 0:
            return candidate
    print("PyTorch is not here, so its columns stay empty: apt-get install python3-torch", file=sys.stderr)
    return None


def warn_if_busy():
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"the machine is busy (load {load:.1f}): figures taken now say little", file=sys.stderr)


def markdown(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def main(work):
    try:
        work()
    except Failed as error:
        sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
