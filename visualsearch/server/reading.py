"""From an HTTP request to a SearchRequest and the picture that came with it.

A query comes as JSON, as a form with a file, as a picture with the query in the address, or in the address alone. The names
are the same in all of them. Bodies are held in memory, never spooled to a file.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, QueryParams, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from .bounds import bad, known, parsed
from .problems import Kind, RefusedError, explained
from .schemas import SearchRequest
from .settings import Settings

if TYPE_CHECKING:
    from .service import Service

M = TypeVar("M", bound=BaseModel)

LISTS = ("also", "text", "not_text", "like", "unlike")
PLAIN = (
    "image",
    "where",
    "k",
    "offset",
    "min_score",
    "sort",
    "include_seeds",
    "group_by",
    "rank",
    "diversity",
    "personal",
    "person",
    "products",
)
FILE = "image"
NAMES = frozenset({*LISTS, *PLAIN, "crop", "weight"})
MOST_FIELDS = 200
FIELD_BYTES = 64_000
SMALL = 16_000
"""A longer JSON body is parsed in a thread: the event loop has others to serve."""


class _InMemory(MultiPartParser):
    spool_max_size = 1 << 40  # the body's own limit is far below: nothing ever reaches the disk


def from_words(words: QueryParams | FormData) -> SearchRequest:
    """A query from an address or a form: `weight=text=0.5` as on the command line, `crop=0.1,0.2,0.6,0.9`."""
    values: dict[str, Any] = {}
    for name in words:
        if name not in NAMES:
            raise bad(f"{name[:100]}: there is no such parameter. Known: {', '.join(sorted(NAMES))}.")
    for name in LISTS:
        if name in words:
            values[name] = [str(word) for word in words.getlist(name)]
    for name in PLAIN:
        if name in words and isinstance(words[name], str):
            if len(words.getlist(name)) > 1:
                raise bad(f"{name}: it may be given once only.")
            values[name] = words[name]
    if "crop" in words:
        values["crop"] = str(words["crop"]).split(",")
    if "weight" in words:
        values["weights"] = dict(str(word).partition("=")[::2] for word in words.getlist("weight"))
    return checked(SearchRequest, values)


def checked(model: type[M], values: Any) -> M:
    """The values as a model. Raises RefusedError saying what does not fit."""
    known(model, values)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise bad(*explained(found)) from error


async def read_json(request: Request, model: type[M]) -> M:
    """The JSON body as a model. Raises RefusedError."""
    check_json_type(request)
    settings: Settings = request.app.state.settings
    body = await bounded(request, settings.max_json, "the JSON", "Send a picture as a file, not inside JSON")
    if len(body) <= SMALL:
        return checked(model, parsed(body))
    serving: Service = request.app.state.service
    return await serving.parsing.run(lambda: checked(model, parsed(body)))


def check_json_type(request: Request) -> None:
    """Raise RefusedError for a body that says it is something else than JSON."""
    if _media_type(request) not in ("application/json", ""):
        raise _unsupported(request, "application/json")


async def bounded(request: Request, most: int, what: str, remedy: str) -> bytes:
    """The body, read no further than it may be long. Raises RefusedError."""
    said = request.headers.get("content-length", "")
    body = bytearray()
    if not (said.isdigit() and int(said) > most):
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                break
        else:
            return bytes(body)
    raise RefusedError(
        Kind.TOO_LARGE,
        f"{what} is too large",
        f"at most {most:,} bytes are taken",
        remedy,
    )


async def read_file(request: Request) -> bytes:
    """The body, which is a picture file of any type. Raises RefusedError when it is empty."""
    data = await request.body()
    if not data:
        raise RefusedError(Kind.BAD_PICTURE, "the body is empty", "", "Send the bytes of a picture file")
    return data


async def read_form(request: Request) -> FormData:
    """A form whose files stay in memory. Raises RefusedError."""
    parser = _InMemory(
        request.headers,
        request.stream(),
        max_files=1,
        max_fields=MOST_FIELDS,
        max_part_size=FIELD_BYTES,
    )
    try:
        return await parser.parse()
    except (MultiPartException, KeyError, UnicodeDecodeError) as error:
        raise bad(f"the form cannot be read: {getattr(error, 'message', 'it is damaged')}.") from error


async def read_search(request: Request) -> tuple[SearchRequest, bytes | None]:
    """The query of a POST, and its picture's file."""
    kind = (
        _media_type(request) or "application/octet-stream"
    )  # RFC 9110, 8.3: what none says may be taken for it
    reader = next((reader for start, reader in READERS if kind.startswith(start)), None)
    if reader is None:
        raise _unsupported(request, "application/json, multipart/form-data or a picture")
    return await reader(request)


async def _from_json(request: Request) -> tuple[SearchRequest, bytes | None]:
    return await read_json(request, SearchRequest), None


async def _from_form(request: Request) -> tuple[SearchRequest, bytes | None]:
    form = await read_form(request)
    given = form.get(FILE)
    data = await given.read() if isinstance(given, UploadFile) else None
    return from_words(form), data


async def _from_picture(request: Request) -> tuple[SearchRequest, bytes | None]:
    return from_words(request.query_params), await read_file(request)


Reader = Callable[[Request], Awaitable[tuple[SearchRequest, bytes | None]]]
READERS: tuple[tuple[str, Reader], ...] = (
    ("application/json", _from_json),
    ("multipart/form-data", _from_form),
    ("image/", _from_picture),
    ("application/octet-stream", _from_picture),
)
"""How a body of each type is read. What a picture is, its bytes decide, not its type."""


def form_attributes(text: object) -> dict[str, Any]:
    """The attributes in a form field or parameter: a JSON object."""
    if not isinstance(text, str) or not text:
        return {}
    try:
        values = parsed(text.encode("utf-8", "surrogatepass"))
    except RefusedError as error:
        raise bad(f"attributes: {error.what.replace('the body', 'it')}") from error
    if not isinstance(values, dict):
        raise bad("attributes: it is not a JSON object.")
    return values


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _unsupported(request: Request, wanted: str) -> RefusedError:
    return RefusedError(
        Kind.UNSUPPORTED, "this kind of body is not taken here", f"it must be {wanted}", "Set Content-Type"
    )
