"""Lay an earlier scan over a current one: affine, then demons, by SimpleITK.

Both scans are averaged to about `GRID_MM`. The first guess maps the box around one pair of lungs to that of
the other; an affine transform follows (normalised correlation inside the lungs), then a free deformation by
symmetric-forces demons (Vercauteren et al., NeuroImage 2009), which takes up breathing. One thread and fixed
seeds: the same scans give the same alignment.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import highdicom as hd
import numpy as np
import SimpleITK as sitk  # noqa: N813  its users know it by this name
from numpy.typing import NDArray

from medvision.findings import Point
from medvision.geometry import Affine, Points, spacing_mm, voxel_to_lps
from medvision.volumes import LungMask

Image = NDArray[np.float32]
Transform = Any
"""SimpleITK has no types."""

GRID_MM = 3.0
LOW_HU, HIGH_HU = -1000.0, -200.0
"""Vessels and nodules count, what lies outside the lungs hardly."""
MARGIN_MM = 12.0
COARSE_MM = 8.0
"""Structures larger than this do not count for the similarity."""
SAMPLED = 0.05
AFFINE_STEPS = 60
DEMONS = ((2, 50), (1, 12))
"""Shrinking and iterations, a level."""
SMOOTHING_VOX = 1.5
LEAST_OVERLAP, LEAST_SIMILARITY = 0.85, 0.75
"""Below either, two scans are not compared; see docs/priors.md."""
INVERSIONS = 20
SEED = 1


@dataclass(frozen=True, slots=True)
class Alignment:
    """How two scans of a patient lie to each other.

    Attributes:
        found: whether it is good enough to compare.
        overlap: Dice coefficient of both pairs of lungs once aligned.
        similarity: correlation of the HU inside the lungs once aligned.
        words: how they were aligned, and how well.
        affine: 4 × 4, current to earlier LPS mm, before the deformation.
        transform: current to earlier LPS mm.
    """

    found: bool
    overlap: float
    similarity: float
    words: str
    affine: Affine
    transform: Transform

    def to_prior(self, point_mm: Point) -> Point:
        """A current place in the earlier scan, LPS mm."""
        x, y, z = self.transform.TransformPoint([float(value) for value in point_mm])
        return x, y, z

    def to_current(self, point_mm: Point) -> Point:
        """A place of the earlier scan in the current one, LPS mm; by repeated correction."""
        back = np.linalg.inv(self.affine[:3, :3])
        guess = back @ (np.array(point_mm) - self.affine[:3, 3])
        for _ in range(INVERSIONS):
            x, y, z = guess.tolist()
            guess = guess + back @ (np.array(point_mm) - self.to_prior((x, y, z)))
        x, y, z = guess.tolist()
        return x, y, z


def align(current: hd.Volume, lungs: LungMask, prior: hd.Volume, prior_lungs: LungMask) -> Alignment:
    """Align an earlier scan with a current one.

    Args:
        current: HU in slice, row, column order.
        lungs: of it.
        prior: the earlier scan.
        prior_lungs: of it.
    """
    if not (lungs.found and prior_lungs.found):
        return _unaligned("earlier" if lungs.found else "current")
    mask, prior_mask = _mask_image(lungs), _mask_image(prior_lungs)
    fixed = _cropped(_image(current), lungs)
    fixed_mask = _onto(mask, fixed, sitk.Transform(3, sitk.sitkIdentity))
    moving = _image(prior) + _level(fixed, fixed_mask, prior, prior_lungs)
    fixed, moving = (sitk.Clamp(image, sitk.sitkFloat32, LOW_HU, HIGH_HU) for image in (fixed, moving))
    affine = _affine(fixed, fixed_mask, moving, _boxes(lungs, prior_lungs))
    rough = sitk.Resample(moving, fixed, affine, sitk.sitkLinear, LOW_HU)
    field = _demons(fixed, rough)
    transform = sitk.CompositeTransform([affine, sitk.DisplacementFieldTransform(field)])
    overlap = _dice(fixed_mask, _onto(prior_mask, fixed, transform))
    warped = sitk.Resample(moving, fixed, transform, sitk.sitkLinear, LOW_HU)
    similarity = _correlation(fixed, warped, fixed_mask)
    return _judged(overlap, similarity, _matrix(affine), transform)


def _unaligned(which: str) -> Alignment:
    words = f"the scans could not be aligned: no lungs were found in the {which} one"
    return Alignment(
        found=False,
        overlap=0.0,
        similarity=0.0,
        words=words,
        affine=np.eye(4),
        transform=sitk.Transform(3, sitk.sitkIdentity),
    )


def _judged(overlap: float, similarity: float, affine: Affine, transform: Transform) -> Alignment:
    found = overlap >= LEAST_OVERLAP and similarity >= LEAST_SIMILARITY
    figures = f"overlap of the lungs {overlap:.2f}, correlation of their vessels {similarity:.2f}"
    words = (
        f"affine and deformable registration of the lungs: {figures}"
        if found
        else f"the scans could not be aligned well enough to compare findings: {figures}"
    )
    return Alignment(found, overlap, similarity, words, affine, transform)


def _image(volume: hd.Volume) -> Transform:
    """The volume, averaged over whole blocks of voxels of about `GRID_MM`."""
    steps = [max(1, round(GRID_MM / spacing)) for spacing in spacing_mm(volume.affine)]
    shape = [size // step for size, step in zip(volume.spatial_shape, steps, strict=True)]
    mean = np.zeros(shape, np.float32)
    for plane in range(shape[0]):
        slab = volume.array[plane * steps[0] : (plane + 1) * steps[0]].mean(axis=0, dtype=np.float32)
        slab = slab[: shape[1] * steps[1], : shape[2] * steps[2]]
        mean[plane] = slab.reshape(shape[1], steps[1], shape[2], steps[2]).mean(axis=(1, 3))
    affine = np.array(volume.affine, np.float64)
    affine[:3, 3] += affine[:3, :3] @ ((np.array(steps) - 1) / 2)
    affine[:3, :3] *= steps
    return _to_itk(np.maximum(mean, LOW_HU), affine)


def _to_itk(array: NDArray[Any], affine: Affine) -> Transform:
    """ITK's index is column, row, slice; its physical space is LPS mm."""
    image = sitk.GetImageFromArray(array)
    steps = affine[:3, 2::-1]
    lengths = np.linalg.norm(steps, axis=0)
    image.SetSpacing(lengths.tolist())
    image.SetDirection((steps / lengths).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image


def _mask_image(lungs: LungMask) -> Transform:
    return _to_itk((lungs.labels > 0).astype(np.uint8), lungs.affine)


def _onto(mask: Transform, grid: Transform, transform: Transform) -> Transform:
    return sitk.Resample(mask, grid, transform, sitk.sitkNearestNeighbor, 0)


def _lung_points(lungs: LungMask) -> Points:
    return voxel_to_lps(lungs.affine, np.argwhere(lungs.labels > 0))


def _cropped(image: Transform, lungs: LungMask) -> Transform:
    """Only the box around the lungs."""
    points = _lung_points(lungs)
    corners = np.stack([points.min(axis=0) - MARGIN_MM, points.max(axis=0) + MARGIN_MM])
    x, y, z = (axis.tolist() for axis in corners.T)
    index = np.array([image.TransformPhysicalPointToContinuousIndex(one) for one in product(x, y, z)])
    size = np.array(image.GetSize())
    low = np.clip(np.floor(index.min(axis=0)), 0, size - 1).astype(int)
    high = np.clip(np.ceil(index.max(axis=0)) + 1, low + 1, size).astype(int)
    return sitk.RegionOfInterest(image, (high - low).tolist(), low.tolist())


def _level(fixed: Transform, fixed_mask: Transform, prior: hd.Volume, prior_lungs: LungMask) -> float:
    """What to add to the earlier scan: lungs with less air are denser."""
    now = sitk.GetArrayViewFromImage(fixed)[sitk.GetArrayViewFromImage(fixed_mask) > 0]
    image = _image(prior)
    inside = _onto(_mask_image(prior_lungs), image, sitk.Transform(3, sitk.sitkIdentity))
    then = sitk.GetArrayViewFromImage(image)[sitk.GetArrayViewFromImage(inside) > 0]
    return float(np.median(now) - np.median(then))


def _boxes(lungs: LungMask, prior_lungs: LungMask) -> Transform:
    """The affine transform that maps one pair of lungs' extent to the other's, axis by axis."""
    ranges = [np.percentile(_lung_points(mask), (2, 98), axis=0) for mask in (lungs, prior_lungs)]
    scale = (ranges[1][1] - ranges[1][0]) / (ranges[0][1] - ranges[0][0])
    guess = sitk.AffineTransform(3)
    guess.SetMatrix(np.diag(scale).ravel().tolist())
    guess.SetCenter(ranges[0].mean(axis=0).tolist())
    guess.SetTranslation((ranges[1].mean(axis=0) - ranges[0].mean(axis=0)).tolist())
    return guess


def _affine(fixed: Transform, mask: Transform, moving: Transform, guess: Transform) -> Transform:
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsCorrelation()
    method.SetMetricFixedMask(sitk.BinaryDilate(mask, [4, 4, 4]))
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(SAMPLED, SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.02, AFFINE_STEPS)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([2.0, 1.0])
    method.SetInitialTransform(guess, inPlace=False)
    return sitk.AffineTransform(sitk.CompositeTransform(method.Execute(fixed, moving)).GetBackTransform())


def _demons(fixed: Transform, moving: Transform) -> Transform:
    """Displacements in mm on the fixed image's grid, coarse to fine."""
    field = None
    for shrink, steps in DEMONS:
        here, there = (
            sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, 0.5 * shrink * GRID_MM), [shrink] * 3)
            for image in (fixed, moving)
        )
        demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
        demons.SetNumberOfIterations(steps)
        demons.SetStandardDeviations(SMOOTHING_VOX)
        start = None if field is None else sitk.Resample(field, here)
        field = demons.Execute(here, there) if start is None else demons.Execute(here, there, start)
    return sitk.Resample(sitk.Cast(field, sitk.sitkVectorFloat64), fixed)


def _matrix(transform: Transform) -> Affine:
    """As 4 × 4."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(transform.GetMatrix()).reshape(3, 3)
    matrix[:3, 3] = transform.TransformPoint((0.0, 0.0, 0.0))
    return matrix


def _dice(one: Transform, other: Transform) -> float:
    a, b = (sitk.GetArrayViewFromImage(image) > 0 for image in (one, other))
    return float(2 * (a & b).sum() / max(int(a.sum() + b.sum()), 1))


def _correlation(one: Transform, other: Transform, mask: Transform) -> float:
    """Of what is finer than `COARSE_MM`: vessels, which only the same patient has in the same places."""
    inside = sitk.GetArrayViewFromImage(sitk.BinaryErode(mask, [2, 2, 2])) > 0
    fine = [image - sitk.SmoothingRecursiveGaussian(image, COARSE_MM) for image in (one, other)]
    values = [sitk.GetArrayViewFromImage(image)[inside] for image in fine]
    return float(np.corrcoef(*values)[0, 1])
