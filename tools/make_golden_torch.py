"""Writes tests/golden/io/state.bin, as torch.save makes it of a state dict with all that one may hold, and
state.safetensors, the same tensors for comparison.

Usage: python tools/make_golden_torch.py tests/golden/io, with the packages of tools/requirements.txt.
"""
import pathlib
import sys
from collections import OrderedDict

import torch
from safetensors.torch import save_file

torch.manual_seed(46)
shared = torch.randn(4, 6)
state = OrderedDict(
    f32=torch.randn(3, 5),
    f16=torch.randn(7).to(torch.float16),
    bf16=torch.randn(2, 2, 2).to(torch.bfloat16),
    f64=torch.randn(3, dtype=torch.float64),
    i64=torch.tensor([1, -2, 1 << 40]),
    i32=torch.tensor([[1], [-2]], dtype=torch.int32),
    u8=torch.tensor([0, 255], dtype=torch.uint8),
    i8=torch.tensor([-128, 127], dtype=torch.int8),
    scalar=torch.tensor(1.5),
    empty=torch.zeros(0, 3),
    whole=shared,
    rows=shared[1:3],
    parameter=torch.nn.Parameter(torch.randn(2, 3)),
    ones=torch.randn(5, 1, 3).transpose(0, 1),
)
state._metadata = OrderedDict({"": {"version": 1}, "x": {"version": 2}})
folder = pathlib.Path(sys.argv[1])
torch.save(state, folder / "state.bin")
save_file({k: v.detach().contiguous().clone() for k, v in state.items()}, folder / "state.safetensors")
torch.save({"turned": torch.randn(3, 4).t()}, folder / "turned.bin")
torch.save({"step": 3, "nothing": None, "w": torch.ones(2)}, folder / "mixed.bin")
torch.save({"when": __import__("datetime").date(2026, 1, 1)}, folder / "code.bin")
torch.save({"w": torch.ones(2)}, folder / "legacy.bin", _use_new_zipfile_serialization=False)
