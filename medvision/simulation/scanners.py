"""How a scan is acquired: scanner, kernel, dose, grid. All drawn; nothing is computed on pixels here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Size = Literal["full", "small"]
Reach = tuple[float, float]


@dataclass(frozen=True)
class Kernel:
    """A reconstruction kernel.

    Attributes:
        name: as written in Convolution Kernel (0018,1210).
        cutoff: frequency where its transfer function has fallen to 10 %, cycles a mm.
        boost: largest gain of middle frequencies above 1: edge overshoot of sharp kernels.
        noise_hu: standard deviation in the lungs at 100 mAs and 1.25 mm.
    """

    name: str
    cutoff: float
    boost: float
    noise_hu: float


@dataclass(frozen=True)
class Vendor:
    """A maker's habits.

    Attributes:
        manufacturer: Manufacturer (0008,0070).
        models: Manufacturer's Model Name (0008,1090).
        kernels: soft and sharp kernels.
        intercept: Rescale Intercept (0028,1052).
        signed: Pixel Representation (0028,0103) is 1.
        padding_hu: HU outside the reconstructed circle; None where the whole square is reconstructed.
        thicknesses_mm: slice thicknesses on offer.
    """

    manufacturer: str
    models: tuple[str, ...]
    kernels: tuple[Kernel, ...]
    intercept: int
    signed: bool
    padding_hu: int | None
    thicknesses_mm: tuple[float, ...]


VENDORS = (
    Vendor(
        "GE MEDICAL SYSTEMS",
        ("LightSpeed VCT", "LightSpeed16", "Revolution CT"),
        (
            Kernel("STANDARD", 0.62, 0.0, 15),
            Kernel("LUNG", 0.95, 0.45, 38),
            Kernel("BONE", 0.9, 0.2, 30),
            Kernel("SOFT", 0.5, 0.0, 11),
        ),
        intercept=-1024,
        signed=True,
        padding_hu=-3024,
        thicknesses_mm=(0.625, 1.25, 2.5),
    ),
    Vendor(
        "SIEMENS",
        ("SOMATOM Definition AS+", "Sensation 64", "SOMATOM Force"),
        (
            Kernel("B30f", 0.58, 0.0, 13),
            Kernel("B50f", 0.78, 0.15, 24),
            Kernel("B70f", 1.0, 0.5, 40),
            Kernel("Br40d", 0.6, 0.0, 12),
        ),
        intercept=-1024,
        signed=False,
        padding_hu=None,
        thicknesses_mm=(0.75, 1.0, 1.5, 2.0, 3.0),
    ),
    Vendor(
        "Philips",
        ("Brilliance 64", "iCT 256", "IQon - Spectral CT"),
        (Kernel("B", 0.6, 0.0, 14), Kernel("C", 0.72, 0.1, 20), Kernel("L", 0.95, 0.35, 34)),
        intercept=-1000,
        signed=False,
        padding_hu=None,
        thicknesses_mm=(0.9, 1.0, 2.0, 3.0),
    ),
    Vendor(
        "TOSHIBA",
        ("Aquilion ONE", "Aquilion PRIME"),
        (Kernel("FC13", 0.6, 0.0, 14), Kernel("FC51", 0.95, 0.35, 34), Kernel("FC08", 0.56, 0.0, 12)),
        intercept=0,
        signed=True,
        padding_hu=-2048,
        thicknesses_mm=(1.0, 2.0, 3.0),
    ),
)

NOISE_RANGE_HU = (5.0, 38.0)
SMALL_MATRIX, FULL_MATRIX = 256, 512
SMALL_THICKNESSES_MM = (2.0, 2.25, 2.5, 3.0)
FULL_PIXELS_MM, SMALL_PIXELS_MM = (0.5, 0.9), (1.1, 1.5)


@dataclass(frozen=True)
class Acquisition:
    """One scan's settings.

    Attributes:
        vendor: the maker.
        model: of the scanner.
        kernel: of the reconstruction.
        kvp: tube voltage, kV.
        mas: tube current times time, mAs.
        noise_hu: standard deviation of the noise in the lungs.
        matrix: rows and columns.
        pixel_mm: spacing of rows and columns.
        thickness_mm: slice thickness.
        spacing_mm: distance between slices.
        origin_mm: LPS of the first voxel of the lowest slice.
        slices: their number.
        streaks: strength of the horizontal streaks between the shoulders.
        feet_first: Patient Position FFS, else HFS.
        ascending: Instance Number rises from feet to head.
    """

    vendor: Vendor
    model: str
    kernel: Kernel
    kvp: int
    mas: int
    noise_hu: float
    matrix: int
    pixel_mm: float
    thickness_mm: float
    spacing_mm: float
    origin_mm: tuple[float, float, float]
    slices: int
    streaks: float
    feet_first: bool
    ascending: bool


def sample_acquisition(
    rng: np.random.Generator, size: Size, *, width_mm: float, z_range_mm: Reach, center_y_mm: float
) -> Acquisition:
    """Draw how a patient is scanned.

    Args:
        rng: source of randomness.
        size: full, or small for quick runs.
        width_mm: of the patient's body, which the field of view follows.
        z_range_mm: lowest and highest height of interest.
        center_y_mm: middle of the body.
    """
    vendor = VENDORS[int(rng.integers(len(VENDORS)))]
    kernel = vendor.kernels[int(rng.integers(len(vendor.kernels)))]
    matrix, (low, high) = (FULL_MATRIX, FULL_PIXELS_MM) if size == "full" else (SMALL_MATRIX, SMALL_PIXELS_MM)
    pixel = float(np.clip(width_mm * rng.uniform(0.92, 1.1) / matrix, low, high).round(6))
    choices = vendor.thicknesses_mm if size == "full" else SMALL_THICKNESSES_MM
    thickness = float(rng.choice(choices))
    mas = int(np.exp(rng.uniform(np.log(25), np.log(250))))
    noise = kernel.noise_hu * float(np.sqrt(100 / mas * 1.25 / thickness))
    spacing = thickness if rng.random() < 0.75 else round(0.8 * thickness, 3)
    slices = int(np.ceil((z_range_mm[1] - z_range_mm[0]) / spacing)) + 1
    half = pixel * (matrix - 1) / 2
    shift = rng.normal(0, 5, 2).round(1).tolist()
    z = round(z_range_mm[0] + float(rng.uniform(0, spacing)), 2)
    return Acquisition(
        vendor=vendor,
        model=str(rng.choice(vendor.models)),
        kernel=kernel,
        kvp=int(rng.choice([100, 120, 120, 140])),
        mas=mas,
        noise_hu=float(np.clip(noise, *NOISE_RANGE_HU)),
        matrix=matrix,
        pixel_mm=pixel,
        thickness_mm=thickness,
        spacing_mm=spacing,
        origin_mm=(round(-half + shift[0], 4), round(center_y_mm - half + shift[1], 4), z),
        slices=slices,
        streaks=float(rng.uniform(0.3, 1.5)),
        feet_first=bool(rng.random() < 0.3),
        ascending=bool(rng.random() < 0.5),
    )
