"""Limits of a share that was counted among nodules, several of which may lie in one scan."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959964
"""97.5th percentile of the normal distribution."""

Limits = tuple[float, float]


def wilson(share: float, count: float) -> Limits:
    """95 % limits of a share among so many (Wilson, J Am Stat Assoc 1927;22:209-212); 0 to 1 among none."""
    if count <= 0:
        return 0.0, 1.0
    middle = (share + Z_95**2 / (2 * count)) / (1 + Z_95**2 / count)
    spread = share * (1 - share) / count + Z_95**2 / (4 * count**2)
    half = Z_95 * float(np.sqrt(spread)) / (1 + Z_95**2 / count)
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def clustered_limits(hit: NDArray[np.bool_], cluster: NDArray[np.int64]) -> Limits:
    """95 % limits of a share whose samples come in clusters.

    Wilson's limits for as many samples as would tell as much if they were independent: their number over the
    design effect, which is the share's variance as a ratio of cluster sums over that of independent samples
    (Rao and Scott, Biometrics 1992;48:577-585). An effect below 1 is taken as 1.

    Args:
        hit: (n,) what is counted.
        cluster: (n,) index of the scan or patient of each sample.
    """
    n = len(hit)
    share = float(hit.mean()) if n else 0.0
    plain = share * (1 - share) / n if n else 0.0
    _, member = np.unique(cluster, return_inverse=True)
    clusters = int(member.max()) + 1 if n else 0
    if plain == 0 or clusters < 2:
        return wilson(share, clusters if clusters == 1 else n)
    residual = np.bincount(member, weights=hit - share)
    variance = clusters / (clusters - 1) * float((residual**2).sum()) / n**2
    return wilson(share, n / max(1.0, variance / plain))
