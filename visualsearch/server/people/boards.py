"""`/boards`: boards, their pins, sections and collaborators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from visualsearch.errors import UsageError
from visualsearch.people import Board, People

from ..openapi import json_body, refused
from ..reading import read_json
from ..schemas import PinOut
from ..sent import picture_url, pin_out
from ..service import Service
from .asking import SECURED, Caller, Named, ask, own, theirs
from .cursors import opened, page
from .saves import save_out
from .schemas import (
    BoardChanges,
    BoardIn,
    BoardOut,
    BoardPinsOut,
    BoardsOut,
    CollaboratorIn,
    MoveIn,
    RemovedOut,
    SaveOut,
    SectionIn,
)
from .served import answer_of, signer_of
from .words import PLAIN, After, K, part

routes = APIRouter(tags=["boards"], dependencies=[SECURED])
BoardId = Annotated[
    str,
    Path(alias="id", max_length=600, description="A board's id, or the title of one of the caller's own."),
]


def board_out(board: Board, covers: Sequence[str] = ()) -> BoardOut:
    """A board as it is sent; `covers` are pins that stand for it."""
    made = BoardOut.model_validate(board)
    made.covers = [picture_url(pin) for pin in covers]
    return made


@routes.get("/boards", responses=refused(404), summary="A person's boards")
async def list_boards(
    request: Request,
    person: Named = None,
    owner: Annotated[
        str | None, Query(max_length=200, pattern=PLAIN, description="A pseudonym; default: the caller.")
    ] = None,
    k: K = 50,
    cursor: After = None,
) -> BoardsOut:
    """Those that the caller may see, by id."""

    def work(people: People, who: Caller) -> BoardsOut:
        whose = theirs(who, owner) if owner else who.name
        place = f"boards {whose}"
        after = opened(signer_of(request), place, cursor)
        last = after[0] if after else None
        found = own(
            lambda: people.boards(whose, viewer=who.person, k=k + 1, after=last), unknown_too=owner is None
        )
        shown, more = page(signer_of(request), place, found, k, lambda board: [board.id])
        covers = people.covers([board.id for board in shown], viewer=who.person)
        return BoardsOut(boards=[board_out(each, covers.get(each.id, ())) for each in shown], cursor=more)

    return await ask(request, person, work)


@routes.post(
    "/boards",
    status_code=201,
    responses=refused(404, 409, 415, 507),
    openapi_extra=json_body(BoardIn),
    summary="Make a board",
)
async def create_board(request: Request, person: Named = None) -> BoardOut:
    """Of the caller's own."""
    given = await read_json(request, BoardIn)

    def work(people: People, who: Caller) -> BoardOut:
        options: dict[str, Any] = given.model_dump(exclude={"person", "title"})
        return board_out(people.create_board(who.name, given.title, **options))

    return await ask(request, given.person or person, work, changes=True)


@routes.get("/boards/{id}", responses=refused(404), summary="One board")
async def get_board(request: Request, name: BoardId, person: Named = None) -> BoardOut:
    """A secret one is not there for others than its owner and collaborators."""

    def work(people: People, who: Caller) -> BoardOut:
        board = people.board(part(name), viewer=who.person)
        return board_out(board, people.covers([board.id], viewer=who.person).get(board.id, ()))

    return await ask(request, person, work)


@routes.patch(
    "/boards/{id}",
    responses=refused(404, 409, 415, 507),
    openapi_extra=json_body(BoardChanges),
    summary="Change a board",
)
async def change_board(request: Request, name: BoardId, person: Named = None) -> BoardOut:
    """The fields that are named; only its owner may."""
    given = await read_json(request, BoardChanges)

    def work(people: People, who: Caller) -> BoardOut:
        changes = given.model_dump(exclude_unset=True, exclude={"person"})
        if not changes:
            raise UsageError("nothing is to change", "the body names no field", "Name what changes")
        if "cover" in changes:
            people.set_cover(who.name, part(name), changes.pop("cover"))
        board = people.change_board(who.name, part(name), **changes)
        return board_out(board, people.covers([board.id], viewer=who.person).get(board.id, ()))

    return await ask(request, given.person or person, work, changes=True)


@routes.delete("/boards/{id}", responses=refused(404, 507), summary="Delete a board")
async def delete_board(request: Request, name: BoardId, person: Named = None) -> RemovedOut:
    """With its saves; only its owner may."""

    def work(people: People, who: Caller) -> RemovedOut:
        people.delete_board(who.name, part(name))
        return RemovedOut(removed=True)

    return await ask(request, person, work, changes=True)


