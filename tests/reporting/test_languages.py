"""Every text in every language, the same placeholders in each, numbers and dates as each writes them."""

from __future__ import annotations

import ast
import re
from itertools import product
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

import medvision
from medvision.cli.infer import infer
from medvision.errors import ConfigError
from medvision.findings import Density
from medvision.guidelines import Nodule, Patient, Prior, assess
from medvision.guidelines.tables import fleischner_table, lung_rads_table
from medvision.reporting.html import report_page
from medvision.reporting.languages import LANGUAGES, VARIABLE
from medvision.reporting.languages.catalogue import TAGS, catalogue, language
from medvision.reporting.languages.sentences import MESSAGES, PLACE, SENTENCES
from medvision.reporting.report import OperatingPoint
from medvision.reporting.words import Words
from medvision.reporting.worklist import row_from_report, write_worklist
from tests.reporting.all_texts import all_texts

FOREIGN = [code for code in LANGUAGES if code != "en"]
PLACEHOLDER = re.compile(r"%\((\w+)\)s")
PACKAGE = Path(medvision.__file__).parent


def forms(message) -> tuple[str, ...]:
    return message if isinstance(message, tuple) else (message,)


@pytest.mark.parametrize("code", FOREIGN)
def test_nothing_is_left_untranslated(code):
    """Where this fails: write the text into the `.po` files, or take away what is no longer said."""
    wanted = {forms(message.id) for message in all_texts() if message.id}
    found = {forms(message.id): message for message in catalogue(code) if message.id}
    assert sorted(wanted - set(found)) == []
    assert sorted(set(found) - wanted) == []
    for message in found.values():
        assert all(forms(message.string)), message.id
        assert not message.fuzzy


@pytest.mark.parametrize("code", FOREIGN)
def test_placeholders_agree(code):
    for message in catalogue(code):
        if message.id:
            wanted = set(PLACEHOLDER.findall(" ".join(forms(message.id))))
            texts = forms(message.string)
            assert set(PLACEHOLDER.findall(texts[-1])) == wanted, message.id
            for text in texts:
                assert set(PLACEHOLDER.findall(text)) <= wanted, message.id
                assert not re.search(r"%(?!%|\(\w+\)s)", text.replace("%%", "")), message.id


@pytest.mark.parametrize("code", FOREIGN)
def test_a_sentence_of_the_report_is_recognised(code):
    """Filled with decimal fractions, each comes back translated and with the language's own mark."""
    for sentence in SENTENCES:
        values = {name: f"{i}.5" for i, name in enumerate(PLACEHOLDER.findall(sentence))}
        said = language(code).said(sentence % values)
        own = {name: language(code).local(value) for name, value in values.items()}
        assert said == language(code).text(sentence, **own)


