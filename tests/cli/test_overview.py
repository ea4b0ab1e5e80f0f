"""The overview of all commands, which is written without importing them."""

from __future__ import annotations

import pytest
import typer

from quantx.cli.app import app
from quantx.cli.commands import COMMANDS, PANELS, registered


@pytest.mark.parametrize("name", COMMANDS)
def test_the_overview_has_the_first_paragraph_of_each_command(name: str) -> None:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    assert COMMANDS[name].summary == " ".join((command.help or "").split("\n\n")[0].split())


def test_every_registered_command_is_in_the_overview() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert list(commands) == list(COMMANDS)
    for modules in {each.modules for each in COMMANDS.values()}:
        assert set(registered(modules)) <= set(COMMANDS)


def test_each_command_is_in_one_group_of_the_overview() -> None:
    grouped = [name for names in PANELS.values() for name in names]
    assert sorted(grouped) == sorted(COMMANDS)
