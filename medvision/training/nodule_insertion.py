"""Simulated nodules in the parenchyma of patches, as sharp and as noisy as the scan they are put into."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medvision.simulation.nodules import add_nodule, sample_nodule
from medvision.training.proposal_targets import NOTHING, Image, Marks

PARENCHYMA_HU = (-980.0, -600.0)
"""Simulated nodules are put where the image shows lung."""

KERNEL_MM = 0.45
"""Standard deviation of the blur of a reconstruction kernel that falls to 10 % at 0.75 cycles a mm."""

TISSUE_MM = 2.5
"""Noise is what a Gaussian of this standard deviation takes away, as far as it is small."""

STRUCTURE_SD = 3.0
"""What differs from its surroundings by more standard deviations of the noise is tissue, such as a vessel."""

_SD_OF_MEDIAN = 1.4826


def host_blur_mm(spacing_mm: tuple[float, ...], voxel_mm: float) -> tuple[float, float]:
    """How much blurrier than its voxels a scan is after resampling: standard deviations in mm.

    Variances add: of a slice as thick as the slices are apart (s²/12), of the kernel, and of linear
    interpolation (a²/6, where a is the coarser of both grids); partial volume in the new voxels (v²/12) is
    painted already.

    Args:
        spacing_mm: of the original scan; the largest is taken for that of its slices.
        voxel_mm: of the isotropic grid.

    Returns:
        Across slices, and in them.
    """
    slices, pixel = max(spacing_mm), min(spacing_mm)
    painted = voxel_mm**2 / 12
    across = slices**2 / 12 + max(slices, voxel_mm) ** 2 / 6 - painted
    inside = KERNEL_MM**2 + max(pixel, voxel_mm) ** 2 / 6 - painted
    return float(np.sqrt(across)), float(np.sqrt(inside))


def insert_nodules(
    hu: Image,
    there: Marks,
    mean_count: float,
    voxel_mm: float,
    random: np.random.Generator,
    blur_mm: tuple[float, float] = (0.0, 0.0),
) -> Marks:
    """Add nodules to a patch, none on top of another or of what is there. The noise of the patch stays.

    Args:
        hu: (E, E, E), changed in place.
        there: what must not be covered.
        mean_count: of the nodules, whose number is drawn.
        voxel_mm: of the patch.
        random: source of randomness.
        blur_mm: of the scan, see `host_blur_mm`.

    Returns:
        What was added.
    """
    affine = np.diag([voxel_mm] * 3 + [1.0])[:, [2, 1, 0, 3]]
    lung = np.flatnonzero((hu > PARENCHYMA_HU[0]) & (hu < PARENCHYMA_HU[1]))
    count = random.poisson(mean_count) if len(lung) else 0
    if not count:
        return NOTHING
    tissue = without_noise(hu, lung, voxel_mm)
    painted, added = tissue.copy(), NOTHING
    for _ in range(count):
        center = np.array(np.unravel_index(random.choice(lung), hu.shape), dtype=np.float64)
        center += random.uniform(-0.5, 0.5, 3)
        x, y, z = (affine[:3, :3] @ center).tolist()
        nodule = sample_nodule(random, (x, y, z))
        if _is_free(center * voxel_mm, nodule.diameter_mm / 2, there.and_also(added), voxel_mm):
            add_nodule(painted, affine, nodule)
            added = added.and_also(Marks(center[None], np.array([nodule.diameter_mm / 2])))
    hu += as_seen(painted - tissue, blur_mm, voxel_mm)
    return added


def without_noise(hu: Image, lung: NDArray[np.intp], voxel_mm: float) -> Image:
    """The tissues of a patch: smooth where it is noisy, as it is where there is more than noise.

    Args:
        hu: (E, E, E).
        lung: flat indices of voxels whose noise is measured; vessels among them do not matter.
        voxel_mm: of the patch.
    """
    smooth = ndimage.gaussian_filter(hu, TISSUE_MM / voxel_mm)
    noise = hu - smooth
    deviation = _SD_OF_MEDIAN * float(np.median(np.abs(noise.reshape(-1)[lung])))
    return np.where(np.abs(noise) < STRUCTURE_SD * deviation, smooth, hu)


def as_seen(change_hu: Image, blur_mm: tuple[float, float], voxel_mm: float) -> Image:
    """What an ideal change of tissue looks like in a scan with this blur."""
    across, inside = (mm / voxel_mm for mm in blur_mm)
    seen: Image = ndimage.gaussian_filter(change_hu, (across, inside, inside), truncate=3.0)
    return seen


def _is_free(center_mm: NDArray[np.float64], radius_mm: float, there: Marks, voxel_mm: float) -> bool:
    distances = np.linalg.norm(there.centers_vox * voxel_mm - center_mm, axis=1)
    return bool((distances > radius_mm + there.radii_mm).all())
