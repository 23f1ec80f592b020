"""Boards, saves and who may see them."""

from __future__ import annotations

from typing import Any

import pytest

from visualsearch.errors import ConflictError, ForbiddenError, UnknownNameError, UsageError
from visualsearch.people import BoardKind, People

from .conftest import Clock, FakePins, Opener


def ids(saves: Any) -> list[str]:
    return [save.pin for save in saves]


def test_a_save_makes_the_person_and_the_board_and_is_there_after_reopening(opened: Opener) -> None:
    first = opened()
    save = first.save(
        "ada", "pin-1", board="Kitchen", note="the oak one", site="https://www.Shop.example/x?y"
    )
    assert (save.pin, save.number, save.note, save.site) == ("pin-1", 1, "the oak one", "shop.example")
    again = opened()
    assert ids(again.pins_of(save.board)) == ["pin-1"]
    board = again.boards("ada")[0]
    assert (board.title, board.saves, board.secret, board.owner) == ("Kitchen", 1, False, save.person)
    assert again.person("ada").pseudonym == save.person != "ada"
    assert again.person(save.person).key == "ada"


def test_saving_twice_is_one_save_and_titles_are_compared_without_case(people: People) -> None:
    first = people.save("ada", "pin-1", board="Küche")
    assert people.save("ada", "pin-1", board="KÜCHE").id == first.id
    assert len(people.boards("ada")) == 1
    assert [e["kind"] for e in people.events_of("ada")] == ["save"]


def test_unknown_pins_boards_and_persons_are_refused(people: People) -> None:
    with pytest.raises(UnknownNameError, match="pin"):
        people.save("ada", "nothing", board="Kitchen")
    with pytest.raises(UnknownNameError, match="person"):
        people.boards("nobody")
    with pytest.raises(UnknownNameError, match="board"):
        people.board("b0000")
    with pytest.raises(UnknownNameError, match="save"):
        people.save("ada", "pin-1", board="Kitchen", repin_of=99)
    assert people.count() == 0  # the save that failed left nothing


def test_a_secret_board_is_nowhere_but_with_its_owner_and_collaborators(people: People) -> None:
    board = people.create_board("ada", "Surprise", secret=True)
    save = people.save("ada", "pin-1", board=board.id)
    people.save("bob", "pin-2", board="Open")
    for viewer in (None, "bob", "stranger"):
        with pytest.raises(UnknownNameError):
            people.board(board.id, viewer=viewer)
        with pytest.raises(UnknownNameError):
            people.pins_of(board.id, viewer=viewer)
        with pytest.raises(UnknownNameError):
            people.chain(save.id, viewer=viewer)
        assert people.boards("ada", viewer=viewer) == []
        assert people.saves_of("pin-1", viewer=viewer) == []
    with pytest.raises(UnknownNameError):
        people.save("bob", "pin-3", board="Mine", repin_of=save.id)
    with pytest.raises(UnknownNameError):
        people.follow("bob", "board", board.id)
    assert people.save_counts(["pin-1", "pin-2"]) == {"pin-1": 0, "pin-2": 1}
    assert ids(people.saves_of("pin-1", viewer="ada")) == ["pin-1"]
    people.invite("ada", board.id, "bob")
    assert people.board(board.id, viewer="bob").saves == 1
    people.save("bob", "pin-2", board=board.id)
    assert ids(people.pins_of(board.id, viewer="ada")) == ["pin-2", "pin-1"]
    assert people.dismiss("ada", board.id, "bob")
    with pytest.raises(UnknownNameError):
        people.board(board.id, viewer="bob")


def test_another_persons_board_cannot_be_changed(people: People) -> None:
    board = people.create_board("ada", "Kitchen")
    people.save("ada", "pin-1", board=board.id)
    people.save("bob", "pin-9", board="Own")
    with pytest.raises(ForbiddenError, match="Kitchen"):
        people.save("bob", "pin-2", board=board.id)
    with pytest.raises(ForbiddenError):
        people.unsave("bob", "pin-1", board=board.id)
    with pytest.raises(ForbiddenError):
        people.change_board("bob", board.id, title="Mine now")
    with pytest.raises(ForbiddenError):
        people.delete_board("bob", board.id)
    with pytest.raises(ForbiddenError):
        people.invite("bob", board.id, "bob")
    assert ids(people.pins_of(board.id)) == ["pin-1"]


@pytest.mark.parametrize("title", ["", " \t ", "x" * 10_000, "\x00\x01"])
def test_titles_that_cannot_be_kept_are_refused(lite: People, title: str) -> None:
    with pytest.raises(UsageError, match="title"):
        lite.create_board("ada", title)