# -- pins ----------------------------------------------------------------------------------------------------------
@routes.get("/boards/{id}/pins", responses=refused(404), summary="A board's pins")
async def board_pins(
    request: Request,
    name: BoardId,
    person: Named = None,
    section: Annotated[str | None, Query(max_length=600, pattern=PLAIN)] = None,
    order: Annotated[
        str,
        Query(pattern="^(newest|oldest|own)$", description="newest or oldest first, or as they were put"),
    ] = "newest",
    gone: Annotated[bool, Query(description="Also pins that left the index.")] = False,
    k: K = 50,
    cursor: After = None,
) -> BoardPinsOut:
    """Pages stay right while pins come and go."""

    def work(people: People, who: Caller) -> BoardPinsOut:
        board = people.board(part(name), viewer=who.person).id
        place = f"pins {board} {section} {order} {gone}"
        after = opened(signer_of(request), place, cursor)
        wanted: dict[str, Any] = {"viewer": who.person, "section": section, "k": k + 1, "gone": gone}
        if order == "own":
            last = (float(after[0]), int(after[1])) if after else None
            placed = people.arranged(board, after=last, **wanted)
            ordered, more = page(signer_of(request), place, placed, k, lambda each: [each[0], each[1].id])
            shown = [save for _, save in ordered]
        else:
            oldest, before = order == "oldest", after[0] if after else None
            found = people.pins_of(board, after=before, oldest=oldest, **wanted)
            shown, more = page(signer_of(request), place, found, k, lambda save: [save.id])
        pins = _known(request, [save.pin for save in shown if not save.gone])
        return BoardPinsOut(saves=[save_out(save) for save in shown], cursor=more, pins=pins)

    found = await ask(request, person, work)
    found.answer = await answer_of(request)
    return found


@routes.patch(
    "/boards/{id}/pins/{pin}",
    responses=refused(404, 409, 415, 507),
    openapi_extra=json_body(MoveIn),
    summary="Move a pin",
)
async def move_pin(
    request: Request, name: BoardId, pin: Annotated[str, Path(max_length=12_288)], person: Named = None
) -> SaveOut:
    """To another board, to another section or place of the same; or note something on it."""
    given = await read_json(request, MoveIn)
    named = given.model_fields_set - {"person"}

    def work(people: People, who: Caller) -> SaveOut:
        place, moving = part(name), part(pin)
        if named & {"to", "section"} or not named:
            moved = people.move(who.name, moving, board=place, to=given.to or place, section=given.section)
            place = moved.board
        if "note" in named:
            moved = people.annotate(who.name, moving, board=place, note=given.note)
        if "before" in named:
            moved = people.arrange(who.name, moving, board=place, before=given.before)
        return save_out(moved)

    return await ask(request, given.person or person, work, changes=True)


@routes.delete("/boards/{id}/pins/{pin}", responses=refused(404, 507), summary="Take a pin off a board")
async def remove_pin(
    request: Request, name: BoardId, pin: Annotated[str, Path(max_length=12_288)], person: Named = None
) -> RemovedOut:
    """Who saved it may, and the board's owner."""

    def work(people: People, who: Caller) -> RemovedOut:
        return RemovedOut(removed=people.unsave(who.name, part(pin), board=part(name)))

    return await ask(request, person, work, changes=True)


def _known(request: Request, names: Sequence[str]) -> list[PinOut]:
    """What the index knows of pins."""
    serving: Service = request.app.state.service
    with serving.index.catalog.read() as reader:
        found = [reader.by_id(name) for name in names]
    return [pin_out(pin) for pin in found if pin is not None]


# -- sections and collaborators ------------------------------------------------------------------------------------
@routes.post(
    "/boards/{id}/sections",
    responses=refused(404, 409, 415, 507),
    openapi_extra=json_body(SectionIn),
    summary="Give a board a section",
)
async def add_section(request: Request, name: BoardId, person: Named = None) -> BoardOut:
    """One of that title that exists stays as it is."""
    given = await read_json(request, SectionIn)

    def work(people: People, who: Caller) -> BoardOut:
        return board_out(people.add_section(who.name, part(name), given.title))

    return await ask(request, given.person or person, work, changes=True)


@routes.delete("/boards/{id}/sections/{title}", responses=refused(404, 507), summary="Take a section away")
async def remove_section(
    request: Request, name: BoardId, title: Annotated[str, Path(max_length=2000)], person: Named = None
) -> BoardOut:
    """Its pins stay on the board."""

    def work(people: People, who: Caller) -> BoardOut:
        return board_out(people.remove_section(who.name, part(name), part(title)))

    return await ask(request, person, work, changes=True)


@routes.post(
    "/boards/{id}/collaborators",
    responses=refused(404, 409, 415, 507),
    openapi_extra=json_body(CollaboratorIn),
    summary="Invite a collaborator",
)
async def invite(request: Request, name: BoardId, person: Named = None) -> BoardOut:
    """They see the board, save to it and take from it. Only its owner may invite."""
    given = await read_json(request, CollaboratorIn)

    def work(people: People, who: Caller) -> BoardOut:
        return board_out(people.invite(who.name, part(name), theirs(who, given.collaborator)))

    return await ask(request, given.person or person, work, changes=True)


@routes.delete(
    "/boards/{id}/collaborators/{collaborator}", responses=refused(404, 507), summary="End a collaboration"
)
async def dismiss(
    request: Request, name: BoardId, collaborator: Annotated[str, Path(max_length=600)], person: Named = None
) -> RemovedOut:
    """The owner may, and the collaborator themselves."""

    def work(people: People, who: Caller) -> RemovedOut:
        other = theirs(who, part(collaborator))
        return RemovedOut(removed=people.dismiss(who.name, part(name), other))

    return await ask(request, person, work, changes=True)
