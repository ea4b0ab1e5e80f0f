"""The import of paths of this machine, whole."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa

from quantx.core.option_tables import OPTIONS_QUOTES_1M
from quantx.pipeline.options.importing import ImportProgress
from quantx.pipeline.options.service import import_paths
from quantx.sandbox.option_archives import OptionSession, quotes_file

from ..conftest import Desk

SESSION = OptionSession(
    underlying="SPY",
    day=date(2024, 5, 1),
    spot=100.0,
    strikes=(95.0, 105.0),
    expirations=(date(2024, 6, 21),),
    minutes=5,
)


def test_a_file_that_is_replaced_while_it_is_imported_brings_no_row(desk: Desk, tmp_path: Path) -> None:
    content = bytearray(pa.CompressedInputStream(pa.BufferReader(quotes_file(SESSION)), "zstd").read())
    file = tmp_path / "spy.dbn"
    file.write_bytes(content)
    content[-24] ^= 1  # of the last size

    def replace(progress: ImportProgress) -> None:
        if progress.step == "keeping":  # its hash is known by then
            file.write_bytes(content)

    done = import_paths(desk.platform, [file], [], None, keep="archive", on_progress=replace)
    assert [each["error"] for each in done.failures] == [
        "spy.dbn changed while it was read; import it again once it is complete"
    ]
    assert desk.platform.location.paths(OPTIONS_QUOTES_1M.path) == []
    again = import_paths(desk.platform, [file], [], None, keep="archive")
    assert (again.done, again.rows) == (1, 20)
