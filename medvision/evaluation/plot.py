"""The FROC picture."""

from __future__ import annotations

from pathlib import Path

from medvision.evaluation.froc import FrocResult
from medvision.files import write_whole


def plot_froc(result: FrocResult, path: Path) -> None:
    """Draw the curve, its band where bootstrapped, the seven operating points and those asked for, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    if result.band is not None:
        band = result.band
        axes.fill_between(
            band.fp_per_scan, band.lower, band.upper, color="C0", alpha=0.2, lw=0, label="95 % interval"
        )
    axes.plot(result.curve.fp_per_scan, result.curve.sensitivity, color="C0", label=f"CPM {result.cpm:.3f}")
    axes.plot(result.fp_per_scan, result.sensitivity, "o", color="C0", clip_on=False)
    asked = result.beyond.points if result.beyond is not None else ()
    rates, found = [point.fp_per_scan for point in asked], [point.sensitivity for point in asked]
    if asked:
        axes.plot(rates, found, "D", color="C1", clip_on=False, label="points asked for")
    axes.set_xscale("log", base=2)
    axes.set_xlim(min([result.fp_per_scan[0], *rates]), max([result.fp_per_scan[-1], *rates]))
    axes.set_xticks(result.fp_per_scan, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axes.set_ylim(0, 1)
    axes.set_xlabel("false positives a scan")
    axes.set_ylabel("sensitivity")
    axes.set_title(f"{result.n_nodules} nodules in {result.n_scans} scans")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    with write_whole(path) as aside:
        figure.savefig(aside, dpi=150, format="png")
