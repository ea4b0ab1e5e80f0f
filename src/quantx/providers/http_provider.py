"""The base of adapters for vendors with one plain HTTP interface: declare the vendor, its requests and its replies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import SecretStr

from quantx.core.model import Clock, Payload
from quantx.errors import MalformedPayload, ProviderError
from quantx.providers.drift import FieldChange, Shape
from quantx.providers.http import HttpReply, HttpSession
from quantx.providers.protocol import Capabilities, FactFrames, Page, Request, VendorFrames
from quantx.providers.refusals import Refusal, refusal_of
from quantx.providers.reply_values import FORM_ERRORS, form_problem, parsed_json
from quantx.vendor_settings import VendorSettings

Frames = TypeVar("Frames", VendorFrames, FactFrames)
Content = TypeVar("Content")  # of a reply after `open_reply`: its document, rows, text


@dataclass(frozen=True)
class HttpQuery:
    """One request to the vendor."""

    path: str
    params: Mapping[str, str]


class HttpProvider(ABC, Generic[Content]):
    """A vendor of one symbol per request, whose key is a parameter of the query.

    A subclass declares the class variables and supplies `queries`, `open_reply`, `read` and `shape`.
    """

    capabilities: Capabilities
    name: ClassVar[str]  # the vendor's name in messages
    host: ClassVar[str]
    key_param: ClassVar[str] = "apikey"
    refusals: ClassVar[Sequence[Refusal]] = ()  # the texts that take the place of data

    def __init__(self, session: HttpSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    @classmethod
    def open(cls, settings: VendorSettings, clock: Clock) -> Self:
        """Return the provider; the first fetch connects."""
        key: SecretStr | None = getattr(settings, "api_key", None)
        secrets = {} if key is None else {cls.key_param: key}
        return cls(HttpSession(cls.name, settings.base_url or cls.host, secret_params=secrets), clock)

    @abstractmethod
    def queries(self, request: Request, symbol: str) -> Sequence[HttpQuery]:
        """Return the queries whose replies together answer the request; the last one completes the symbol."""

    @abstractmethod
    def open_reply(self, payload: Payload) -> Content:
        """Return the content of a reply about the right symbol and of the right kind.

        Cheap, as `fetch` and `normalize` both call it. Raises the error that the reply means, and MalformedPayload for
        any reply of another form.
        """

    @abstractmethod
    def read(self, content: Content, payload: Payload) -> VendorFrames:
        """Return the frames of a reply's content; any of FORM_ERRORS where a value has another form."""

    @abstractmethod
    def shape(self, payload: Payload) -> Shape | None:
        """Return the declared shape of the reply to a request, None where the request is none of the vendor's."""

    def fields(self, content: Content) -> Any:
        """Return the part of a reply's content that is compared with the shape."""
        return content

    def parsed(self, payload: Payload) -> Any:
        """Return the same part of a reply that may be malformed, None where there is none."""
        return parsed_json(payload)

    def check_reply(self, reply: HttpReply, payload: Payload) -> None:
        """Raise MalformedPayload where a part of the reply that is not stored contradicts the request."""

    def prepare(self) -> None:
        """Load the HTTP client."""
        self._session.prepare()

    def close(self) -> None:
        """Close the vendor's connections."""
        self._session.close()

    def fetch(self, request: Request) -> Iterator[Page]:
        """Send one query with each `next`."""
        (symbol,) = request.symbols
        queries = self.queries(request, symbol)
        for number, query in enumerate(queries, start=1):
            reply = self._session.get(query.path, query.params)
            payload = reply.as_payload(symbol, self._clock.now())
            self.open_reply(payload)
            self.check_reply(reply, payload)
            yield Page(payload, frozenset([symbol]), frozenset([symbol] if number == len(queries) else []))

    def normalize(self, payload: Payload) -> VendorFrames:
        """Return the frames of a stored reply; a refusal is malformed here, as it holds no data."""
        return self._frames(payload, self.read)

    def _frames(self, payload: Payload, read: Callable[[Content, Payload], Frames]) -> Frames:
        try:
            content = self.open_reply(payload)
        except MalformedPayload:
            raise
        except ProviderError as refusal:
            raise MalformedPayload(f"no data but a refusal: {refusal}", payload) from refusal
        try:
            frames, shape = read(content, payload), self.shape(payload)
            return frames if shape is None else replace(frames, drift=shape.changes(self.fields(content)))
        except FORM_ERRORS as error:
            why = form_problem(error)
            raise MalformedPayload(f"{self.name}'s reply of {payload.symbol} can't be read: {why}", payload) from error

    def drift(self, payload: Payload) -> tuple[FieldChange, ...]:
        """Return the fields of a reply that differ from its declared shape; every value is compared."""
        shape = self.shape(payload)
        return () if shape is None else shape.changes(self.parsed(payload), every_value=True)

    def raise_refusal(self, text: str, payload: Payload) -> None:
        """Raise the error of the first entry of `refusals` whose words are in the text."""
        refusal = refusal_of(text, self.refusals, self.name, payload.symbol)
        if refusal is not None:
            raise refusal
