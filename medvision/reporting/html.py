"""Self-contained HTML pages: no script, nothing fetched, every value escaped."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import zip_longest
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from medvision.reporting import words
from medvision.reporting.figures import key_images, overview_figure
from medvision.reporting.report import Report
from medvision.volumes import Explanation, HeatMap, LungMask, Scan


def render(template: str, **values: Any) -> str:  # noqa: ANN401
    """Fill one of the package's templates."""
    return _environment().get_template(template).render(**values)


def report_page(
    report: Report,
    scan: Scan,
    lungs: LungMask | None,
    heat_map: HeatMap | None,
    explanations: Sequence[Explanation] = (),
) -> str:
    """The page of one case; explanations are one a finding, in the report's order, or none at all."""
    return render(
        "report.html",
        report=report,
        overview=overview_figure(scan, report, lungs, heat_map),
        cards=[
            (finding, key_images(scan, finding, explanation))
            for finding, explanation in zip_longest(report.findings, explanations)
        ],
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("medvision.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["words"] = words
    return environment
