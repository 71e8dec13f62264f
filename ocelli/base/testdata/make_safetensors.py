"""Makes reference.safetensors, which safetensors_test.cpp reads. Written with safetensors 0.8 and torch 2.13; no random numbers."""

from pathlib import Path

import torch
from safetensors.torch import save_file

tensors = {
    "scalar": torch.tensor(-7, dtype=torch.int64),
    "empty": torch.zeros(0, 3, dtype=torch.float32),
    "grid": torch.arange(6, dtype=torch.float32).reshape(2, 3) / 4,
    "half": torch.tensor([1.0, -2.0, float("inf")], dtype=torch.bfloat16),
    "mask": torch.tensor([True, False, True]),
    "n\u00e4me \"quoted\"\\/\n": torch.tensor([255, 0], dtype=torch.uint8),
}
save_file(tensors, Path(__file__).parent / "reference.safetensors", metadata={"format": "pt", "made by": "the reference"})
