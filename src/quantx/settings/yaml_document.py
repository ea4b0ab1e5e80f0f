"""A YAML file with its values and the lines on which they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from quantx.core.foreign_errors import yaml_fact
from quantx.errors import ConfigError

Place = Sequence[str | int]  # the keys and positions that lead to a value


@dataclass(frozen=True)
class YamlDocument:
    """The values of a YAML file, and where they stand in it."""

    path: Path
    text: str
    values: Any

    def at(self, place: Place) -> str:
        """Return the file and the line of a value's key, for messages, as in `config/settings.yaml, line 7`.

        For a place that does not exist it is the line of the nearest one above it.
        """
        node, line = self._root, 0
        for part in place:
            found = _child(node, part)
            if found is None:
                break
            line, node = found
        return f"{self.path}, line {line + 1}"

    def written(self, place: Place) -> str:
        """Return the text of the scalar at a place, as in ON for a truth value; the last part where there is none."""
        node = self._root
        for part in place:
            found = _child(node, part)
            if found is None:
                break
            _, node = found
        return node.value if isinstance(node, yaml.ScalarNode) else str(place[-1])

    @cached_property
    def _root(self) -> yaml.Node | None:
        return yaml.compose(self.text, Loader=yaml.SafeLoader)


def _child(node: yaml.Node | None, part: str | int) -> tuple[int, yaml.Node] | None:
    """Return the line of a key or a position of a node, counted from 0, and the node below it."""
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line, node.value[part]
    if isinstance(node, yaml.MappingNode):
        return next(((key.start_mark.line, value) for key, value in node.value if key.value == str(part)), None)
    return None


class _Loader(yaml.SafeLoader):
    """YAML in which a day that does not exist, as 2024-02-30, stays text: its field is wrong, not the file."""


def _timestamp(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    try:
        return loader.construct_yaml_timestamp(node)
    except ValueError:
        return node.value


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _timestamp)


def read_yaml(path: Path) -> YamlDocument:
    """Read a file; ConfigError with the file and its problem where it can't be read or is not YAML."""
    try:
        text = path.read_text("utf-8")
        return YamlDocument(path, text, yaml.load(text, _Loader))  # noqa: S506 – a safe loader
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} {yaml_fact(error)}") from error
