"""Documents from the web: whole and of a sensible size within their time, or refused."""

from __future__ import annotations

import gzip
import zlib

import pytest

from quantx.errors import ConfigError, RefusedList
from quantx.universes.web import Web

from ..lists import Lists, compressed, cut_off, dripping, dripping_headers, endless, leading_to, silent


def test_a_document_is_read_as_it_is_and_the_source_knows_who_asks(lists: Lists) -> None:
    lists.pages["/list.txt"] = b"symbol\nAAPL\n"
    document = Web("me@example.org").fetch(f"{lists.url}/list.txt")
    assert (document.body, document.origin) == (b"symbol\nAAPL\n", f"{lists.url}/list.txt")
    ((_, headers),) = lists.requests
    assert headers["User-Agent"].startswith("quantx-data-builder/")
    assert "(me@example.org)" in headers["User-Agent"]


def test_another_host_may_serve_all_lists(lists: Lists) -> None:
    lists.pages["/mirror/wiki/List_of_S%26P_500_companies?action=raw"] = b"page"
    web = Web(base_url=f"{lists.url}/mirror/")
    assert web.fetch("https://en.wikipedia.org/wiki/List_of_S%26P_500_companies?action=raw").body == b"page"


def test_what_is_packed_is_unpacked_and_few_redirections_are_followed(lists: Lists) -> None:
    lists.pages |= {"/a": leading_to("/b"), "/b": leading_to("/c"), "/c": compressed(gzip.compress(b"AAPL"))}
    assert Web().fetch(f"{lists.url}/a").body == b"AAPL"


BOMB = gzip.compress(bytes(50_000_000))
REFUSED = {
    "an error": (None, "HTTP 404"),
    "endless": (endless, "more than 20 MB"),
    "dripping": (dripping, r"did not send its document within 0\.7 s"),
    "dripping headers": (dripping_headers, r"within 0\.7 s"),
    "silent": (silent, r"within 0\.7 s|ReadTimeout"),
    "too large": (bytes(20_000_001), "more than 20 MB"),
    "a bomb": (compressed(BOMB), "more than 20 MB"),
    "a bomb in a bomb's clothes": (compressed(BOMB, "br"), "has the encoding br, which was not requested"),
    "half a pack": (compressed(gzip.compress(b"AAPL" * 99)[:-9]), "is truncated"),
    "no pack": (compressed(b"AAPL"), "its gzip is damaged"),
    "cut off": (cut_off, "breaks the HTTP protocol or ends early"),
    "a circle": (leading_to("/list"), "more than 5 redirects"),
    "a file": (leading_to("file:///etc/passwd"), "no address of http:// or https://"),
    "another protocol": (leading_to("ftp://127.0.0.1/list"), "no address of http:// or https://"),
}


@pytest.mark.parametrize(("page", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_document_is_refused(lists: Lists, page: object, message: str) -> None:
    if page is not None:
        lists.pages["/list"] = page  # type: ignore[assignment]
    seconds = 0.7 if "0" in message and "within" in message else 30.0
    with pytest.raises(RefusedList, match=message):
        Web(seconds=seconds).fetch(f"{lists.url}/list")


def test_nobody_there_is_refused() -> None:
    with pytest.raises(RefusedList, match="no connection"):
        Web(seconds=5).fetch("http://127.0.0.1:9/list")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/x", "http:///x", "list.csv"])
def test_an_address_of_another_kind_is_the_users_mistake(url: str) -> None:
    with pytest.raises(ConfigError, match="must start with https"):
        Web().fetch(url)


def test_a_password_in_an_address_is_not_told(lists: Lists) -> None:
    with pytest.raises(RefusedList) as caught:
        Web().fetch(lists.url.replace("://", "://me:secret@") + "/none?token=secret")
    assert "secret" not in str(caught.value)


def test_zlib_is_stopped_at_the_bound_and_not_after_it() -> None:
    assert len(zlib.decompressobj(wbits=31).decompress(BOMB, 20_000_001)) == 20_000_001
