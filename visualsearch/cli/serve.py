"""`visualsearch serve`: the HTTP API and the web page."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from .common import Device, Folder, MaxPixels, Memory, Model, PrecisionOption, limit_pictures, note


class KeyScope(StrEnum):
    """What a new key may do: search, change pins too, speak for an application's people, or see figures over groups of them."""

    READ = "read"
    WRITE = "write"
    ACT = "act"
    INSIGHT = "insight"


class TrustMode(StrEnum):
    """What is done about spam while serving."""

    ACT = "act"
    ASK = "ask"
    OFF = "off"


def serve(
    folder: Folder,
    host: Annotated[
        str, typer.Option(help="Address to listen at; anything but this machine's own needs API keys.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65_535)] = 8000,
    new_key: Annotated[
        KeyScope | None, typer.Option("--new-key", help="Make an API key, print it once, and end.")
    ] = None,
    days: Annotated[
        float | None, typer.Option(help="With --new-key: the key ends after this many days.", min=0)
    ] = None,
    merchant_name: Annotated[
        str | None,
        typer.Option(
            "--merchant",
            metavar="NAME",
            help="With --new-key insight: the key sees only the domains that this merchant has proved.",
            rich_help_panel="Access",
        ),
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Reading needs no key; writing and /metrics do.")
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A host name to answer to; may be repeated."),
    ] = None,
    allow_private: Annotated[
        bool,
        typer.Option("--allow-private", help="Query addresses may lead into private networks. Take care."),
    ] = False,
    allow_extension: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="Id of another build of the browser extension, or its UUID in Firefox, that may search; may be repeated.",
        ),
    ] = None,
    trust_proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="A reverse proxy (address or network) whose X-Forwarded-For and -Proto are believed; may be"
            " repeated. Without it all visitors behind a proxy share one --rate.",
        ),
    ] = None,
    rate: Annotated[
        float, typer.Option(help="Requests per second that one client may make; 0: no limit.", min=0)
    ] = 100.0,
    people: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Where the record of people is: postgresql://... (extra `postgres`), or off. Default: a file in the index"
            " folder. Servers that share a database also share the secrets of visitors' cookies: set VISUALSEARCH_COOKIES.",
        ),
    ] = None,
    event_rate: Annotated[
        float,
        typer.Option(
            help="Events a second that one visitor may send; an application's key 100 times as many. 0: no limit.",
            min=0,
        ),
    ] = 500.0,
    keep_events: Annotated[
        int | None,
        typer.Option(metavar="DAYS", help="Days after which events are forgotten; default: never.", min=1),
    ] = None,
    promote: Annotated[
        bool,
        typer.Option(
            "--promote", help="Show promoted pins among the results, labelled (see `visualsearch promote`)."
        ),
    ] = False,
    trust: Annotated[
        TrustMode,
        typer.Option(help="act: hide what is nearly surely spam; ask: only fill the queue of /review; off."),
    ] = TrustMode.ACT,
    swaps: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="The share of lists in which two neighbours may trade places, to learn how places are looked at.",
            min=0,
            max=1,
        ),
    ] = 0.0,
    explore: Annotated[
        float,
        typer.Option(
            metavar="SHARE", help="The share of a feed's slots in which fresh pins are tried.", min=0, max=0.5
        ),
    ] = 0.0,
    explore_floor: Annotated[
        float,
        typer.Option(metavar="LOOKS", help="Looks that each fresh pin gets before it is judged.", min=0),
    ] = 20.0,
    max_body: Annotated[int, typer.Option(help="Largest picture taken, in bytes.", min=1000)] = 20_000_000,
    max_pixels: MaxPixels = 50_000_000,
    memory: Memory = None,
    queue: Annotated[
        int, typer.Option(help="Picture queries that may wait; more are answered 429.", min=1)
    ] = 32,
    show: Annotated[bool, typer.Option("--open", help="Open the page in the web browser.")] = False,
    model: Model = None,
    device: Device = "auto",
    precision: PrecisionOption = "auto",
) -> None:
    """Serve an index: a web page to search with, and an HTTP API (described at /docs).

    Example: `visualsearch serve pins.index --open`
    """
    if new_key is not None:
        _make_key(folder, new_key, days, merchant_name, people)
        return
    from visualsearch.errors import MissingExtraError

    limit_pictures(memory)
    try:
        from visualsearch.server.run import run
        from visualsearch.server.settings import EXTENSION, Settings
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"serving needs {error.name}", "serve") from error

    def started(address: str) -> None:
        note(f"serving {folder} at {address} (API: {address}docs); stop with Ctrl-C")
        if show:
            typer.launch(address)

    settings = Settings(
        rate=rate,
        max_body=max_body,
        max_pixels=max_pixels,
        queue=queue,
        public=public,
        hosts=tuple(name.lower() for name in allow_host or ()),
        allow_private=allow_private,
        proxies=tuple(trust_proxy or ()),
        extensions=(EXTENSION, *(allow_extension or ())),
        people=people,
        event_rate=event_rate,
        event_days=keep_events,
        promote=promote,
        trust=trust.value,
        swaps=swaps,
        explore=explore,
        explore_floor=explore_floor,
    )
    run(folder, host, port, settings, started, encoder=model, device=device, precision=precision)


def serve_index(folder: Path, model: Any = None, port: int = 0) -> None:
    """Serve an index to this machine at a free port, and open its page in the web browser, until Ctrl-C."""
    from visualsearch.errors import MissingExtraError

    try:
        from visualsearch.server.run import run
        from visualsearch.server.settings import Settings
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"serving needs {error.name}", "serve") from error

    def started(address: str) -> None:
        note(f"serving {folder} at {address} (API: {address}docs); stop with Ctrl-C")
        typer.launch(address)

    run(folder, "127.0.0.1", port, Settings(), started, encoder=model)


def _make_key(
    folder: Path, scope: KeyScope, days: float | None, merchant: str | None, people: str | None
) -> None:
    from visualsearch.engine import Index
    from visualsearch.errors import UsageError
    from visualsearch.server.keys import FILE, Scope, new_key

    with Index.open(folder) as index:  # only an index gets keys
        index.people_address = people
        claims = index.people.domain_claims(merchant) if merchant is not None and index.has_people else []
        if merchant is not None and scope is KeyScope.INSIGHT and not any(each.verified for each in claims):
            raise UsageError(
                f"no key is made for {merchant!r}",
                "this merchant has proved no domain, so the key would see nothing",
                "Prove one first: visualsearch insight claim DIR DOMAIN --merchant NAME",
            )
        token = new_key(folder / FILE, Scope(scope.value), days, merchant)
    more = {
        KeyScope.ACT: "search and speak for people",
        KeyScope.INSIGHT: "search and see figures about people",
    }
    may = more.get(scope, scope.value)
    note(f"a key that may {may}; it is shown this once, {FILE} has its hash only.")
    note("A server that runs on this index already needs a key from now on, without a restart:")
    print(token)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)
