"""The earlier form of the settings file: its sections `fetcher` and `schedules` become settings of today."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from quantx.errors import ConfigError
from quantx.settings.yaml_document import YamlDocument

SECTIONS = ("fetcher", "schedules")
_FETCHER = ("max_workers", "lookback_days", "chunk_size")  # the same names as today
_ACTIONS = "fetch_actions"


def without_sections(document: YamlDocument) -> dict[Any, Any]:
    """Return the values of a settings file with those of the earlier sections under their names of today.

    ConfigError, with the file and the line, for an unknown key, for a setting that is given twice, and for a value
    that can't be honoured.
    """
    values = {name: value for name, value in document.values.items() if name not in SECTIONS}
    for name, value, place in (*_of_fetcher(document), *_of_schedules(document)):
        if name in values:
            raise ConfigError(
                f"{document.at(place)}: {'.'.join(map(str, place))} and {name} are one setting; keep one of them"
            )
        values[name] = value
    return values


def _of_fetcher(document: YamlDocument) -> Iterator[tuple[str, Any, tuple[str, ...]]]:
    """Yield name, value and place of each setting in `fetcher`."""
    for name, value in _section(document, ("fetcher",), (*_FETCHER, _ACTIONS)).items():
        place = ("fetcher", name)
        if name in _FETCHER:
            yield name, value, place
        elif value is not True:
            raise ConfigError(
                f"{document.at(place)}: fetcher.{_ACTIONS} must be true: without splits, prices can't be stored as"
                " traded. Remove the line; `quantx query --adjust none` reads prices without any adjustment"
            )


def _of_schedules(document: YamlDocument) -> Iterator[tuple[str, Any, tuple[str, ...]]]:
    """Yield name, value and place of the setting in `schedules`."""
    for name in _section(document, ("schedules",), ("daily_update",)):
        place = ("schedules", name, "cron")
        given = _section(document, ("schedules", name), ("cron",))
        if "cron" not in given:
            raise ConfigError(f'{document.at(place)}: schedules.{name} needs a `cron`, as in cron: "0 6 * * 1-5"')
        yield "daily_schedule", _six_fields(document, place, given["cron"]), place


def _six_fields(document: YamlDocument, place: tuple[str, ...], cron: Any) -> str:
    """Return a schedule of cron, which has no seconds, in Azure's form; six fields stay as they are."""
    fields = str(cron).split()
    if len(fields) != 5:
        return str(cron)  # six fields, or refused with the other values
    day, weekday = ("*" if field == "?" else field for field in (fields[2], fields[4]))
    if day != "*" and weekday != "*":
        raise ConfigError(
            f"{document.at(place)}: {cron!r} restricts the day and the day of the week: cron fires on either, Azure"
            " only where both match; restrict one of them"
        )
    return " ".join(["0", *fields[:2], day, fields[3], "0" if weekday == "7" else weekday])  # cron's 7 is Sunday too


def _section(document: YamlDocument, place: tuple[str, ...], keys: tuple[str, ...]) -> Mapping[str, Any]:
    """Return the values of a section, none where it is absent or empty; ConfigError for an unknown key."""
    section: Any = document.values
    for part in place:
        section = section.get(part) or {}
    name = ".".join(place)
    if not isinstance(section, Mapping):
        raise ConfigError(f"{document.at(place)}: {name} must hold names and values, as in {keys[0]}: …")
    unknown = next((key for key in section if key not in keys), None)
    if unknown is not None:
        raise ConfigError(
            f"{document.at((*place, unknown))}: {name} has no setting {unknown}; it has {', '.join(keys)}"
        )
    return section
