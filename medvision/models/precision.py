"""Whether bfloat16 pays on this CPU: measured once a process, because the feature flags do not tell."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import torch
from torch import nn

GAIN = 1.3
"""bfloat16 must be this much quicker before it is used: rounding costs a little accuracy."""


@cache
def inference_dtype(device: str) -> torch.dtype:
    """bfloat16 where convolutions gain by it, else float32; on CUDA bfloat16 where the GPU supports it."""
    if torch.device(device).type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if _seconds(torch.float32) > GAIN * _seconds(torch.bfloat16) else torch.float32


def _seconds(dtype: torch.dtype) -> float:
    """The best of three runs of a small 3D convolution."""
    convolution = nn.Conv3d(32, 32, 3, padding=1).to(dtype)
    convolution.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    image = torch.zeros(1, 32, 24, 24, 24, dtype=dtype).contiguous(memory_format=torch.channels_last_3d)
    with torch.inference_mode():
        convolution(image)
        return min(_timed(lambda: convolution(image)) for _ in range(3))


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
