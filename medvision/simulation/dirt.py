"""What goes wrong with real DICOM, on demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from medvision.errors import UsageError
from medvision.simulation.headers import Visit, decimals
from medvision.simulation.phantom import Phantom, stream
from medvision.simulation.writing import Stack, axial_stack, write_slice, write_stack

Dirt = Literal["missing_slice", "duplicated_slice", "tilted", "mixed_series", "truncated_file"]
KINDS: tuple[Dirt, ...] = get_args(Dirt)
KEPT_SHARE = 0.6
"""Of a truncated file's bytes."""


def check_dirt(dirt: Sequence[str]) -> tuple[Dirt, ...]:
    """Return the kinds of dirt asked for; "all" stands for every one.

    Raises:
        UsageError: naming the unknown kind and the known ones.
    """
    for kind in dirt:
        if kind not in (*KINDS, "all"):
            raise UsageError(f"dirt: {kind!r} is unknown; choose from {', '.join(KINDS)}, all")
    return KINDS if "all" in dirt else cast(tuple[Dirt, ...], tuple(dirt))


def dirt_of_patient(dirt: Sequence[Dirt], index: int) -> Dirt | None:
    """Kinds are dealt out in turn, one a patient."""
    return dirt[index % len(dirt)] if dirt else None


def write_dirty(
    folder: Path, phantom: Phantom, visit: Visit, hu: NDArray[np.int16], dirt: Dirt | None
) -> None:
    """Write the axial series, spoiled in one way."""
    stack = axial_stack(phantom, visit, hu)
    if dirt == "tilted":
        stack = tilted(phantom, stack)
    paths = write_stack(folder, phantom, stack)
    rng = stream(phantom.seed, phantom.index, 4)
    victim = int(rng.integers(len(paths) // 4, 3 * len(paths) // 4))
    if dirt == "missing_slice":
        paths[victim].unlink()
    elif dirt == "duplicated_slice":
        write_slice(folder / "copy.dcm", phantom, stack, victim, victim + 1, "copy")
    elif dirt == "truncated_file":
        content = paths[victim].read_bytes()
        paths[victim].write_bytes(content[: int(len(content) * KEPT_SHARE)])
    elif dirt == "mixed_series":
        write_stack(folder, phantom, _second_acquisition(stack))


def _second_acquisition(stack: Stack) -> Stack:
    """Every other slice again, as a second acquisition under the same Series Instance UID."""
    header = stack.header.copy()
    header.AcquisitionNumber = 2
    header.SliceThickness = decimals(2 * float(header.SliceThickness))[0]
    return replace(
        stack,
        hu=stack.hu[::2],
        origins_mm=stack.origins_mm[::2],
        header=header,
        name="second acquisition",
        first_number=len(stack.hu) + 1,
    )


def tilted(phantom: Phantom, stack: Stack) -> Stack:
    """The same patient scanned with a tilted gantry: slices lean, the table still moves along z.

    Rows of a leaning slice are taken from the upright volume, between its slices; what lies beyond it is air.
    """
    degrees = float(stream(phantom.seed, phantom.index, 5).uniform(8, 20))
    angle = np.deg2rad(degrees)
    scan = phantom.acquisition
    offset = (np.arange(scan.matrix) - (scan.matrix - 1) / 2) * scan.pixel_mm
    middle = (scan.matrix - 1) / 2
    rows = middle + offset * np.cos(angle) / scan.pixel_mm
    rise = offset * np.sin(angle) / scan.spacing_mm
    header = stack.header.copy()
    header.GantryDetectorTilt = decimals(degrees)[0]
    header.ImageOrientationPatient = decimals(1, 0, 0, 0, float(np.cos(angle)), float(np.sin(angle)))
    origins = stack.origins_mm.copy()
    origins[:, 1] += (scan.matrix - 1) / 2 * scan.pixel_mm * (1 - np.cos(angle))
    origins[:, 2] += offset[0] * np.sin(angle)
    return replace(stack, hu=_lean(stack.hu, rows, rise), origins_mm=origins, header=header)


def _lean(hu: NDArray[np.int16], rows: NDArray[np.float64], rise: NDArray[np.float64]) -> NDArray[np.int16]:
    """Sample (slices, rows, columns) at slice k + rise[r] (linear) and row rows[r] (nearest)."""
    row = np.rint(rows).astype(int)
    leaning = np.empty_like(hu)
    for k in range(len(hu)):
        place = k + rise
        low = np.clip(np.floor(place), 0, len(hu) - 2).astype(int)
        share = np.clip(place - low, 0, 1)[:, None]
        image = hu[low, row] * (1 - share) + hu[low + 1, row] * share
        image[(place < 0) | (place > len(hu) - 1)] = -1000
        leaning[k] = np.rint(image)
    return leaning
