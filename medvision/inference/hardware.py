"""What kind of machine computes: where it is the same, the same input gives the same bits."""

from __future__ import annotations

import platform

import torch

from medvision.models.precision import inference_dtype


def hardware_class(device: str) -> str:
    """Processor, number format and threads, such as "x86_64 AVX512, bfloat16, 2 threads"; no machine's name.

    Args:
        device: `cpu`, `cuda` or `cuda:n`.
    """
    dtype = str(inference_dtype(device)).removeprefix("torch.")
    if torch.device(device).type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {dtype}"
    instructions = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {instructions}, {dtype}, {torch.get_num_threads()} threads"
