"""Self-contained HTML pages: nothing fetched, every value escaped, readable without their one script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from itertools import zip_longest
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from medvision.measurement.nodule import NoduleMask
from medvision.reporting.figures import draw_card, overview_figure
from medvision.reporting.languages import LanguageCode
from medvision.reporting.languages.catalogue import language
from medvision.reporting.report import Report
from medvision.reporting.urgency import by_urgency, lung_rads_rank
from medvision.reporting.words import DASH, Words
from medvision.volumes import Explanation, HeatMap, LungMask, Scan


def render(template: str, language_code: LanguageCode = "en", **values: Any) -> str:  # noqa: ANN401
    """Fill one of the package's templates.

    Raises:
        ConfigError: there is no such language.
    """
    return _environment(language_code).get_template(template).render(**values)


def report_page(
    report: Report,
    scan: Scan,
    lungs: LungMask | None,
    heat_map: HeatMap | None,
    explanations: Sequence[Explanation] = (),
    *,
    masks: Sequence[NoduleMask] = (),
    prior_scan: Scan | None = None,
    language_code: LanguageCode = "en",
) -> str:
    """The page of one case, the most urgent finding first.

    Args:
        report: the result.
        scan: for the pictures.
        lungs: for the overview.
        heat_map: laid over the overview.
        explanations: one a finding, in the report's order, or none at all.
        masks: where each finding lies, likewise.
        prior_scan: the earlier examination, shown beside; None without one.
        language_code: of `languages.LANGUAGES`.

    Raises:
        ConfigError: there is no such language.
    """
    drawn = {
        finding.finding_id: draw_card(scan, finding, explanation, mask, prior_scan)
        for finding, explanation, mask in zip_longest(report.findings, explanations, masks)
    }
    findings = by_urgency(report.findings)
    return render(
        "report.html",
        language_code,
        report=report,
        findings=findings,
        overview=overview_figure(scan, report, lungs, heat_map),
        cards=[drawn[finding.finding_id] for finding in findings],
    )


def inline_script(name: str) -> Markup:
    """The text of a script among the templates."""
    text, _, _ = PackageLoader("medvision.reporting").get_source(Environment(), name)  # noqa: S701
    return Markup(text)  # noqa: S704  the package's own text


def script_hash(name: str) -> str:
    """What Content Security Policy wants to hear of an inline script, so that no other one runs."""
    digest = hashlib.sha256(inline_script(name).encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


@cache
def _environment(language_code: LanguageCode) -> Environment:
    spoken = language(language_code)
    environment = Environment(
        loader=PackageLoader("medvision.reporting"),
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.install_gettext_translations(spoken.translations, newstyle=True)  # type: ignore[attr-defined]
    environment.globals |= {
        "words": Words(spoken),
        "language": spoken,
        "DASH": DASH,
        "inline_script": inline_script,
        "script_hash": script_hash,
        "rank": lung_rads_rank,
    }
    return environment
