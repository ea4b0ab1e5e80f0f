"""The checksums of Parquet pages, which find flipped bits in objects without a digest."""

from __future__ import annotations

import io

from quantx.errors import DamagedObject

_COMPARES = 15  # the first version of pyarrow that does


def check_pages(body: bytes) -> None:
    """Compare the checksum of each page of a Parquet file; DamagedObject where one differs, or it is no such file.

    Only pyarrow compares them, from 15.0 on. Without it, as in the install for reading, nothing is compared.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        return
    if int(pa.__version__.partition(".")[0]) < _COMPARES:
        return
    try:
        pq.ParquetFile(io.BytesIO(body), page_checksum_verification=True).read(use_threads=False)
    except (pa.ArrowException, OSError, ValueError):
        raise DamagedObject("can't be read as Parquet") from None
