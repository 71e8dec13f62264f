"""Makes the files that torch_file_test.cpp reads. Written with torch 2.13; no random numbers.

reference.pth      what torch.save writes: every dtype that is read, views, shared data, parameters, other values beside
protocol5.pth      the same tensors under a wrapping key, by pickle protocol 5
complex.pth        complex numbers: a dtype that isn't read
legacy.pth         the form before torch 1.6
script.pth         a TorchScript program
"""

from collections import OrderedDict
from pathlib import Path

import torch

HERE = Path(__file__).parent

grid = torch.arange(12, dtype=torch.float32).reshape(3, 4)
parameter = torch.nn.Parameter(torch.tensor([0.5, -0.5]))
marked = torch.nn.Parameter(torch.tensor([2.0]))
marked.note = "kept by torch"  # pickled by _rebuild_parameter_with_state
weights = OrderedDict(
    grid=grid,
    rows=grid[1:],
    column=grid[:, 1],
    transposed=grid.t(),
    expanded=torch.tensor([7.0]).expand(2, 2),
    scalar=torch.tensor(-7),
    empty=torch.zeros(0, 3),
    parameter=parameter,
    marked=marked,
)
for dtype in ["float64", "float16", "bfloat16", "int32", "int16", "int8", "uint8", "bool", "uint16", "uint32", "uint64",
              "float8_e4m3fn", "float8_e5m2"]:
    weights[dtype] = torch.tensor([1, 0, 1, 1]).to(getattr(torch, dtype))
module = torch.nn.Linear(2, 1)
with torch.no_grad():
    module.weight.copy_(torch.tensor([[1.0, 2.0]]))
    module.bias.fill_(3.0)
other = {
    "epoch": 3, "rate": 1e-3, "large": 2**70, "less": -(2**40), "name": "gr\u00f6\u00dfe", "raw": b"\x00\xff", "none": None,
    "flag": True, "size": torch.Size([1, 2]), "type": torch.bfloat16, "list": [1, (2, 3, 4, 5), []],
}
everything = {"weights": weights, "layers": [torch.tensor([1.0]), (torch.tensor([2.0]),)], 5: torch.tensor([3.0]),
              "module": module.state_dict(), "other": other}

torch.save(everything, HERE / "reference.pth")
torch.save({"model": weights, "epoch": 3}, HERE / "protocol5.pth", pickle_protocol=5)
torch.save({"z": torch.tensor([1j])}, HERE / "complex.pth")
torch.save({"w": torch.tensor([1.0])}, HERE / "legacy.pth", _use_new_zipfile_serialization=False)
torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), HERE / "script.pth")
