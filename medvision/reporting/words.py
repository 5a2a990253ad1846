"""Values in the words and figures a reader expects; one way to say each thing, on every page."""

from __future__ import annotations

import re
from dataclasses import dataclass

from markupsafe import Markup, escape

from medvision.findings import Density
from medvision.reporting.context_records import CancerRiskRecord, GuidelineRecord
from medvision.reporting.languages.catalogue import JOINT, THIN, Language, language, mark
from medvision.reporting.prior_records import FindingPriorRecord, PriorRecord, Status, VanishedRecord
from medvision.reporting.report import CheckRecord, FindingRecord, OperatingPoint, Report, SeriesRecord
from medvision.volumes import Verdict

NO_BREAK, DASH = "\u00a0", "–"
DENSITY: dict[Density, str] = {
    "solid": mark("solid"),
    "part_solid": mark("part-solid"),
    "ground_glass": mark("ground-glass"),
    "calcified": mark("calcified"),
}
TITLE: dict[Density, str] = {
    "solid": mark("Solid finding, %(size)s"),
    "part_solid": mark("Part-solid finding, %(size)s"),
    "ground_glass": mark("Ground-glass finding, %(size)s"),
    "calcified": mark("Calcified finding, %(size)s"),
}
RESULT: dict[Verdict, str] = {"ok": mark("passed"), "warn": mark("to mind"), "reject": mark("not passed")}
SEX = {"M": mark("male"), "F": mark("female"), "O": mark("other")}
QUALITY: dict[Verdict, str] = {
    "ok": mark("good"),
    "warn": mark("usable with care"),
    "reject": mark("not fit for analysis"),
}
LOBES = {
    "right_upper": mark("right upper lobe"),
    "right_middle": mark("right middle lobe"),
    "right_lower": mark("right lower lobe"),
    "left_upper": mark("left upper lobe"),
    "left_lower": mark("left lower lobe"),
}
CALCIFICATION = {
    "diffuse": mark("diffuse calcification"),
    "central": mark("central calcification"),
    "laminated": mark("laminated calcification"),
    "popcorn": mark("popcorn calcification"),
    "eccentric": mark("eccentric calcification"),
    "punctate": mark("punctate calcification"),
}
ATTACHMENT = {
    "pleural": mark("touches the pleura"),
    "vascular": mark("touches a vessel"),
    "fissural": mark("touches a fissure"),
}
CHANGE: dict[Status, str] = {
    "new": mark("new"),
    "growing": mark("growing"),
    "stable": mark("stable"),
    "shrinking": mark("shrinking"),
    "unclear": mark("change not clear"),
}
LIKELIHOOD: tuple[tuple[float, str], ...] = (
    (0.9, mark("very likely a nodule")),
    (0.75, mark("likely a nodule")),
    (0.5, mark("possibly a nodule")),
    (0.25, mark("less likely a nodule")),
    (0.0, mark("unlikely to be a nodule")),
)
"""From which probability on; levels as in Panicek and Hricak, AJR 2016;206:2-3."""


