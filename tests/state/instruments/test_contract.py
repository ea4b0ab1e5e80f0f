"""The contract of the instruments port."""

from __future__ import annotations

from datetime import date

from ..contract import Kit


class TestInstruments:
    def test_who_carried_which_symbol_is_replaced_as_a_whole(self, kit: Kit) -> None:
        assert kit.state.instruments.namings() == []
        meta = [("us.FB", "FB", None, date(2022, 6, 8)), ("us.FB", "META", date(2022, 6, 9), None)]
        kit.state.instruments.put([*meta, ("us.X", "X", None, None)])
        kit.state.instruments.put(meta[::-1])
        assert kit.state.instruments.namings() == meta
        kit.state.instruments.put([])
        assert kit.state.instruments.namings() == []