def templates(path: Path) -> list[str]:
    """Texts of a source with at least two words, f-strings with a figure where a value stands."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    ignored = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    ignored |= {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in ignored:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
        elif isinstance(node, ast.JoinedStr):
            found.append("".join(p.value if isinstance(p, ast.Constant) else "7" for p in node.values))
    return [text.strip() for text in found if " " in text.strip() and re.search("[a-z]{2}", text)]


FRAGMENTS = {
    "7 times as noisy as elsewhere",
    "the lungs are cut off 7",
    "at the top",
    "at the bottom",
    "7 makes streaks: nodules beside it can be missed or mimicked",
    "there is 7 in the scan: values beside it are less reliable",
    "metal or undiluted contrast medium",
    ", tissue around it 7 times as noisy as elsewhere",
    ", slices at most 7 mm off",
    ", others in other slices: each slice has its own",
    "holds values in 7 (Rescale Type), not HU",
    "heart side",
    "around the body",
    "7 HU",
    "reaches 7 mm further to the 7",
    "7, 7 in the header",
    "not measured, 7 in the header",
    "7 7 HU",
    "7 times the usual",
    "7 ml above 7 HU",
    "spine 7, table 7",
    "7 7",
    "not named",
    "7 7 zone",
    "7 mm outside the 7 lung",
    "on 7 slice7 only",
}
"""Parts of sentences that are put together; the whole ones are listed and tested above."""


@pytest.mark.parametrize(
    "name",
    [
        *(
            f"dicom/quality/{part}.py"
            for part in ("headers", "lungs", "values", "voxels", "artefacts", "anatomy")
        ),
        "measurement/location.py",
        "measurement/nodule.py",
        "inference/training_range.py",
        "inference/lung_check.py",
        "preprocessing/lungs.py",
    ],
)
def test_what_other_parts_say_is_known(name):
    """A new message of a check belongs into `languages/sentences.py` and the `.po` files."""
    unknown = [text for text in templates(PACKAGE / name) if language("de").said(text) is None]
    assert [text for text in unknown if text not in FRAGMENTS] == []


def test_other_sentences_stay_english_and_are_marked():
    words = Words(language("de"))
    assert words.said("slice 14 <burst>") == '<span lang="en">slice 14 &lt;burst&gt;</span>'
    both = words.said(f"{MESSAGES[1]}; something new")
    assert both.startswith("Bilder wurden")
    assert both.endswith('; <span lang="en">something new</span>')
    assert Words(language("en")).said("anything") == "anything"


@given(st.floats(0, 1e5), st.integers(0, 3))
def test_numbers_are_written_as_usual(value, digits):
    english = language("en").number(value, digits)
    assert float(english.replace(",", "")) == pytest.approx(value, abs=0.51 * 10**-digits)
    german = language("de").number(value, digits)
    assert "." not in german
    assert german.replace("\u202f", "").replace(",", ".") == english.replace(",", "")


def test_identifiers_are_no_numbers():
    for text in ("1.2.840.10008", "torch 2.13.0", "v1.5", "B30.f"):
        assert language("de").local(text) == text
    assert language("de").local("2.5 mm, 0.70 × 0.70") == "2,5 mm, 0,70 × 0,70"


def test_dates():
    days = [language(code).day("2020-01-31") for code in ("en", "de", "es", "zh")]
    assert days == ["2020-01-31", "31.01.2020", "31 ene 2020", "2020年1月31日"]


@pytest.mark.parametrize("code", FOREIGN)
def test_a_page_has_no_english_left(code, report, scan, lungs, heat_map):
    """Texts of the catalogue that stand on the English page do not on this one, unless both say the same."""
    checks = tuple(c.model_copy(update={"value": "2.5 mm"}) for c in report.quality.checks[:1])
    quality = report.quality.model_copy(update={"checks": checks, "verdict": "ok"})
    plain = report.model_copy(update={"quality": quality})
    page = re.sub(r"<style>.*?</style>|data:image[^\"]*", "", report_page(
        plain, scan, lungs, heat_map, language_code=code
    ), flags=re.DOTALL)  # fmt: skip
    assert f'<html lang="{TAGS[code]}">' in page
    assert 'lang="en"' not in page.replace("Measured on 24 simulated patients.", "")
    known = catalogue(code)
    for message in known:
        if isinstance(message.id, str) and " " in message.id and not PLACEHOLDER.search(message.id):
            assert message.id not in page or message.id in message.string, message.id
    assert known.get(PLACE[3]).string in page


@pytest.mark.parametrize("code", FOREIGN)
def test_the_worklist_too(code, report, tmp_path):
    write_worklist([row_from_report(report)], tmp_path, code)
    page = (tmp_path / "worklist.html").read_text(encoding="utf-8")
    assert language(code).said("solid 16 mm") in page
    assert "Study date" not in page
    assert "solid 16 mm" in (tmp_path / "worklist.csv").read_text(encoding="utf-8")


def test_the_operating_point_in_words():
    point = OperatingPoint(
        threshold=0.5, fp_per_scan=0.5, sensitivity=0.85, sensitivity_lower=0.7, sensitivity_upper=0.93
    )
    said = Words(language("de")).operating(point)
    assert "etwa 0,5 falsche Markierungen je Untersuchung" in said
    assert "85\u202f% der Rundherde (95-%-Intervall 70 bis 93\u202f%)" in said


def test_an_unknown_language():
    with pytest.raises(ConfigError, match="unknown language 'fr'; choose from en, de, es, zh"):
        language("fr")


def test_the_command_offers_these():
    option = next(option for option in infer.params if option.name == "language")
    assert tuple(option.type.choices) == tuple(LANGUAGES)
    assert option.envvar == VARIABLE


def cited_rows() -> set[str]:
    """What guidelines quote, and never say themselves."""
    lung_rads, fleischner = lung_rads_table(), fleischner_table()
    rows = {row.source for row in (*lung_rads.rows, *lung_rads.steps, *fleischner.rows)}
    parts = (lung_rads.benign_calcification, lung_rads.juxtapleural, fleischner.benign_calcification)
    return rows | {part.source for part in parts}


def said_by_guidelines(count: int) -> set[str]:
    """Sentences about so many nodules and patients of all kinds."""
    kinds = product(
        get_args(Density), (5.0, 7.0, 12.0, 33.0), (True, False), ("none", "pleural"),
        (None, "new", "growing", "stable", "unclear"), (None, True, False), (None, 20, 60), (None, True),
        (None, True), (None, "low"), (None, 7.0),
    )  # fmt: skip
    sentences = set()
    everything = list(kinds)
    drawn = everything[:: len(everything) // count]
    for density, mm, reliable, attachment, status, screening, age, cancer, weak, risk, core in drawn:
        nodule = Nodule(
            "F1", density, mm, mm, mm**3 / 2, mm**3 / 2.5, mm**3 / 1.6, core, reliable,
            "central" if density == "calcified" else "none", attachment, 0.1, "left_upper",
            None if status is None else Prior(status, mm - 2, 200),
        )  # fmt: skip
        patient = Patient(
            age_years=age, screening=screening, known_cancer=cancer, immunosuppressed=weak, risk=risk
        )
        context = assess([nodule], patient, [])
        for category in context.categories[0]:
            sentences |= {category.words, category.reason}
        for suggestion in context.suggestions:
            sentences |= {suggestion.words, suggestion.reason.removeprefix("F1: "), *suggestion.missing}
        sentences |= {fact for one in context.cancer_risks if one is not None for fact in one.missing}
    return sentences


@pytest.mark.parametrize("code", FOREIGN)
def test_what_guidelines_say_is_known(code):
    """But for the rows that they cite: those stay in the published table's words."""
    spoken, rows = language(code), cited_rows()
    for sentence in said_by_guidelines(251):
        for part in sentence.split("; ") if spoken.said(sentence) is None else ():
            assert spoken.said(part) is not None or any(part.startswith(row) for row in rows), part
