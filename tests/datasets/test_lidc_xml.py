from __future__ import annotations

import numpy as np
import pytest

from medvision.datasets.lidc_xml import RATINGS, Reading, parse_lidc_xml, read_lidc_xml
from medvision.errors import DataError
from tests.datasets.lidc_marks import mark, outline, point, reading, square, to_xml

HOLED = mark(1)
ALL_KINDS = reading(
    mark(0, malignancy=5), HOLED, point(2, 4, 6, -20.5), point(3, 8, 2, -30.25, is_nodule=False)
)


def same(one: Reading, other: Reading) -> bool:
    return to_xml(one) == to_xml(other)


def test_all_kinds_of_marks_come_back():
    found = parse_lidc_xml(to_xml(ALL_KINDS).encode())
    assert same(found, ALL_KINDS)
    assert found.n_readers == 4
    assert [item.kind for item in found.marks] == ["nodule", "nodule", "small_nodule", "non_nodule"]
    assert set(found.marks[0].ratings) == set(RATINGS)
    assert len(RATINGS) == 9


def test_a_hole_is_told_from_an_outline():
    holed = mark(0)
    holed = type(holed)(0, (*holed.outlines, square(12, 12, 2, inside=False)), holed.ratings, is_nodule=True)
    found = parse_lidc_xml(to_xml(reading(holed)).encode())
    assert [item.inside for item in found.marks[0].outlines] == [True, True, True, False]


@pytest.mark.parametrize(
    "text",
    [
        to_xml(ALL_KINDS, namespace=""),
        to_xml(ALL_KINDS, namespace="urn:another"),
        to_xml(ALL_KINDS, prefix="lidc"),
        "\n  " + to_xml(ALL_KINDS),
        to_xml(ALL_KINDS).replace(">10<", "> 10 <").replace(">TRUE<", "> true\n<"),
    ],
)
def test_namespaces_and_white_space_do_not_matter(text):
    assert same(parse_lidc_xml(text.encode()), ALL_KINDS)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1"])
def test_encodings(encoding):
    text = to_xml(ALL_KINDS).replace('encoding="UTF-8"', f'encoding="{encoding.replace("-sig", "")}"')
    text = text.replace("<readingSession>", "<!-- Zürich --><readingSession>")
    assert same(parse_lidc_xml(text.encode(encoding)), ALL_KINDS)


def test_a_rating_of_0_is_no_rating():
    found = parse_lidc_xml(to_xml(reading(mark(0, malignancy=0, margin=2))).encode())
    assert "malignancy" not in found.marks[0].ratings
    assert found.marks[0].ratings["margin"] == 2


def test_a_radiograph_and_other_xml_are_no_readings():
    assert parse_lidc_xml(to_xml(ALL_KINDS, root="IdriReadMessage").encode()) == "radiograph"
    assert parse_lidc_xml(b"<svg/>") == "other"


BILLION_LAUGHS = (
    '<!DOCTYPE bomb [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><LidcReadMessage>&c;</LidcReadMessage>'
)
STEALING = '<!DOCTYPE x SYSTEM "file:///etc/passwd"><LidcReadMessage/>'


@pytest.mark.parametrize("text", [BILLION_LAUGHS, STEALING])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused_before_anything_is_expanded(text, encoding):
    with pytest.raises(DataError, match="it declares the document type"):
        parse_lidc_xml(text.encode(encoding))


GOOD = to_xml(reading(mark(0), point(1, 3, 4, 5.0)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no element found"),
        ("<a", "unclosed token|not well-formed|no element"),
        (GOOD[: len(GOOD) // 2], "no element found|unclosed token"),
        (GOOD.replace("1.2.3</SeriesInstanceUid>", " </SeriesInstanceUid>"), "no SeriesInstanceUid"),
        (GOOD.replace("readingSession>", "session>"), "no readingSession"),
        (GOOD.replace("<imageZposition>5.0</imageZposition>", ""), "roi without imageZposition"),
        (GOOD.replace(">5.0<", ">nan<"), "imageZposition is nan"),
        (GOOD.replace(">5.0<", ">five<"), "could not convert"),
        (GOOD.replace("<yCoord>4</yCoord>", ""), "1 points has 1 xCoord and 0 yCoord"),
        (GOOD.replace("<xCoord>3</xCoord>", "<xCoord>3.5</xCoord>"), "invalid literal"),
        (GOOD.replace("<xCoord>3</xCoord>", "<xCoord>-3</xCoord>"), "from pixel -3 to 4"),
        (GOOD.replace("<xCoord>3</xCoord>", f"<xCoord>{10**30}</xCoord>"), "no CT does"),
        (GOOD.replace("<malignancy>4<", "<malignancy>9<"), "malignancy is rated 9, not 1 to 6"),
        (to_xml(reading(mark(0, slices=()))), "nodule 1 has no roi"),
    ],
)
def test_a_damaged_reading_says_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "odd.xml"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_lidc_xml(path)
    assert str(caught.value).startswith(f"{path}: no LIDC-IDRI reading")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"1\.xml"):
        read_lidc_xml(tmp_path / "1.xml")


def test_points_are_columns_and_rows():
    found = parse_lidc_xml(to_xml(reading(point(0, 4, 6, 1.0))).encode())
    np.testing.assert_array_equal(found.marks[0].outlines[0].points_px, [[4, 6]])
    assert outline([(4, 6)], 1.0).sop_instance_uid == found.marks[0].outlines[0].sop_instance_uid
