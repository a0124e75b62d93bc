#!/usr/bin/python3
"""The peer: one ResNet training step, or with --eval one forward pass, in PyTorch (Debian: python3-torch), timed.

usage: pytorch_step.py resnet20|resnet18 [--eval] [--bf16] [--batch 128] [--steps 10] [--threads 2] [--format FORMAT]

Prints a line of JSON: the faster of contiguous and channels_last, each run in a process of its own. ResNet-20 has convolutions on
its shortcuts (option B). A training step is forward, cross-entropy, backward and SGD (lr 0.1, momentum 0.9, Nesterov, decay 1e-4);
--eval is the forward pass alone, in evaluation mode under no_grad. The batch is random and stays the same, which flatters the peer:
it loads no data. Run it with OMP_WAIT_POLICY=passive on a shared machine.
"""
import argparse
import json
import pathlib
import re
import statistics
import subprocess
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.shortcut(x))


def resnet(widths, blocks):
    channels = widths[0]
    layers = [nn.Conv2d(3, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
    for stage, width in enumerate(widths):
        for block in range(blocks):
            layers.append(Block(channels, width, 2 if stage and not block else 1))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def peak_rss_mib():
    """Of this program; resource.getrusage would count what ran in this process before it."""
    return int(re.search(r"VmHWM:\s*(\d+)", pathlib.Path("/proc/self/status").read_text()).group(1)) / 1024


def measure(args):
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    memory_format = FORMATS[args.format]
    model = resnet([16, 32, 64], 3) if args.net == "resnet20" else resnet([64, 128, 256, 512], 2)
    model = model.to(memory_format=memory_format).train(not args.eval)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4, nesterov=True)
    images = torch.randn(args.batch, 3, 32, 32).to(memory_format=memory_format)
    labels = torch.randint(0, 10, (args.batch,))

    def forward():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.bf16):
            return model(images)

    def train():
        optimizer.zero_grad()
        F.cross_entropy(forward().float(), labels).backward()
        optimizer.step()

    seconds = []
    with torch.set_grad_enabled(not args.eval):
        for _ in range(args.steps + 2):
            start = time.perf_counter()
            forward() if args.eval else train()
            seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds[2:])
    return {"net": args.net, "mode": "evaluation" if args.eval else "training", "precision": "bf16" if args.bf16 else "f32",
            "batch": args.batch, "threads": args.threads, "memory_format": args.format, "step_ms_median": median * 1e3,
            "images_per_second": args.batch / median, "peak_rss_mib": peak_rss_mib(), "torch": torch.__version__}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("net", choices=["resnet20", "resnet18"])
    parser.add_argument("--eval", action="store_true")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--format", choices=FORMATS, help="only this memory format, in this process")
    args = parser.parse_args()
    if args.format:
        print(json.dumps(measure(args)))
        return
    commands = [[sys.executable, *sys.argv, "--format", name] for name in FORMATS]
    results = [json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for command in commands]
    print(json.dumps(max(results, key=lambda result: result["images_per_second"])))


main()
