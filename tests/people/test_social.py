"""Follows, comments, profiles, connections, sites."""

from __future__ import annotations

import pytest

from visualsearch.errors import ConsentError, ForbiddenError, UnknownNameError, UsageError
from visualsearch.people import CommentState, People


def test_follows_of_persons_boards_and_topics(people: People) -> None:
    board = people.create_board("ada", "Kitchen")
    assert people.follow("bob", "person", "ada")
    assert not people.follow("bob", "person", "ada")
    assert people.follow("bob", "board", board.id)
    assert people.follow("bob", "topic", "Oak Furniture")
    assert set(people.follows("bob")) == {
        ("person", people.person("ada").pseudonym),
        ("board", board.id),
        ("topic", "oak furniture"),
    }
    assert people.followers("person", "ada") == 1
    assert people.unfollow("bob", "topic", "OAK furniture")
    assert not people.unfollow("bob", "topic", "oak furniture")
    with pytest.raises(UnknownNameError):
        people.follow("bob", "person", "nobody")
    with pytest.raises(UnknownNameError, match="kind"):
        people.follow("bob", "planet", "mars")


def test_comments_are_held_shown_reported_and_deleted(people: People) -> None:
    people.save("ada", "pin-1", board="K")
    said = people.comment("bob", "pin-1", "lovely, @ada. not @nobody, mail@ada.example")
    assert said.mentions == (people.person("ada").pseudonym,)
    held = people.comment("cy", "pin-1", "buy now", held=True)
    assert [c.id for c in people.comments("pin-1")] == [said.id]
    assert [c.id for c in people.comments("pin-1", viewer="cy")] == [said.id, held.id]
    people.report_comment("ada", said.id, "rude")
    assert people.comments("pin-1")[0].state == CommentState.REPORTED
    people.moderate(held.id, "shown")
    with pytest.raises(ForbiddenError):
        people.delete_comment("ada", said.id)
    people.delete_comment("bob", said.id)
    assert [c.id for c in people.comments("pin-1")] == [held.id]
    with pytest.raises(UnknownNameError):
        people.report_comment("ada", said.id)
    with pytest.raises(UnknownNameError):
        people.comment("ada", "nothing", "hello")
    for text in ("", "  ", "x" * 3000):
        with pytest.raises(UsageError):
            people.comment("ada", "pin-1", text)


def test_a_profile_holds_what_was_declared(people: People) -> None:
    people.declare("ada", locale="de-AT", interests=["oak", "tiles"], age_band="30-39")
    assert people.person("ada").profile == {
        "locale": "de-AT",
        "interests": ["oak", "tiles"],
        "age_band": "30-39",
    }
    people.declare("ada", age_band=None)
    assert "interests" not in people.declare("bob", locale="de", interests=[]).profile
    assert "age_band" not in people.person("ada").profile
    with pytest.raises(UnknownNameError):
        people.declare("ada", religion="x")
    with pytest.raises(UsageError):
        people.declare("ada", locale="x" * 500)
    people.consent("ada", profile=False)
    with pytest.raises(ConsentError):
        people.declare("ada", region="Tirol")


def test_connections_and_sites(people: People) -> None:
    assert people.connect("ada", "Mastodon", ["@bob@x.example", "@bob@x.example", "@cy@y.example"]) == 2
    assert people.connections("ada") == [("mastodon", "@bob@x.example"), ("mastodon", "@cy@y.example")]
    people.save("ada", "pin-1", board="K", site="https://shop.example/a")
    people.save("ada", "pin-2", board="K", site="http://www.shop.example/b")
    assert [(r["site"], r["visits"]) for r in people.export("ada")["sites"]] == [("shop.example", 2)]
    people.consent("ada", sites=False)
    assert people.save("ada", "pin-3", board="K", site="https://other.example").site is None


def test_keys_can_be_dropped(people: People) -> None:
    people.save("ada", "pin-1", board="K")
    name = people.person("ada").pseudonym
    assert people.drop_keys(["ada", "unknown"]) == 1
    with pytest.raises(UnknownNameError):
        people.person("ada")
    assert people.person(name).key is None
    assert people.boards(name)[0].title == "K"
