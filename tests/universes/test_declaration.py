"""What config/universes.yaml may declare, and how a wrong declaration is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from quantx.errors import ConfigError
from quantx.universes.declaration import Declaration, UniverseSpec, read_declaration

GOOD = """
phases:
  phase_1:
    us_large: {market: us, type: static, symbols: [AAPL, BRK.B]}
    hk_blue: {market: hk, type: csv, path: hk.csv, symbol_column: code}
  phase_2:
    jp_blue: {market: jp, type: static, symbols: ["7203.T"], description: Large companies}
"""


def declared(tmp_path: Path, text: str) -> Declaration:
    path = tmp_path / "universes.yaml"
    path.write_text(text, "utf-8")
    return read_declaration(path)


def test_universes_are_read_by_phase(tmp_path: Path) -> None:
    found = declared(tmp_path, GOOD)
    assert {phase: [s.name for s in specs] for phase, specs in found.phases.items()} == {
        "phase_1": ["us_large", "hk_blue"],
        "phase_2": ["jp_blue"],
    }
    assert found.phases["phase_1"][0] == UniverseSpec(
        name="us_large", market="us", type="static", symbols=("AAPL", "BRK.B")
    )


SELECTIONS = [
    (None, None, ["phase_1/us_large", "phase_1/hk_blue", "phase_2/jp_blue"]),
    ("phase_1", None, ["phase_1/us_large", "phase_1/hk_blue"]),
    (None, "jp_blue", ["phase_2/jp_blue"]),
    ("phase_1", "hk_blue", ["phase_1/hk_blue"]),
]


@pytest.mark.parametrize(("phase", "name", "expected"), SELECTIONS)
def test_a_phase_a_name_or_both_select(
    tmp_path: Path, phase: str | None, name: str | None, expected: list[str]
) -> None:
    selected = declared(tmp_path, GOOD).select(phase, name)
    assert [f"{p}/{spec.name}" for p, spec in selected] == expected


UNKNOWN = [
    ("phase_9", None, r"no phase 'phase_9'; it has phase_1, phase_2"),
    (None, "us_small", r"no universe 'us_small'; it has us_large, hk_blue, jp_blue"),
    ("phase_1", "jp_blue", r"no universe 'jp_blue' in phase_1"),
]


@pytest.mark.parametrize(("phase", "name", "message"), UNKNOWN)
def test_what_is_not_declared_is_refused_with_what_is(
    tmp_path: Path, phase: str | None, name: str | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        declared(tmp_path, GOOD).select(phase, name)


FORM = r"must have the form `phases:"
BAD = {
    "nothing": ("", FORM),
    "a list": ("[phase_1]", FORM),
    "no phases": ("phase: {}", FORM),
    "phases without content": ("phases:", FORM),
    "a phase without content": ("phases: {phase_1: }", FORM),
    "a universe without content": ("phases: {phase_1: {us: }}", FORM),
    "a universe that is a list": ("phases: {phase_1: {us: [AAPL]}}", FORM),
    "no YAML": ("phases: {", r"is not valid YAML at line 1"),
    "an object of Python": ("phases: !!python/object/apply:os.getpid []", r"is not valid YAML at line 1"),
    "no market": ("phases: {phase_1: {us: {type: static, symbols: [A]}}}", r"market us: is missing"),
    "an unknown market": ("phases: {p: {us: {market: mars, type: static, symbols: [A]}}}", r"market 'mars'"),
    "an unknown source": ("phases: {p: {us: {market: us, type: oracle}}}", r"type 'oracle'"),
    "an unknown name": ("phases: {p: {us: {market: us, type: static, symbol: [A]}}}", r"symbol "),
    "static without symbols": ("phases: {p: {us: {market: us, type: static}}}", r"us: .*needs `symbols`"),
    "csv without a path": ("phases: {p: {us: {market: us, type: csv}}}", r"us: .*needs `path`"),
    "a symbol that YAML reads as a truth": (
        "phases: {p: {us: {market: us, type: static, symbols: [AAPL, ON]}}}",
        r"the universe us, symbols position 2: YAML reads ON as a truth value; quote it: 'ON'",
    ),
    "a symbol that YAML reads as a number": (
        "phases: {p: {jp: {market: jp, type: static, symbols: [7203]}}}",
        r"the universe jp, symbols position 1: YAML reads 7203 as a number; quote it: '7203'",
    ),
    "a number that YAML reads with eight digits": (
        "phases: {p: {hk: {market: hk, type: static, symbols: ['0005', 0700]}}}",
        r"the universe hk, symbols position 2: YAML reads 0700 as a number; quote it: '0700'",
    ),
    "a symbol that YAML reads as nothing": (
        "phases: {p: {us: {market: us, type: static, symbols: [NULL]}}}",
        r"the universe us, symbols position 1: YAML reads NULL as an empty value; quote it: 'NULL'",
    ),
    "a value that YAML reads as a truth": (
        "phases: {p: {us: {market: us, type: csv, path: x.csv, only: {Listed: [NO]}}}}",
        r"the universe us, only Listed position 1: YAML reads NO as a truth value; quote it: 'NO'",
    ),
    "a name that YAML reads as a truth": (
        "phases: {p: {ON: {market: us, type: static, symbols: [A]}}}",
        r"YAML reads True as a truth value; quote it",
    ),
    "one name in two phases": (
        "phases: {p: {us: {market: us, type: static, symbols: [A]}},"
        " q: {us: {market: us, type: static, symbols: [B]}}}",
        r"declares the universe us twice",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_a_wrong_declaration_is_refused_with_file_and_reason(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"universes.yaml.*{message}"):
        declared(tmp_path, text)


def test_a_missing_file_is_refused_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`quantx init` writes one"):
        read_declaration(tmp_path / "universes.yaml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "universes.yaml"
    path.write_bytes(b"\xff\xfe\x00phases")
    with pytest.raises(ConfigError, match="can't be read"):
        read_declaration(path)


def test_the_declaration_that_is_shipped_is_good() -> None:
    path = Path(__file__).parents[2] / "config" / "universes.yaml"
    assert read_declaration(path).select("phase_1", None)


# ----------------------------------------------------------------------------------------------------- the earlier form

EARLIER = """
universes:
  phase_1:
    - name: us_sp500
      source_type: wikipedia
      url: https://en.wikipedia.org/wiki/List_of_S%26P_500_companies
      symbol_column: Symbol
      enabled: true
    - {name: hsi, source_type: static, symbols: ["0700.HK", "0005.HK"]}
  phase_2:
    - {name: nikkei, source_type: excel, path: n.xlsx, symbol_column: Code, symbol_suffix: .T, enabled: false}
    - {name: eu-large, source_type: csv, url: "https://example.org/eu.csv"}
    - {name: mixed, source_type: static, symbols: [AAPL, "0700.HK"]}
