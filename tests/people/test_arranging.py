"""The own order of a board, notes, covers."""

from __future__ import annotations

import random

import pytest

from visualsearch.errors import ForbiddenError, UnknownNameError
from visualsearch.people import People


def order(people: People, board: str) -> list[str]:
    return [save.pin for _, save in people.arranged(board, viewer="ada")]


def filled(people: People, count: int = 5) -> str:
    saved = [people.save("ada", f"pin-{n}", board="Kitchen") for n in range(1, count + 1)]
    return saved[0].board


def test_pins_stand_where_they_are_put_and_new_ones_come_first(people: People) -> None:
    board = filled(people)
    assert order(people, board) == ["pin-5", "pin-4", "pin-3", "pin-2", "pin-1"]
    people.arrange("ada", "pin-1", board=board, before="pin-4")
    people.arrange("ada", "pin-5", board=board)
    people.arrange("ada", "pin-3", board=board, before="pin-1")
    assert order(people, board) == ["pin-3", "pin-1", "pin-4", "pin-2", "pin-5"]
    people.arrange("ada", "pin-2", board=board, before="pin-3")
    people.save("ada", "pin-6", board=board)
    assert order(people, board) == ["pin-6", "pin-2", "pin-3", "pin-1", "pin-4", "pin-5"]


def test_any_number_of_moves_gives_the_order_that_a_list_would_have(people: People) -> None:
    board = filled(people, 6)
    wanted = order(people, board)
    chance = random.Random(4)
    for step in range(150):
        # Half of the moves press into the same gap, which runs out of numbers after about fifty.
        pin, before = (wanted[2], wanted[1]) if step % 2 else chance.sample(wanted, 2)
        wanted.remove(pin)
        wanted.insert(wanted.index(before), pin)
        people.arrange("ada", pin, board=board, before=before)
        assert order(people, board) == wanted
    people.save("ada", "pin-7", board=board)
    assert order(people, board) == ["pin-7", *wanted]


def test_pages_of_the_own_order_repeat_nothing(people: People) -> None:
    board = filled(people, 7)
    people.arrange("ada", "pin-2", board=board, before="pin-6")
    pages, after = [], None
    while page := people.arranged(board, viewer="ada", k=3, after=after):
        pages += [save.pin for _, save in page]
        after = (page[-1][0], page[-1][1].id)
    assert pages == order(people, board)


def test_a_note_is_changed_by_who_wrote_it_or_owns_the_board(people: People) -> None:
    board = filled(people)
    assert people.annotate("ada", "pin-1", board=board, note="the oak one").note == "the oak one"
    with pytest.raises(ForbiddenError):
        people.annotate("bob", "pin-1", board=board, note="mine")
    with pytest.raises(UnknownNameError):
        people.arrange("ada", "pin-9", board=board)


def test_a_board_shows_its_chosen_pin_and_its_newest(people: People) -> None:
    board = filled(people, 6)
    assert people.covers([board]) == {board: ["pin-6", "pin-5", "pin-4", "pin-3"]}
    people.set_cover("ada", board, "pin-1")
    assert people.covers([board]) == {board: ["pin-1", "pin-6", "pin-5", "pin-4"]}
    people.unsave("ada", "pin-1", board=board)
    assert people.covers([board])[board][0] == "pin-6"
    people.change_board("ada", board, secret=True)
    assert people.covers([board]) == {}
    assert len(people.covers([board], viewer="ada")[board]) == 4
