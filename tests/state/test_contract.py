"""The contract of the state as a whole: its lake, its clock and its roles."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest

from quantx.errors import StateError
from quantx.state.values import Binding

from .contract import Kit


class TestState:
    def test_the_first_lake_stays(self, kit: Kit) -> None:
        assert kit.state.binding() is None
        assert kit.state.bind_lake("L1", "S1") == Binding("L1", "S1", took_over=False)
        assert kit.state.bind_lake("L2", "S2") == Binding("L1", "S1", took_over=False)
        for _ in range(2):
            kit.state.took_over()
            assert kit.state.binding() == kit.state.bind_lake("L2", "S2") == Binding("L1", "S1", took_over=True)

    def test_the_time_is_in_utc(self, kit: Kit) -> None:
        assert kit.state.now().utcoffset() == timedelta(0)


class TestRoles:
    def test_a_role_has_one_holder(self, kit: Kit) -> None:
        with kit.state.exclusive("curator") as mine, kit.state.exclusive("curator") as other:
            assert mine is not None
            assert other is None
            mine.confirm()
            with kit.state.exclusive("reporter") as another_role:
                assert another_role is not None
        with kit.state.exclusive("curator") as again:
            assert again is not None

    def test_a_role_is_free_after_an_error(self, kit: Kit) -> None:
        with contextlib.suppress(KeyError), kit.state.exclusive("curator"):
            raise KeyError
        with kit.state.exclusive("curator") as again:
            assert again is not None

    def test_a_role_is_free_when_its_holder_dies(self, kit: Kit) -> None:
        with kit.state.exclusive("curator") as lost:
            assert lost is not None
            kit.kill()
            with kit.state.exclusive("curator") as other:
                assert other is not None
                other.confirm()
                with pytest.raises(StateError):
                    lost.confirm()