"""


def test_the_earlier_form_is_read(tmp_path: Path) -> None:
    found = declared(tmp_path, EARLIER)
    assert {phase: [(s.name, s.type, s.market) for s in specs] for phase, specs in found.phases.items()} == {
        "phase_1": [("us_sp500", "wikipedia", "us"), ("hsi", "static", "hk")],
        "phase_2": [("nikkei", "excel", "jp"), ("eu-large", "csv", "eu"), ("mixed", "static", "us")],
    }
    assert found.enabled() == {"us_sp500", "hsi", "eu-large", "mixed"}
    assert found.phases["phase_1"][0].symbol_column == "Symbol"


def test_an_empty_value_of_the_earlier_form_is_not_given(tmp_path: Path) -> None:
    empty = "url: null, path: '', symbol_column: , symbol_suffix: null, enabled: "
    given = "universes: {p: [{name: a, source_type: static, symbols: ['0700.HK'], " + empty + "}]}"
    (spec,) = declared(tmp_path, given).phases["p"]
    assert (spec.path, spec.url, spec.symbol_column, spec.symbol_suffix) == (None, None, "symbol", "")
    assert (spec.market, spec.enabled) == ("hk", True)


def test_a_path_leads_from_the_file_or_else_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    for name in ("config/beside.csv", "beside.csv", "here.csv"):
        (tmp_path / name).write_text("symbol\nAAPL\n")
    universes = [f"{{name: {name}, source_type: csv, path: {name}.csv}}" for name in ("beside", "here", "nowhere")]
    found = declared(tmp_path / "config", f"universes: {{p: [{', '.join(universes)}]}}").phases["p"]
    assert [spec.path for spec in found] == [Path("beside.csv"), tmp_path / "here.csv", Path("nowhere.csv")]


BAD_EARLIER = {
    "both forms": ("phases: {}\nuniverses: {}", r"line 2: the file has `phases` and `universes`"),
    "no phases": ("universes:", r"line 1: below `universes` the file must have the form"),
    "today's form of a phase": ("universes:\n  p: {us: {market: us}}", r"line 2: below `universes` the file must"),
    "today's field": ("universes: {p: [\n{name: a,\ntype: static}]}", r"line 3: `type` belongs to the form with"),
    "no name": ("universes: {p: [\n{source_type: static}]}", r"line 2: the universe 1 of p needs `name`"),
    "a name that YAML reads otherwise": (
        "universes: {p: [{name: off, source_type: static, symbols: [A]}]}",
        r"name: YAML reads off as a truth value; quote it: 'off'",
    ),
    "no source": ("universes: {p: [{name: a}]}", r"the universe 1 of p needs `source_type`"),
    "an unknown key": (
        "universes:\n  p:\n    - name: a\n      source_type: static\n      symbols: [A]\n      color: red",
        r"line 6: color is no field of a universe \(a\); the fields are market, source_type, enabled",
    ),
    "an unknown source": ("universes: {p: [\n{name: a,\nsource_type: oracle}]}", r"line 3: source_type 'oracle'"),
    "a number": (
        "universes: {p: [{name: a, source_type: static, symbols: ['0005',\n0700]}]}",
        r"line 2: the universe a, symbols position 2: YAML reads 0700 as a number; quote it: '0700'",
    ),
    "one name twice": (
        "universes: {p: [{name: a, source_type: static, symbols: [A]}, {name: a, source_type: static, symbols: [B]}]}",
        r"declares the universe a twice",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD_EARLIER.values(), ids=BAD_EARLIER)
def test_a_wrong_earlier_form_is_refused_with_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"universes.yaml.*{message}"):
        declared(tmp_path, text)
