"""Writes tests/golden/io: files as the safetensors package and NumPy write them, to be read and to be written alike.

Usage: python tools/make_golden_io.py tests/golden/io, with the packages of tools/requirements.txt.
tests/io/ knows the numbers in them.
"""
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import save_file

out = pathlib.Path(sys.argv[1])

ramp = torch.arange(6, dtype=torch.float64).reshape(2, 3) * 0.5 - 1
save_file(
    {
        "f64": ramp,
        "i64": torch.tensor([-(2**40), 2**40]),
        "f32": ramp.float(),
        "i32": torch.tensor([-70000, 70000], dtype=torch.int32),
        "bf16": ramp.bfloat16(),
        "f16": ramp.half(),
        "bool": torch.tensor([True, False]),
        "i8": torch.tensor([-128, 0, 127], dtype=torch.int8),
        "u8": torch.tensor([0, 255], dtype=torch.uint8),
        "scalar": torch.tensor(0.25),
        "empty": torch.zeros(0, 4),
    },
    out / "all_types.safetensors",
    metadata={"ser.note": 'a "quote", a \\ and ü'},
)
save_file({"b": torch.arange(4).float(), "a": torch.ones(3)}, out / "plain.safetensors", metadata={"format": "pt"})

np.save(out / "matrix.npy", np.arange(12, dtype="<f4").reshape(3, 4))
np.save(out / "vector.npy", np.arange(3, dtype="<f4"))
np.save(out / "scalar.npy", np.float32(0.25))
np.save(out / "empty.npy", np.zeros((0, 5), "<f4"))
np.save(out / "double.npy", np.arange(3, dtype="<f8"))
np.save(out / "fortran.npy", np.asfortranarray(np.arange(12, dtype="<f4").reshape(3, 4)))
with open(out / "version_2.npy", "wb") as f:
    np.lib.format.write_array(f, np.arange(3, dtype="<f4"), version=(2, 0))