@pytest.mark.parametrize(
    "title", ["<script>alert(1)</script>", "مطبخ", "厨房 🍳", "Robert'); DROP TABLE saves;--"]
)
def test_titles_in_any_script_are_kept_as_they_are(people: People, title: str) -> None:
    assert people.create_board("ada", title).title == title
    assert people.board(title, viewer="ada").title == title


def test_sections_moves_and_changes(people: People) -> None:
    board = people.create_board("ada", "House", kind="project", ends=5, sections=["Floor", "Walls"])
    assert (board.kind, board.ends, board.sections) == (BoardKind.PROJECT, 5, ("Floor", "Walls"))
    people.save("ada", "pin-1", board="House", section="walls")
    assert people.pins_of(board.id, section="Walls")[0].section == "Walls"
    people.create_board("ada", "Garden")
    moved = people.move("ada", "pin-1", board="House", to="Garden", section="Trees")
    assert (moved.section, people.board(board.id).saves) == ("Trees", 0)
    people.remove_section("ada", "Garden", "Trees")
    assert people.pins_of(moved.board)[0].section is None
    with pytest.raises(UnknownNameError, match="section"):
        people.remove_section("ada", "Garden", "Trees")
    with pytest.raises(ConflictError):
        people.change_board("ada", board.id, title="GARDEN")
    with pytest.raises(UsageError, match="end"):
        people.change_board("ada", "Garden", ends=7)
    assert people.change_board("ada", board.id, secret=True, kind="interest", ends=None).secret
    with pytest.raises(UnknownNameError):
        people.move("ada", "pin-7", board="Garden", to="House")


def test_pages_of_a_board_go_by_the_last_save(people: People) -> None:
    for number in range(7):
        board = people.save("ada", f"pin-{number}", board="Kitchen").board
    first = people.pins_of(board, k=3)
    people.save("ada", "pin-50", board=board)
    second = people.pins_of(board, k=3, after=first[-1].id)
    assert ids(first) + ids(second) == [f"pin-{n}" for n in (6, 5, 4, 3, 2, 1)]


def test_chains_of_repins_are_followed_and_survive_the_loss_of_a_link(people: People) -> None:
    first = people.save("ada", "pin-1", board="A")
    second = people.save("bob", "pin-1", board="B", repin_of=first.id)
    third = people.save("cy", "pin-1", board="C", repin_of=second.id)
    assert [s.id for s in people.chain(third.id)] == [first.id, second.id, third.id]
    people.unsave("bob", "pin-1", board="B")
    assert [s.id for s in people.chain(third.id)] == [first.id, third.id]
    people.delete_board("ada", "A")
    assert [s.id for s in people.chain(third.id)] == [third.id]


def test_saves_outlive_their_pin_and_come_back_with_the_same_picture(
    people: People, pins: FakePins, clock: Clock
) -> None:
    board = people.save("ada", "pin-1", board="Kitchen").board
    people.save("ada", "pin-2", board="Kitchen")
    del pins.held["pin-1"]
    assert people.reconcile() == {"gone": 1, "restored": 0}
    assert ids(people.pins_of(board)) == ["pin-2"]
    assert [(s.pin, s.gone) for s in people.pins_of(board, gone=True)] == [("pin-2", False), ("pin-1", True)]
    assert people.reconcile() == {"gone": 0, "restored": 0}
    pins.add("pin-1", 900, b"another picture under the old id")
    assert people.reconcile() == {"gone": 0, "restored": 0}
    pins.add("renamed", 901, b"pin-1")  # the hash of the picture that was removed
    assert people.reconcile() == {"gone": 0, "restored": 1}
    back = people.pins_of(board)[-1]
    assert (back.pin, back.number, back.gone) == ("renamed", 901, False)


def test_a_renamed_pin_keeps_its_saves_in_one_pass(people: People, pins: FakePins) -> None:
    board = people.save("ada", "pin-1", board="Kitchen").board
    del pins.held["pin-1"]
    pins.add("new-name", 1, b"pin-1")
    assert people.reconcile() == {"gone": 1, "restored": 1}
    assert ids(people.pins_of(board)) == ["new-name"]


def test_many_threads_save_at_once_and_each_save_is_there(people: People) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda n: people.save(f"p{n % 8}", f"pin-{n}", board="All"), range(120)))
    assert len({save.id for save in made}) == 120
    assert sum(board.saves for n in range(8) for board in people.boards(f"p{n}")) == 120
