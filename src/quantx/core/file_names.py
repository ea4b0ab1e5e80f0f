"""File names of symbols that are valid on every system, and that percent-decoding turns back into the symbol."""

from __future__ import annotations

import re
from urllib.parse import unquote

_PLAIN = re.compile(r"[A-Z0-9._-]")
# Windows reserves these as the part before the first dot, in any case and with any extension.
_DEVICES = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|COM[0-9]|LPT[0-9])(?=\.|$)", re.IGNORECASE)


def file_name(text: str) -> str:
    """Return `text` as the name of a file or folder; `text_of` reverses it.

    Capital letters, digits, hyphens and inner dots stay. All else is percent-encoded, also lower-case letters, so that
    two names never differ in case only. The first letter of a device name of Windows is encoded, and so are a dot or a
    hyphen at either end.

    >>> file_name("BRK.B"), file_name("^GSPC"), file_name("CON"), file_name("NUL.L"), file_name("A.")
    ('BRK.B', '%5EGSPC', '%43ON', '%4EUL.L', 'A%2E')
    """
    device = _DEVICES.match(text)
    last = len(text) - 1
    return "".join(
        letter
        if _PLAIN.match(letter) and not (at in (0, last) and letter in "._-") and not (device and at == 0)
        else "".join(f"%{byte:02X}" for byte in letter.encode())
        for at, letter in enumerate(text)
    )


def partition_value(text: str) -> str:
    """Return `text` as the value of a Hive partition; DuckDB, pyarrow, Polars and Spark decode it, as `text_of` does.

    The key before the value makes `ticker=CON` a valid name, and the values of vendors are lower case.

    >>> partition_value("CON"), partition_value("^GSPC"), partition_value("BRK.B"), partition_value("yahoo")
    ('CON', '%5EGSPC', 'BRK.B', 'yahoo')
    """
    last = len(text) - 1
    return "".join(
        letter
        if re.match(r"[A-Za-z0-9._-]", letter) and not (at == last and letter == ".")
        else "".join(f"%{byte:02X}" for byte in letter.encode())
        for at, letter in enumerate(text)
    )


def text_of(name: str) -> str:
    """Return the text of a `file_name` or a `partition_value`.

    >>> text_of("%43ON"), text_of("%5EGSPC")
    ('CON', '^GSPC')
    """
    return unquote(name)
