"""Random changes of a training patch, by MONAI's transforms: they run on image and target together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

NOISE_HU = 30.0
SHIFT_HU = 40.0
BOTH = ("image", "target")


class Augmentation:
    """Flips, quarter turns in the axial plane, brightness, noise and blur of the kind scanners differ by."""

    def __init__(self) -> None:
        from monai import transforms as mt

        self.transforms = mt.Compose(
            [
                *(mt.RandFlipd(BOTH, prob=0.5, spatial_axis=axis) for axis in range(3)),
                mt.RandRotate90d(BOTH, prob=0.5, max_k=3, spatial_axes=(1, 2)),
                mt.RandShiftIntensityd("image", offsets=SHIFT_HU, prob=0.5),
                mt.RandGaussianSmoothd(
                    "image", sigma_x=(0.3, 1.2), sigma_y=(0.2, 0.7), sigma_z=(0.2, 0.7), prob=0.4
                ),
                mt.RandGaussianNoised("image", std=NOISE_HU, sample_std=True, prob=0.5),
            ]
        )

    def __call__(self, item: Mapping[str, Tensor], random: np.random.Generator) -> dict[str, Tensor]:
        """Draw from `random` only, so that the patch is the same for the same seed."""
        self.transforms.set_random_state(seed=int(random.integers(2**31)))
        changed = self.transforms(dict(item))
        return {key: getattr(value, "as_tensor", lambda v=value: v)() for key, value in changed.items()}
