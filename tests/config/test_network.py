"""What a receiver may be told, and what every mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from medvision.config.base import load_config
from medvision.config.network import AETitle, DestinationConfig, ListenConfig
from medvision.errors import ConfigError

TITLE = TypeAdapter(AETitle)


@pytest.mark.parametrize("title", ["A", "CT_SCANNER", "MY PACS", "A" * 16, "x-y.z"])
def test_these_are_ae_titles(title: str) -> None:
    assert TITLE.validate_python(title) == title


@given(st.text(max_size=20))
def test_an_ae_title_is_what_the_standard_says(text: str) -> None:
    right = (
        1 <= len(text) <= 16 and text == text.strip(" ") and all(" " <= c <= "~" and c != "\\" for c in text)
    )
    try:
        TITLE.validate_python(text)
    except ValidationError:
        assert not right
    else:
        assert right


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("port: 70000", "port: 70000 should be less than or equal to 65535"),
        ("quiet: 3", "quiet: unknown key"),
        ("send_to: [{}]", "send_to.0: {} give either peer (C-STORE) or web (STOW-RS)"),
        ("alarm: {url: ftp://x}", "alarm.url: 'ftp://x'"),
        ("allow: [THIS_TITLE_IS_TOO_LONG]", "allow.0: 'THIS_TITLE_IS_TOO_LONG'"),
    ],
)
def test_a_mistake_is_told_with_its_key(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "listen.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError) as caught:
        load_config(path, ListenConfig)
    assert problem in str(caught.value)


def test_a_destination_is_known_by_its_name() -> None:
    peer = DestinationConfig.model_validate({"peer": {"ae_title": "PACS", "host": "h"}})
    web = DestinationConfig.model_validate({"web": {"url": "https://h/dicom-web"}})

    assert (peer.name, web.name) == ("PACS@h:104", "https://h/dicom-web")
