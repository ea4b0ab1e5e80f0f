"""Dates, times and numbers of files: what can be read in two ways is an error, never a guess."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date

import polars as pl

from quantx.errors import QuantxError
from quantx.providers.reply_values import WrongForm

_NULLS = ("", "null", "nan", "n/a", "na", "none", "-", "--", "nil", "#n/a", ".")
_FIRST_DAY, _LAST_DAY = date(1700, 1, 1), date(2100, 1, 1)
_MONTH, _LONG_MONTH = r"[A-Za-z]{3}", r"[A-Za-z]{4,9}"
# Formats of days by the form of their text; None: the order of day and month follows from other values, or not at all.
_DAY_FORMS: tuple[tuple[str, str | None], ...] = (
    (r"\d{4}-\d{2}-\d{2}", "%Y-%m-%d"),
    (r"\d{8}", "%Y%m%d"),
    (r"\d{4}/\d{1,2}/\d{1,2}", "%Y/%m/%d"),
    (r"\d{4}\.\d{2}\.\d{2}", "%Y.%m.%d"),
    (r"\d{1,2}\.\d{1,2}\.\d{4}", "%d.%m.%Y"),
    (rf"\d{{1,2}}-{_MONTH}-\d{{4}}", "%d-%b-%Y"),
    (rf"\d{{1,2}} {_MONTH} \d{{4}}", "%d %b %Y"),
    (rf"{_MONTH} \d{{1,2}}, \d{{4}}", "%b %d, %Y"),
    (rf"\d{{1,2}} {_LONG_MONTH} \d{{4}}", "%d %B %Y"),
    (rf"{_LONG_MONTH} \d{{1,2}}, \d{{4}}", "%B %d, %Y"),
    (r"\d{1,2}/\d{1,2}/\d{4}", None),
    (r"\d{1,2}-\d{1,2}-\d{4}", None),
)
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?"
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ]" + _CLOCK + r"( ?(Z|UTC|[+-]\d{2}:?\d{2}))?)?")
_EPOCH = re.compile(r"(\d{10}|\d{13}|\d{16}|\d{19})(\.0)?")
_EPOCHS = {"epoch_s": 1, "epoch_ms": 10**3, "epoch_us": 10**6, "epoch_ns": 10**9}  # units of a second
_EPOCH_OF_DIGITS = {10: "epoch_s", 13: "epoch_ms", 16: "epoch_us", 19: "epoch_ns"}
_GROUPED = re.compile(r"[1-9]\d{0,2}(\.\d{3})+")  # groups of thousands, with dots
_SUFFIXES: Mapping[str, float] = {"K": 1e3, "M": 1e6, "B": 1e9}
_CURRENCY_SIGNS: Mapping[str, str] = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}


class Undeclared(QuantxError):
    """A fact about files that they do not state, and that is not guessed; the message names the option that does."""


def date_format_of(texts: Sequence[str]) -> str:
    """Return the format of days or times: of strptime, `iso`, or an epoch by its unit, as in `epoch_ms`.

    Raises Undeclared where day and month can't be told apart, WrongForm where no known form fits the first text.
    """
    if not texts:
        raise WrongForm("it has no dates")
    first = texts[0]
    if _ISO.fullmatch(first):
        return "iso"
    if match := _EPOCH.fullmatch(first):
        return _EPOCH_OF_DIGITS[len(match[1])]
    for form, known in _DAY_FORMS:
        match = re.match(rf"({form})(.*)", first)
        if match is None or not re.fullmatch(rf"([ T]{_CLOCK}( ?[AP]M)?)?", match[2]):
            continue
        days = [m[1] for text in texts if (m := re.match(rf"({form})", text))]
        return (known or _day_and_month(days)) + _clock_format(match[2])
    raise WrongForm(f"{first[:30]!a} is no date of a known form; give --date-format, as in %d/%m/%y or epoch_s")


def _day_and_month(texts: Sequence[str]) -> str:
    """Return the order of day and month in dates such as 31/01/2024."""
    mark = next(mark for mark in texts[0] if not mark.isdigit())
    pairs = {tuple(map(int, text.split(mark)[:2])) for text in texts}
    day_first, month_first = any(a > 12 for a, _ in pairs), any(b > 12 for _, b in pairs)
    if day_first == month_first:
        raise Undeclared(
            f"{texts[0]} can be read in two ways: give --date-format %d{mark}%m{mark}%Y (day first) or"
            f" --date-format %m{mark}%d{mark}%Y (month first)"
        )
    return f"%d{mark}%m{mark}%Y" if day_first else f"%m{mark}%d{mark}%Y"


def _clock_format(text: str) -> str:
    if not text:
        return ""
    twelve = text.rstrip()[-1:].upper() == "M"
    seconds = ":%S%.f" if "." in text else ":%S" if text.count(":") == 2 else ""
    clock = f"{'%I' if twelve else '%H'}:%M{seconds}"
    return f"{text[0]}{clock}{' ' if ' ' in text.strip() else ''}{'%p' if twelve else ''}"


def is_date_like(texts: pl.Series, form: str) -> pl.Series:
    """Return which texts are days or times in a format; null is none."""
    return read_times(texts, form, strict=False)[0].is_not_null()


def read_times(texts: pl.Series, form: str, *, strict: bool = True) -> tuple[pl.Series, pl.Series]:
    """Return naive times, and their offsets from UTC in minutes (null: none given).

    WrongForm where a text has another form, unless not `strict`: it is null then.
    """
    text = pl.col("text")
    frame = pl.DataFrame({"text": texts.cast(pl.String)})
    if form in _EPOCHS:
        whole = text.cast(pl.Int64, strict=False)  # a float does not have the digits of an epoch in nanoseconds
        per_second = _EPOCHS[form]
        exact = whole * (1_000_000 // per_second) if per_second <= 1_000_000 else whole // (per_second // 1_000_000)
        rounded = (text.cast(pl.Float64, strict=False) * (1_000_000 / per_second)).cast(pl.Int64, strict=False)
        moment = pl.coalesce(exact, rounded)
        read = frame.select(time=moment.cast(pl.Datetime("us")), offset=pl.lit(0, pl.Int64))
    elif form == "iso":
        read = frame.select(
            time=pl.coalesce(
                text.str.slice(0, 26)
                .str.extract(r"^(\d{4}-\d{2}-\d{2}[T ]\d{1,2}:\d{2}:\d{2}(?:\.\d{1,6})?)")
                .str.replace("T", " ")
                .str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False, time_unit="us"),
                text.str.extract(r"^(\d{4}-\d{2}-\d{2}[T ]\d{1,2}:\d{2})( ?(?:Z|UTC|[+-]\d{2}:?\d{2}))?$")
                .str.replace("T", " ")
                .str.to_datetime("%Y-%m-%d %H:%M", strict=False, time_unit="us"),
                text.str.extract(r"^(\d{4}-\d{2}-\d{2})$").str.to_datetime("%Y-%m-%d", strict=False, time_unit="us"),
            ),
            offset=_offset(text.str.extract(r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)? ?(Z|UTC|[+-]\d{2}:?\d{2})$")),
        )
    else:
        has_clock = any(mark in form for mark in ("%H", "%I", "%T", "%R"))
        try:
            if has_clock:
                time = text.str.to_datetime(form, strict=False, time_unit="us")
            else:
                time = text.str.to_date(form, strict=False).cast(pl.Datetime("us"))
            read = frame.select(time=time, offset=pl.lit(None, pl.Int64))
        except pl.exceptions.PolarsError:
            raise WrongForm(f"{form!a} is no format of dates, as in %d/%m/%Y") from None
    lost = read["time"].is_null() & frame["text"].is_not_null()
    if strict and lost.any():
        raise WrongForm(f"{frame['text'].filter(lost)[0][:30]!a} is no date of the form {form}")
    times = read["time"]
    inside = times.dt.date().is_between(_FIRST_DAY, _LAST_DAY)
    if strict and not inside.fill_null(True).all():
        raise WrongForm(f"{times.filter(~inside)[0]} is no day of a market")
    return times, read["offset"]


def _offset(text: pl.Expr) -> pl.Expr:
    """Return the minutes of offsets such as Z, +09:00 and -0500."""
    digits = text.str.replace(":", "")
    minutes = digits.str.slice(1, 2).cast(pl.Int64, strict=False) * 60
    minutes += digits.str.slice(3, 2).cast(pl.Int64, strict=False)
    sign = pl.when(digits.str.starts_with("-")).then(-1).otherwise(1)
    return pl.when(text.is_in(["Z", "UTC"])).then(0).otherwise(minutes * sign)


def number_marks_of(columns: Mapping[str, Sequence[str]]) -> tuple[str, str]:
    """Return the marks of decimals and of thousands in columns of numbers; Undeclared where two readings fit."""
    commas, dots, both = [], [], []
    for texts in columns.values():
        for text in texts:
            digits = text.strip("$€£¥%KMBkmb ()+-\u00a0")
            if "," in digits and "." in digits:
                both.append(digits)
            elif "," in digits:
                commas.append(digits)
            elif "." in digits:
                dots.append(digits)
    if both:
        return (",", ".") if both[0].rfind(",") > both[0].rfind(".") else (".", ",")
    if any(not _GROUPED.fullmatch(text.replace(",", ".")) for text in commas):
        return ",", "." if dots else ""
    if any(not _GROUPED.fullmatch(text) for text in dots) or any(text.count(",") > 1 for text in commas):
        return ".", "," if commas else ""
    if any(text.count(".") > 1 for text in dots):
        return ",", "."
    if commas:
        raise Undeclared(
            f"{commas[0]} can be read in two ways: give --decimal , (it is less than a thousand with decimals) or"
            " --decimal . (it is a thousand)"
        )
    return ".", ""


def read_numbers(texts: pl.Series, decimal: str, thousands: str, at: Callable[[pl.Series], str]) -> pl.Series:
    """Return the numbers of texts, null for null and for the usual words for nothing.

    `at` names the place of the first true value of a mask. WrongForm where a text is no number.
    """
    text = texts.cast(pl.String).str.strip_chars()
    nothing = text.str.to_lowercase().is_in(_NULLS)
    plain = text.str.strip_chars("".join(_CURRENCY_SIGNS) + " \u00a0").str.replace_all("[\u00a0\u202f ']", "")
    if thousands:
        plain = plain.str.replace_all(thousands, "", literal=True)
    if decimal != ".":
        plain = plain.str.replace_all(decimal, ".", literal=True)
    frame = pl.DataFrame({"plain": plain}).select(
        factor=pl.col("plain")
        .str.extract("[0-9.]([KMBkmb])$")
        .str.to_uppercase()
        .replace_strict(_SUFFIXES, default=1.0),
        number=pl.col("plain").str.replace("[KMBkmb]$", "").cast(pl.Float64, strict=False),
    )
    numbers = (frame["number"] * frame["factor"]).fill_nan(None)
    wrong = numbers.is_null() & text.is_not_null() & ~nothing.fill_null(False)
    if wrong.any():
        raise WrongForm(f"{at(wrong)}: {texts.name} {text.filter(wrong)[0][:30]!a} is no number")
    return numbers.alias(texts.name)


def currency_of(texts: Sequence[str]) -> str | None:
    """Return the currency whose sign stands before or after prices; None where there is none."""
    signs = (sign for text in texts for sign in (text[:1], text[-1:]))
    return next((_CURRENCY_SIGNS[sign] for sign in signs if sign in _CURRENCY_SIGNS), None)


def day_of(text: str) -> date | None:
    """Return the day of a name such as 20140605; None for any other text."""
    if not re.fullmatch(r"\d{8}", text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
