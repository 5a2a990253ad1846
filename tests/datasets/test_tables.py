from __future__ import annotations

import logging

import pytest

from medvision.datasets.tables import find_table, read_annotation_table, read_annotations, read_excluded
from medvision.errors import ContractError
from medvision.findings import Annotation

HEADER = "seriesuid,coordX,coordY,coordZ,diameter_mm"


def table(folder, text, encoding="utf-8"):
    path = folder / "annotations.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_a_table_of_luna16(tmp_path):
    path = table(tmp_path, f"{HEADER}\n1.2,1,2,3,6\n1.3,4,5,6,-1\n1.2,7,8,9,4\n")
    assert read_annotations(path) == {
        "1.2": [Annotation("1.2", (1, 2, 3), 6), Annotation("1.2", (7, 8, 9), 4)],
        "1.3": [Annotation("1.3", (4, 5, 6), -1)],
    }


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (f"{HEADER}\r\n1.2,1.5,2,3,6\r\n", "utf-8-sig"),
        (f"{HEADER}\n1.2,1.5,2,3,6\n".replace(",", ";"), "utf-8"),
        ("seriesuid;coordX;coordY;coordZ;diameter_mm\n1.2;1,5;2;3,0;6\n", "utf-8"),
        (f"{HEADER}\n1.2,1.5,2,3,6\n".replace(",", "\t"), "utf-8"),
        (f'{HEADER}\n"1.2", 1.5,"2",3,6\n\n', "utf-8"),
        ("coordZ,coordX,seriesuid,diameter_mm,coordY\n3,1.5,1.2,6,2\n", "utf-8"),
    ],
)
def test_tables_as_spreadsheets_write_them(tmp_path, text, encoding):
    assert read_annotations(table(tmp_path, text, encoding)) == {"1.2": [Annotation("1.2", (1.5, 2, 3), 6)]}


@pytest.mark.parametrize(
    ("text", "encoding", "message"),
    [
        ("", "utf-8", "is empty: its first line must be a header"),
        (f"{HEADER}\n1.2,1,2,nan,6\n", "utf-8", "line 2: column 'coordZ' is 'nan' and must be a number"),
        (f"{HEADER}\n1.2,1,2,,6\n", "utf-8", "line 2: column 'coordZ' is '' and must not be empty"),
        (f"{HEADER}\n1.2,1,2,3,6\n,1,2,3,6\n", "utf-8", "line 3: column 'seriesuid'"),
        (f"{HEADER}\n1.2,1,2,x,6\n", "utf-8", "line 2: column 'coordZ' is 'x'"),
        (f"{HEADER}\n1.2,1,2,3\n", "utf-8", "line 2: 4 values under 5"),
        ("seriesuid,x,y,z,d\n1.2,1,2,3,4\n", "utf-8", "column 'coordX' is missing"),
        (f"{HEADER},note\n1.2,1,2,3,6,größer\n", "latin-1", "is not UTF-8 text"),
        (f"{HEADER}\n1.2,1,2,3,6\n", "utf-16", "is not UTF-8 text"),
        (
            f"{HEADER},density\n1.2,1,2,3,6,hard\n",
            "utf-8",
            "line 2: column 'density' is 'hard' and must be one of solid, part_",
        ),
        (
            f"{HEADER},malignant\n1.2,1,2,3,6,maybe\n",
            "utf-8",
            "line 2: column 'malignant' is 'maybe' and must be one of true, false",
        ),
    ],
)
def test_broken_tables_are_one_clear_line(tmp_path, text, encoding, message):
    with pytest.raises(ContractError, match=message) as caught:
        read_annotations(table(tmp_path, text, encoding))
    assert "annotations.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_density_and_malignancy_from_columns(tmp_path):
    path = table(
        tmp_path, f"{HEADER},malignant,density\n1.2,1,2,3,6,yes,solid\n1.2,4,5,6,7,,\n1.2,8,8,8,7,0,\n"
    )
    first, second, third = read_annotations(path)["1.2"]
    assert (first.malignant, first.density) == (True, "solid")
    assert (second.malignant, second.density) == (None, None)
    assert third.malignant is False


def test_further_columns_are_kept_and_named(tmp_path, caplog):
    path = table(tmp_path, f"{HEADER},reader,note\n1.2,1,2,3,6,A,big\n1.2,1,2,4,6,B,\n")
    with caplog.at_level(logging.INFO, "medvision"):
        found = read_annotation_table(path)
    assert found.further == {"note": ("big", ""), "reader": ("A", "B")}
    assert "columns that are not used: note, reader" in caplog.text


def test_doubled_rows_are_told_and_count_once(tmp_path, caplog):
    path = table(tmp_path, f"{HEADER}\n1.2,1,2,3,6\n1.3,1,2,3,6\n1.2,1,2,3.001,6\n1.2,1,2,3,8\n")
    found = read_annotations(path)
    assert [item.diameter_mm for item in found["1.2"]] == [6, 8]
    assert len(found["1.3"]) == 1
    assert (
        "1 rows repeat another and count once, such as the mark at (1, 2, 3.001) mm in series 1.2"
        in caplog.text
    )
    assert "1 rows give another size to the same place" in caplog.text


def test_excluded_findings_may_repeat(tmp_path, caplog):
    path = table(tmp_path, f"{HEADER}\n1.2,1,2,3,-1\n1.2,1,2,3,-1\n")
    assert len(read_excluded(path)["1.2"]) == 2
    assert not caplog.text


def test_the_nearest_table_counts(tmp_path):
    assert find_table(tmp_path, "annotations.csv") is None
    (tmp_path / "CSVFILES").mkdir()
    deep = tmp_path / "CSVFILES" / "annotations.csv"
    deep.touch()
    assert find_table(tmp_path, "annotations.csv") == deep
    (tmp_path / "annotations.csv.gz").touch()
    assert find_table(tmp_path, "annotations.csv") == tmp_path / "annotations.csv.gz"


@pytest.mark.real
def test_luna16s_own_annotations_hold_no_doubles(real_data, caplog):
    found = read_annotations(real_data / "luna16" / "annotations.csv")
    assert sum(map(len, found.values())) == 1186
    assert not caplog.text
