"""Execute the Python of a page, block by block in one namespace: `python pages.py PAGE` in the sample lake's folder.

It runs in environments of its own, too, so that it imports nothing but the standard library.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def executed(page: Path) -> list[tuple[str, Any]]:
    """Return the blocks of a page with the value of their last expression (None: it is a statement)."""
    namespace: dict[str, Any] = {}
    text = page.read_text("utf-8")
    return [(match[1], _value(match, text, page, namespace)) for match in _BLOCK.finditer(text)]


def _value(match: re.Match[str], text: str, page: Path, namespace: dict[str, Any]) -> Any:
    tree = ast.parse("\n" * text.count("\n", 0, match.start(1)) + match[1], str(page))
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, str(page), "exec"), namespace)  # noqa: S102
    return None if last is None else eval(compile(ast.Expression(last.value), str(page), "eval"), namespace)  # noqa: S307


if __name__ == "__main__":
    for block, value in executed(Path(sys.argv[1])):
        print(block, "# →", value, "\n")
