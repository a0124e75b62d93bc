#!/usr/bin/python3
"""Writes the goldens beside this file with PyTorch; see README.md."""
import json
import pathlib
import struct

import torch

import networks
import op_cases
import optim_cases

TYPES = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64", torch.uint8: "U8"}


def write(name, tensors):
    header, data = {}, b""
    for key in sorted(tensors):
        tensor = tensors[key].contiguous()
        content = tensor.numpy().tobytes()
        header[key] = {"dtype": TYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path = pathlib.Path(__file__).parent / (name + ".safetensors")
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    print(f"{path.name}: {len(tensors)} tensors, {path.stat().st_size} bytes")


torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
write("ops", op_cases.run())
write("optim", optim_cases.run())
write("resnet20_a", networks.run([3, 3, 3], 8, "A", seed=700))
write("resnet20_b", networks.run([3, 3, 3], 8, "B", seed=820))
write("resnet18", networks.run([2, 2, 2, 2], 4, "B", seed=31))
