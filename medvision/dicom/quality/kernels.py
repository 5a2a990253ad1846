"""What a Convolution Kernel's name says: soft, medium, sharp or edge-enhancing; makers share no names.

Siemens numbers its kernels from 10, extremely soft, to 90 (Somatom Sensation, operating instructions: 30 and
40 for body tissue, 50 to 80 where more sharpness is required). GE and Philips use words and letters, Canon
(Toshiba) FC numbers whose tens say what they are made for: 0 and 1 body, 3 bone, 5 lung, 8 high resolution.
"""

from __future__ import annotations

import re
from typing import Literal

Sharpness = Literal["soft", "medium", "sharp", "edge-enhancing", "unknown"]

_NAMED: dict[str, dict[str, Sharpness]] = {
    "GE": {
        "SOFT": "soft", "STANDARD": "soft", "STND": "soft", "CHST": "medium", "DETAIL": "medium",
        "LUNG": "sharp", "BONE": "sharp", "BONEPLUS": "edge-enhancing", "EDGE": "edge-enhancing",
        "ULTRA": "edge-enhancing",
    },
    "PHILIPS": {
        "A": "soft", "B": "soft", "IB": "soft", "SB": "soft", "XCA": "soft", "XCB": "soft", "C": "medium",
        "XCC": "medium", "D": "sharp", "L": "sharp", "YA": "sharp", "YB": "sharp", "YC": "sharp",
        "E": "edge-enhancing", "YD": "edge-enhancing",
    },
}  # fmt: skip
_CANON_TENS: dict[int, Sharpness] = {0: "soft", 1: "soft", 3: "sharp", 5: "sharp", 8: "edge-enhancing"}
_SIEMENS_BODY = re.compile(r"[BIQ][A-Z]?(\d\d)")
_CANON = re.compile(r"FC(\d\d)")


def sharpness_of(kernel: str, manufacturer: str) -> Sharpness:
    """How sharp a reconstruction is by its names.

    Args:
        kernel: Convolution Kernel (0018,1210); of several values the first counts.
        manufacturer: Manufacturer (0008,0070), as written.
    """
    name = kernel.split("\\", maxsplit=1)[0].strip().upper()
    maker = manufacturer.strip().upper()
    for prefix, names in _NAMED.items():
        if maker.startswith(prefix):
            return names.get(name, "unknown")
    if maker.startswith("SIEMENS") and (found := _SIEMENS_BODY.match(name)):
        return _siemens(int(found.group(1)))
    if maker.startswith(("TOSHIBA", "CANON")) and (found := _CANON.match(name)):
        return _CANON_TENS.get(int(found.group(1)) // 10, "unknown")
    return "unknown"


def _siemens(number: int) -> Sharpness:
    if number < 40:
        return "soft"
    if number < 50:
        return "medium"
    return "sharp" if number < 80 else "edge-enhancing"
