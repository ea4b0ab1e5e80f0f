"""The forms of an answer: JSON, CSV and the Arrow stream, each written before it is sent."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

import polars as pl

from quantx.core.foreign_errors import file_fact
from quantx.errors import Busy, ConfigError

_VALUES = 200_000  # of a piece that is formatted at a time, some 6 MB
_BYTES = 1 << 16
_IN_MEMORY = 1_000_000  # bytes of an answer; a larger one waits in a temporary file
_INSTANT = "%Y-%m-%dT%H:%M:%S%.6fZ"


class NotAcceptable(ConfigError):
    """No form of the answer is one that the client accepts."""


@dataclass(frozen=True)
class AnswerFormat:
    """One form of an answer."""

    name: str
    media_type: str
    write: Callable[[pl.DataFrame, Mapping[str, Any], IO[bytes]], None]

    def written(self, frame: pl.DataFrame, facts: Mapping[str, Any]) -> WrittenAnswer:
        """Write an answer; raise Busy where the disk has no room for it.

        A client that reads slowly then keeps a file open, and no frame in memory.
        """
        file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 — `pieces` closes it
        try:
            self.write(frame, facts, file)
        except OSError as error:
            file.close()
            raise Busy(f"the answer can't be written to the temporary folder: {file_fact(error)}") from error
        return WrittenAnswer(file, file.tell())


@dataclass(frozen=True)
class WrittenAnswer:
    """The bytes of an answer."""

    file: IO[bytes]
    size: int

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes once, and close the file."""
        with self.file as file:
            file.seek(0)
            while piece := file.read(_BYTES):
                yield piece


def write_json(frame: pl.DataFrame, facts: Mapping[str, Any], file: IO[bytes]) -> None:
    """Write an object with the facts of the answer and its rows, each an object; NaN and infinity are null."""
    file.write(json.dumps(facts, ensure_ascii=False)[:-1].encode() + b', "rows": [')
    for number, piece in enumerate(_pieces(frame)):
        file.write((b",\n" if number else b"\n") + piece.write_json()[1:-1].encode())
    file.write(b"\n]}\n")


def write_csv(frame: pl.DataFrame, facts: Mapping[str, Any], file: IO[bytes]) -> None:
    """Write lines with the names of the columns first; a null is empty, a list is joined by blanks."""
    lists = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.List)]
    if lists:
        frame = frame.with_columns(pl.col(lists).list.eval(pl.element().cast(pl.String)).list.join(" "))
    file.write(frame.clear().write_csv().encode())
    for piece in _pieces(frame):
        file.write(piece.write_csv(include_header=False, datetime_format=_INSTANT).encode())


def write_arrow(frame: pl.DataFrame, facts: Mapping[str, Any], file: IO[bytes]) -> None:
    """Write an Arrow IPC stream with the types that every reader of Arrow knows."""
    frame.write_ipc_stream(file, compat_level=pl.CompatLevel.oldest())


def _pieces(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    return frame.iter_slices(max(1, _VALUES // max(1, frame.width)))


FORMATS: Mapping[str, AnswerFormat] = {
    each.name: each
    for each in (
        AnswerFormat("json", "application/json", write_json),
        AnswerFormat("csv", "text/csv", write_csv),
        AnswerFormat("arrow", "application/vnd.apache.arrow.stream", write_arrow),
    )
}


def chosen_format(given: list[str], accept: str | None) -> AnswerFormat:
    """Return the form that `format` names, or else the one that the header Accept prefers; JSON where any will do.

    Raises ConfigError for an unknown name, and NotAcceptable where the header allows none of them.
    """
    if given:
        if len(given) > 1 or given[0] not in FORMATS:
            raise ConfigError(f"format={','.join(given)[:60]!r} must be one of {', '.join(FORMATS)}")
        return FORMATS[given[0]]
    ranked = sorted(_accepted(accept or "*/*"), key=lambda each: -each[1])
    for media_type, weight in ranked:
        for each in FORMATS.values():
            if weight > 0 and media_type in (each.media_type, f"{each.media_type.partition('/')[0]}/*", "*/*"):
                return each
    offered = ", ".join(each.media_type for each in FORMATS.values())
    raise NotAcceptable(f"the header Accept allows no form of the answer; use {offered}, or format=json in the URL")


def _accepted(accept: str) -> Iterator[tuple[str, float]]:
    """Yield the media types of a header Accept with their weights; one that can't be read counts as 0."""
    for part in accept.split(","):
        media_type, *parameters = (text.strip().lower() for text in part.split(";"))
        weight = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        try:
            yield media_type, float(weight)
        except ValueError:
            yield media_type, 0.0
