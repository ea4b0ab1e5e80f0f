"""The records of DBN files as the client of Databento reads them; it runs in the client's own environment.

`python databento_rows.py FOLDER` prints one JSON object per file: its name, and its records or the class of the error.
"""

import json
import sys
import warnings
from pathlib import Path

import databento


def records_of(path: Path) -> list[dict[str, object]]:
    """Return the records of a file, of the newest version of DBN, with the mapped symbol of each."""
    store = databento.DBNStore.from_file(path)
    frame = store.to_df(price_type="fixed", pretty_ts=False, map_symbols=True).reset_index()
    records: list[dict[str, object]] = json.loads(frame.to_json(orient="records"))
    return records


def main(folder: Path) -> None:
    """Print the records of each file."""
    warnings.simplefilter("ignore")
    for path in sorted(folder.rglob("*.dbn*")):
        name = path.relative_to(folder).as_posix()
        try:
            print(json.dumps({"name": name, "records": records_of(path)}))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a panic of its decoder is no Exception
            print(json.dumps({"name": name, "error": type(error).__name__}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
