"""How training patches are changed at random. Every number is the largest change; 0 switches its kind off."""

from __future__ import annotations

from pydantic import Field

from medvision.config.base import Settings


class AugmentationConfig(Settings):
    """Changes of a patch, drawn for each patch anew."""

    probability: float = Field(default=0.5, ge=0, le=1)
    """That each kind of change is made; each is drawn for itself."""

    flips: bool = True
    """Mirror along each axis, and turn by quarters in the axial plane."""

    rotation_deg: float = Field(default=0.0, ge=0, le=45)
    """Rotation about each axis, either way."""

    scale: float = Field(default=0.0, ge=0, le=0.5)
    """Relative change of all sizes: 0.1 makes a nodule of 10 mm one of 9 to 11 mm."""

    offset_hu: float = Field(default=40.0, ge=0, le=200)
    """Shift of all HU, either way."""

    contrast: float = Field(default=0.0, ge=0, le=0.5)
    """Relative change of the distance of all HU from air (−1000), either way."""

    noise_hu: float = Field(default=30.0, ge=0, le=200)
    """Standard deviation of added noise."""

    blur_z_mm: float = Field(default=1.5, ge=0, le=5)
    """Standard deviation of a blur across slices, as of thick ones."""

    blur_xy_mm: float = Field(default=0.9, ge=0, le=5)
    """Standard deviation of the blur in the slices that goes with it."""

    kernel_gain: float = Field(default=1.0, ge=1, le=4)
    """As reconstructed with another kernel: so many times as much, or as little, of the finest structures and
    of the noise in the slices. 1: none."""
