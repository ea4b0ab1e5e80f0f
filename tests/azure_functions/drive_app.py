"""Load a Functions app in this process, as the host does, and describe it; run as a script, speaks JSON.

The host reads a process's app once (`get_functions` refuses a second call), and only a process without other imports
shows the app's own ones. So each test file starts this script once.

    drive_app.py APP_DIR < [{"function": …, "method": …, "body": …}, …]

Out: the bindings of each function, what the import loaded (`heavy`), which libraries for frames the requests loaded
(`frames`), and the reply to each request.
"""

from __future__ import annotations

import importlib
import json
import sys

FRAMES = ("deltalake", "duckdb", "jinja2", "numpy", "pandas", "polars", "pyarrow", "yfinance")
HEAVY = (*FRAMES, "obstore", "psycopg", "pydantic", "quantx.errors", "structlog")


def main(app_dir: str) -> None:
    sys.path.insert(0, app_dir)
    module = importlib.import_module("function_app")
    loaded = [name for name in HEAVY if name in sys.modules]

    import azure.functions as func

    functions = {f.get_function_name(): f for f in module.app.get_functions()}
    replies = []
    for request in json.load(sys.stdin):
        body = request.get("body", "").encode()
        asked = func.HttpRequest(method=request["method"], url="https://app.example/api/x", body=body)
        answer = functions[request["function"]].get_user_function()(asked)
        replies.append({"status": answer.status_code, "type": answer.mimetype, "body": json.loads(answer.get_body())})
    frames = [name for name in FRAMES if name in sys.modules]
    bindings = {name: json.loads(f.get_function_json())["bindings"] for name, f in functions.items()}
    json.dump({"functions": bindings, "heavy": loaded, "frames": frames, "replies": replies}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
