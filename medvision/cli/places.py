"""Arguments that are a path, or an address such as `s3://bucket/folder`."""

from __future__ import annotations

from typing import Any

import click

from medvision.errors import UsageError


class PlaceType(click.ParamType[Any]):
    """A path as `click.Path` checks it, or an address, which is looked at when it is used."""

    name = "place"

    def __init__(self, path: click.Path) -> None:
        self._path = path

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """A Path or a RemoteFolder."""
        if not isinstance(value, str) or "://" not in value:
            return self._path.convert(value, param, ctx)
        from pathlib import Path

        from medvision.remote.places import parse_place

        try:
            place = parse_place(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)
        return self._path.convert(str(place), param, ctx) if isinstance(place, Path) else place