VIEWS = {
    ("axial", "lung"): mark("Axial, lung window"),
    ("axial", "soft tissue"): mark("Axial, soft tissue window"),
    ("coronal", "lung"): mark("Coronal, lung window"),
    ("sagittal", "lung"): mark("Sagittal, lung window"),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One figure of a finding: its name, its value, and what belongs to it, such as limits."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """How a page in one language says the values of a report."""

    language: Language

    def text(self, message: str, **values: object) -> str:
        """A text of the catalogue with its values filled in."""
        return self.language.text(message, **values)

    def said(self, text: str) -> str | Markup:
        """A sentence of the report; what the catalogue does not know is marked as English."""
        known = self.language.said(text)
        return Markup("; ").join(map(self._marked, text.split(JOINT))) if known is None else known

    def _marked(self, text: str) -> str | Markup:
        known = self.language.said(text)
        return Markup('<span lang="en">{}</span>').format(text) if known is None else known

    def _plain(self, text: str) -> str:
        return self.language.said(text) or text

    def percent(self, probability: float | None) -> str:
        """0.934 → 93 %; never 0 % or 100 %, which no model can know."""
        if probability is None:
            return DASH
        if probability > 0.99:
            return f">{THIN}99{self._percent_sign}"
        if probability < 0.01:
            return f"<{THIN}1{self._percent_sign}"
        return f"{round(100 * probability)}{self._percent_sign}"

    def percents(self, lower: float, upper: float) -> str:
        """Two limits: 59 to 94 %."""
        low, high = (min(99, max(1, round(100 * limit))) for limit in (lower, upper))
        if low == high:
            return self.percent(lower)
        return self.text("%(low)s to %(high)s", low=low, high=f"{high}{self._percent_sign}")

    @property
    def _percent_sign(self) -> str:
        return "%" if self.language.code == "zh" else f"{THIN}%"

    def spread(self, finding: FindingRecord) -> str:
        """Standard deviation of a probability over mirror images, such as "± 5 %"; empty where not told."""
        share = finding.probability_std
        return "" if share is None else f"±\u00a0{max(1, round(100 * share))}{self._percent_sign}"

    def likelihood(self, probability: float) -> str:
        """The same in words."""
        return self.text(next(words for limit, words in LIKELIHOOD if probability >= limit))

    def millimetres(self, value: float | None, digits: int = 1) -> str:
        """12.34 → 12.3 mm."""
        return DASH if value is None else f"{self.language.number(value, digits)}{NO_BREAK}mm"

    def volume(self, value_mm3: float) -> str:
        """Volume in mm³, three significant digits: 5,540 mm³."""
        return f"{self._three_digits(value_mm3)}{NO_BREAK}mm³"

    def _three_digits(self, value: float) -> str:
        digits = max(0, 2 - len(str(int(value))) + 1)
        return self.language.number(float(f"{value:.3g}"), digits)

    def volume_limits(self, finding: FindingRecord) -> str:
        """The measurement's own 95 % limits; empty where there are none."""
        lower, upper = finding.volume_lower_mm3, finding.volume_upper_mm3
        if lower is None or upper is None:
            return ""
        low, high = self._three_digits(lower), self._three_digits(upper)
        return self.text("95%% limits %(low)s to %(high)s", low=low, high=high)

    def hounsfield(self, value: float) -> str:
        """HU with a real minus sign."""
        return f"{self.language.number(value)}{NO_BREAK}HU"

    def slice_words(self, finding: FindingRecord) -> str:
        """The slice as the reader's viewer shows it."""
        if finding.slice_number is None:
            return self.text("slice at index %(number)s (numbers absent)", number=finding.index_vox[0])
        return self.text("slice\u00a0%(number)s", number=finding.slice_number)

    def position(self, finding: FindingRecord) -> str:
        """Side and zone, lobe, slice, distance to the pleura."""
        parts = [self._plain(finding.location)]
        if finding.lobe is not None:
            parts.append(self.text("%(lobe)s (estimated)", lobe=self.text(LOBES[finding.lobe])))
        parts.append(self.slice_words(finding))
        distance_mm = finding.distance_to_pleura_mm
        if distance_mm is not None and distance_mm >= 0.5:
            parts.append(self.text("%(distance)s\u00a0mm from the pleura", distance=f"{distance_mm:.0f}"))
        elif distance_mm is not None and " outside the " not in finding.location:
            parts.append(self.text("at the pleura"))
        return self.language.comma.join(parts)

    def title(self, finding: FindingRecord) -> str:
        """What it is: density and size, or only about how large where that is not to be trusted."""
        if not finding.reliable:
            return self.text("Finding of about %(size)s", size=self.size(finding))
        return self.text(TITLE[finding.density], size=self.size(finding))

    def category_of(self, finding: FindingRecord, guideline: str) -> str:
        """What one guideline suggests for a finding, as a code; a dash where it suggests nothing."""
        codes = [one.category for one in finding.categories if one.guideline.startswith(guideline)]
        return self.codes(codes[0]) if codes else DASH

    def codes(self, category: str) -> str:
        """A category, or a range such as "3 to 4A"."""
        low, to, high = category.partition(" to ")
        return self.text("%(low)s to %(high)s", low=low, high=high) if to else category

    def reason(self, suggestion: GuidelineRecord) -> str | Markup:
        """Of what is suggested for the whole examination; it begins with the finding that decides."""
        head = f"{suggestion.finding_id}: "
        if suggestion.finding_id is None or not suggestion.reason.startswith(head):
            return self.said(suggestion.reason)
        finding = self.text("Finding %(number)s", number=suggestion.finding_id[1:])
        return Markup("{}: {}").format(finding, self.said(suggestion.reason.removeprefix(head)))

    def density(self, finding: FindingRecord) -> str:
        """Density type in one word."""
        return self.text(DENSITY[finding.density])

    def view(self, plane: str, window: str) -> str:
        """Plane and window of a key image."""
        return self.text(VIEWS[plane, window])

    def result(self, verdict: Verdict) -> str:
        """Of one check."""
        return self.text(RESULT[verdict])

    def warning(self, check: CheckRecord) -> Markup:
        """What a check warns about."""
        if check.message:
            return self.sentence(check.message)
        name, value, limit = (self._plain(part) for part in (check.name, check.value, check.limit))
        text = self.text("%(name)s: %(value)s, expected: %(limit)s", name=name, value=value, limit=limit)
        return escape(f"{text[:1].upper()}{text[1:]}.")

    def facts(self, finding: FindingRecord) -> list[Fact]:
        """What was measured; sizes only roughly where the measurement is not to be trusted."""
        return [
            *self._sizes(finding),
            *self._growth(finding.prior),
            *self._tissue(finding),
            *self._rest(finding),
        ]

    def _growth(self, prior: FindingPriorRecord | None) -> list[Fact]:
        """How it has changed since the earlier examination."""
        if prior is None:
            return []
        facts = [Fact(self.text("Since the earlier examination"), self.change(prior), self._limits(prior))]
        if prior.volume_mm3 is not None:
            facts.append(Fact(self.text("Volume then"), self.volume(prior.volume_mm3)))
        if prior.doubling_time_days is not None:
            days = self.text("%(number)s days", number=self.language.number(prior.doubling_time_days))
            facts.append(Fact(self.text("Doubling time"), days, self._doubling_limits(prior)))
        return facts

    def change(self, prior: FindingPriorRecord | None) -> str:
        """Status and growth of the volume, such as "growing, +36 %"; a dash without a comparison."""
        if prior is None:
            return DASH
        status = self.text(CHANGE[prior.status])
        if prior.growth_percent is None:
            return status
        return self.language.comma.join((status, f"{self._signed(prior.growth_percent)}{self._percent_sign}"))

    def _signed(self, value: float) -> str:
        return f"{'+' if round(value) > 0 else ''}{self.language.number(value)}"

    def _limits(self, prior: FindingPriorRecord) -> str:
        low, high = prior.growth_lower_percent, prior.growth_upper_percent
        if low is None or high is None:
            return ""
        upper = f"{self._signed(high)}{self._percent_sign}"
        return self.text("95%% limits %(low)s to %(high)s", low=self._signed(low), high=upper)

    def _doubling_limits(self, prior: FindingPriorRecord) -> str:
        low, high = prior.doubling_time_lower_days, prior.doubling_time_upper_days
        if low is None:
            return ""
        if high is None:
            return self.text("95%% limit: at least %(low)s", low=self.language.number(low))
        low_, high_ = self.language.number(low), self.language.number(high)
        return self.text("95%% limits %(low)s to %(high)s", low=low_, high=high_)

    def compared(self, prior: PriorRecord) -> str:
        """With what it was compared: days, no date."""
        if prior.days_between is None:
            return self.text("Compared with an earlier examination.")
        return self.language.plural(
            "Compared with an examination %(number)s day earlier.",
            "Compared with an examination %(number)s days earlier.",
            prior.days_between,
        )

    def vanished(self, record: VanishedRecord) -> str:
        """How large a finding was that is not found any more."""
        if record.mean_diameter_mm is None:
            return self.text("not measured then")
        size = self.millimetres(record.mean_diameter_mm)
        return self.text("mean diameter then %(size)s", size=size)

    def _sizes(self, finding: FindingRecord) -> list[Fact]:
        if not finding.reliable:
            return [Fact(self.text("Size, roughly"), self.size(finding))]
        facts = [
            Fact(self.text("Long × short axis"), self.size(finding)),
            Fact(self.text("Mean diameter"), self.millimetres(finding.mean_diameter_mm)),
            Fact(self.text("Volume"), self.volume(finding.volume_mm3), self.volume_limits(finding)),
        ]
        if finding.solid_core_mean_diameter_mm is not None:
            core = self.millimetres(finding.solid_core_mean_diameter_mm)
            facts.append(Fact(self.text("Solid component, mean diameter"), core))
        return facts

    def _tissue(self, finding: FindingRecord) -> list[Fact]:
        mean = self.text("mean %(value)s", value=self.hounsfield(finding.mean_hu))
        facts = [Fact(self.text("Density"), self.language.comma.join((self.density(finding), mean)))]
        if finding.reliable and finding.calcification not in (None, "none"):
            facts.append(Fact(self.text("Calcification"), self.text(CALCIFICATION[finding.calcification])))
        if finding.reliable and finding.attachment not in (None, "none"):
            facts.append(Fact(self.text("Surroundings"), self.text(ATTACHMENT[finding.attachment])))
        return facts + self._margin(finding)

    def _margin(self, finding: FindingRecord) -> list[Fact]:
        """Shares of the border, as measured: no word such as "spiculated" is derived from them here."""
        named = (
            (self.text("Spiculation"), finding.spiculation),
            (self.text("Lobulation"), finding.lobulation),
        )
        if not finding.reliable:
            return []
        return [Fact(name, self.language.number(share, 2)) for name, share in named if share is not None]

    def _rest(self, finding: FindingRecord) -> list[Fact]:
        facts = []
        if finding.probability_mean is not None:
            over = f"{self.percent(finding.probability_mean)} {self.spread(finding)}"
            facts.append(Fact(self.text("Probability, mean over mirror images"), over))
        if finding.malignancy_probability is not None:
            name = self.text("Malignancy, a model’s estimate")
            facts.append(Fact(name, self.percent(finding.malignancy_probability)))
        if finding.cancer_risk is not None:
            facts.append(self._cancer_risk(finding.cancer_risk))
        return [*facts, Fact(self.text("Centre, LPS"), self.point(finding.center_lps_mm))]

    def _cancer_risk(self, risk: CancerRiskRecord) -> Fact:
        name = self.text("Cancer risk, %(model)s", model=risk.model)
        missing = self.language.comma.join(self._plain(fact) for fact in risk.missing)
        note = self.text("not known: %(facts)s", facts=missing) if missing else ""
        return Fact(name, self.percents(risk.lower, risk.upper), note)

    def point(self, center_mm: tuple[float, float, float]) -> str:
        """Coordinates with real minus signs."""
        return "; ".join(self.language.number(value, 1) for value in center_mm) + f"{NO_BREAK}mm"

    def scanned(self, series: SeriesRecord) -> str:
        """What was scanned, and how, in one line."""
        slices, rows, columns = series.shape
        spacing = self.language.local(" × ".join(f"{value:.4g}" for value in reversed(series.spacing_mm)))
        parts = [
            " ".join(part for part in (series.manufacturer, series.manufacturer_model_name) if part),
            self.text("kernel %(name)s", name=series.convolution_kernel) if series.convolution_kernel else "",
            f"{series.kvp:g}{NO_BREAK}kV" if series.kvp else "",
            self.text("%(number)s slices of %(matrix)s", number=slices, matrix=f"{columns} × {rows}"),
            f"{spacing}{NO_BREAK}mm",
        ]
        return " · ".join(part for part in parts if part)

    def patient(self, series: SeriesRecord) -> str:
        """Sex, age and date of the study, as far as known."""
        age = series.patient_age or ""
        if re.fullmatch(r"[0-9]{3}Y", age):
            age = self.text("%(number)s years", number=int(age[:3]))
        sex = SEX.get(series.patient_sex or "")
        known = self.language.comma.join(part for part in (self.text(sex) if sex else "", age) if part)
        day = self.language.day(series.study_date) if series.study_date else self.text("no study date")
        return " · ".join(part for part in (known, day) if part)

    def size(self, finding: FindingRecord) -> str:
        """Long × short axis, or one figure where the measurement is not to be trusted."""
        if not finding.reliable:
            return self.millimetres(finding.mean_diameter_mm, 0)
        long_axis, short_axis = (
            self.language.number(axis, 1) for axis in (finding.long_axis_mm, finding.short_axis_mm)
        )
        return f"{long_axis} × {short_axis}{NO_BREAK}mm"

    def headline(self, report: Report, first: FindingRecord | None) -> str:
        """The result in one line; `first` is the most urgent finding."""
        if report.quality.verdict == "reject":
            return self.text("This scan was not analysed: it is not fit for it.")
        if first is None:
            return self.text("No finding above the operating point.")
        return self.language.plural(
            "%(number)s finding: %(what)s, %(where)s.",
            "%(number)s findings; the most urgent: %(what)s, %(where)s.",
            len(report.findings),
            what=self._brief(first),
            where=self._plain(first.location),
        )

    def _brief(self, finding: FindingRecord) -> str:
        if not finding.reliable:
            return self.text("about %(size)s", size=self.size(finding))
        return self.language.comma.join((self.density(finding), self.size(finding)))

    def quality(self, verdict: Verdict, checks: int) -> str:
        """The scan's quality in words."""
        if verdict != "ok" or checks == 0:
            return self.text(QUALITY[verdict])
        return self.language.plural(
            "good, the only check passed", "good, all %(number)s checks passed", checks
        )

    def sentence(self, text: str) -> Markup:
        """Of the report, beginning with a capital letter and ending with a full stop."""
        said = self.language.said(text)
        stop = "。" if self.language.code == "zh" and said is not None else "."
        whole = said if said is not None else text
        whole = f"{whole[:1].upper()}{whole[1:].rstrip('.。')}"
        whole = whole if whole.endswith(("?", "？", "!")) else whole + stop
        return escape(whole) if said is not None else Markup('<span lang="en">{}</span>').format(whole)

    def operating(self, point: OperatingPoint) -> str:
        """What the threshold means: what to expect of this setting, and on what that rests."""
        sentences = [
            self.text(
                "Reported is what reaches a probability of %(share)s.", share=self.percent(point.threshold)
            )
        ]
        if point.fp_per_scan is not None:
            sentences.append(
                self.language.plural(
                    "At this setting expect about %(rate)s false mark a scan.",
                    "At this setting expect about %(rate)s false marks a scan.",
                    point.fp_per_scan,
                    rate=self.language.local(f"{point.fp_per_scan:.2g}"),
                )
            )
        if point.sensitivity is not None:
            sentences.append(self._sensitivity(point))
        if point.words:
            sentences.append(self._plain(point.words))
        return ("" if self.language.code == "zh" else " ").join(sentences)

    def _sensitivity(self, point: OperatingPoint) -> str:
        share = self.percent(point.sensitivity)
        if point.sensitivity_lower is None or point.sensitivity_upper is None:
            return self.text("About %(share)s of the nodules were found.", share=share)
        limits = self.percents(point.sensitivity_lower, point.sensitivity_upper)
        return self.text(
            "About %(share)s of the nodules were found (95%% interval %(limits)s).",
            share=share,
            limits=limits,
        )


ENGLISH = Words(language("en"))


def category(report: Report) -> str:
    """The largest finding that could be measured, such as "solid 8 mm"; a dash where there is none."""
    if not report.findings:
        return DASH
    largest = max(report.findings, key=lambda finding: (finding.reliable, finding.mean_diameter_mm))
    what = DENSITY[largest.density] if largest.reliable else "about"
    return f"{what} {largest.mean_diameter_mm:.0f} mm"
