"""A feed: what it is made from, what it never shows, and that its reasons are true."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import visualsearch as vs
from visualsearch.cli import app
from visualsearch.errors import ConsentError, UsageError
from visualsearch.people import Event
from visualsearch.ranking import BY_COSINE, Candidates, Context
from visualsearch.recommend import FeedRanker, Kind, Topics, feed, interests_of, personal_term, topics_of
from visualsearch.recommend import cursor as cursors
from visualsearch.recommend.habits import habits_of
from visualsearch.recommend.interests import _sampled
from visualsearch.recommend.items import items_of
from visualsearch.recommend.mixing import FEED, Signals
from visualsearch.recommend.sensitive import FILE
from visualsearch.types import Hits

from ..fakes import FakeEncoder
from .conftest import picture

DAY = 86_400_000


def plain(hits: Hits) -> str:
    """All that an answer says, but for how long it took."""
    return json.dumps([[hit.to_dict() for hit in hits], hits.total, hits.plan, hits.cursor, hits.notes])


def medoids(index: vs.Index, person: str) -> set[str]:
    found = interests_of(index, person)
    return set() if found is None else set(found.pins)


# -- the page ------------------------------------------------------------------------------------------------------
def test_a_feed_shows_what_fits_and_nothing_that_was_saved(pins: vs.Index) -> None:
    hits = pins.feed("ada", k=12)
    assert hits.plan == "personal"
    assert not {f"kitchen-{n}" for n in range(4)} & set(hits.ids)
    kitchen = sum(not name.startswith("garden") for name in hits.ids[:6])
    assert kitchen >= 5
    assert len(set(hits.ids)) == 12


def test_every_pin_has_a_reason_whose_evidence_can_be_computed_again(pins: vs.Index) -> None:
    pins.people.follow("ada", "board", next(iter(pins.people.boards("person-1"))).id)
    hits = [*pins.feed("ada", k=20), *pins.feed(k=20)]
    items = items_of(pins)
    kinds = set()
    for hit in hits:
        why = hit.why
        assert why is not None
        assert why.sentence
        assert why.evidence
        kinds.add(why.kind)
        if why.kind == "interest":
            own = pins.vectors([hit.id, *(each.id for each in why.evidence)])
            own = own / np.linalg.norm(own, axis=1, keepdims=True)
            assert [each.weight for each in why.evidence] == pytest.approx(
                (own[1:] @ own[0]).tolist(), abs=1e-3
            )
            assert {each.id for each in why.evidence} <= medoids(pins, "ada")
        elif why.kind == "popular":
            assert why.evidence[0].weight == pins.people.save_counts([hit.id])[hit.id]
        elif why.kind == "follow":
            board = next(each.id for each in why.evidence if each.kind == "board")
            assert hit.id in {save.pin for save in pins.people.pins_of(board)}
        elif why.kind in ("together", "near") and why.evidence[0].kind == "pin":
            assert items is not None
            rows, known = items.scores([each.id for each in why.evidence])
            assert len(known) == len(why.evidence)
            assert (rows[:, [items.at[hit.id]]].toarray() > 0).all()
        elif why.kind in ("together", "near"):
            links = pins.people.board_links([each.id for each in why.evidence])
            assert all(hit.id in held for held in links.values())
    assert {"interest", "popular"} <= kinds


def test_twenty_pages_repeat_nothing_while_the_index_changes(pins: vs.Index) -> None:
    shown: list[str] = []
    cursor = None
    for page in range(20):
        hits = pins.feed("ada", k=2, cursor=cursor)
        shown += hits.ids
        cursor = hits.cursor
        if page == 5:
            pins.add([{"id": f"new-{n}", "image": picture(500 + n)} for n in range(3)])
        if page == 8:
            pins.remove([shown[0], "garden-19"])
    assert len(shown) == 40 == len(set(shown))


def test_caps_hold_on_each_of_twenty_pages_and_nothing_comes_twice(tmp_path: Path) -> None:
    with vs.create(tmp_path / "pins.index", FakeEncoder()) as index:
        kinds = [(f"{kind}-{n}", picture(at, n)) for at, kind in enumerate("abc", 1) for n in range(100)]
        index.add([{"id": name, "image": array} for name, array in kinds])
        for kind in "abc":
            for n in range(3):
                index.people.save("ada", f"{kind}-{n}", board=f"Board {kind}")
        for n in range(60):
            index.people.save("loud", f"{'abc'[n % 3]}-{n + 30}", board="Everything")
        index.people.follow("ada", "board", index.people.boards("loud")[0].id)
        shown: list[str] = []
        cursor = None
        for page in range(20):
            hits = index.feed("ada", k=10, cursor=cursor)
            cursor = hits.cursor
            shown += hits.ids
            brought = sum(hit.why is not None and hit.why.kind == "follow" for hit in hits)
            assert brought <= FeedRanker().each
            if page < 10:  # later one of the kinds is used up
                assert max(Counter(name[0] for name in hits.ids).values()) <= 4
        assert len(shown) == 200 == len(set(shown))


def test_every_list_has_an_id_that_events_name(pins: vs.Index) -> None:
    lists = [
        pins.feed("ada", k=3),
        pins.related("kitchen-0"),
        pins.ideas("Kitchen", person="ada"),
        pins.feed(),
    ]
    assert len({hits.answer for hits in lists}) == 4
    page = lists[0]
    (verdict,) = pins.people.record([Event("click", "ada", page.ids[2], answer=page.answer, slot=2)])
    assert verdict.reason == ""
    assert pins.people.events_of("ada")[0]["answer"] == page.answer
    assert replace(page) == page


def test_the_last_page_has_no_cursor(pins: vs.Index) -> None:
    assert pins.feed("ada", k=200).cursor is None
    assert pins.feed("ada", k=5).cursor is not None


def test_a_hide_a_save_and_a_skip_count_for_the_next_page(pins: vs.Index) -> None:
    first = pins.feed("ada", k=5)
    pins.people.record([Event("hide", "ada", first.ids[0])])
    pins.people.save("ada", first.ids[1], board="Kitchen")
    again = pins.feed("ada", k=10)
    assert not {first.ids[0], first.ids[1]} & set(again.ids)
    for _ in range(3):
        pins.people.record([Event("impression", "ada", first.ids[2], surface="feed")])
    assert first.ids[2] not in pins.feed("ada", k=45).ids


def test_what_was_passed_over_makes_its_interest_smaller(pins: vs.Index) -> None:
    own = ["kitchen-0", "cold-0", "kitchen-5", "cold-5"]
    for name in own:
        pins.people.save("fay", name, board="Things")
    others = [f"garden-{n}" for n in range(20)]
    nearest = (pins.vectors(others) @ pins.vectors(own).T).argmax(1)
    near = [name for name, at in zip(others, nearest.tolist(), strict=True) if at >= 2]

    def share() -> float:
        found = interests_of(pins, "fay")
        assert found is not None
        return sum(i.importance for i in found.items if i.medoid in own[2:])

    assert share() == pytest.approx(0.5, abs=0.01)
    pins.people.record([Event("impression", "fay", name, surface="feed") for name in near])
    assert len(near) > 5
    assert share() < 0.48


def test_less_of_this_undoes_just_its_evidence(pins: vs.Index) -> None:
    hit = next(h for h in pins.feed("ada", k=20) if h.why is not None and h.why.kind == "interest")
    assert hit.why is not None
    gone = {each.id for each in hit.why.evidence}
    before = medoids(pins, "ada")
    pins.less("ada", hit)
    assert medoids(pins, "ada") == before - gone
    assert hit.id not in pins.feed("ada", k=45).ids
    assert gone <= {save.pin for save in pins.people.pins_of("Kitchen", viewer="ada")}, "they stay saved"
    for name in gone:
        pins.people.unsave("ada", name, board="Kitchen")
        pins.people.save("ada", name, board="Kitchen")
    assert medoids(pins, "ada") == before, "saved again, they count again"


def test_less_of_a_followed_board_ends_what_it_brings(pins: vs.Index) -> None:
    board = next(iter(pins.people.boards("person-1"))).id
    pins.people.follow("bob", "board", board)
    hit = next(h for h in pins.feed("bob", k=20) if h.why is not None and h.why.kind == "follow")
    pins.less("bob", hit)
    assert all(h.why is not None and h.why.kind != "follow" for h in pins.feed("bob", k=20))
    assert pins.people.follows("bob") == [("board", board)]


def test_less_is_refused_where_nothing_may_be_kept(pins: vs.Index) -> None:
    hit = pins.feed("ada", k=1)[0]
    pins.people.pause("ada")
    with pytest.raises(ConsentError):
        pins.less("ada", hit)


# -- who -----------------------------------------------------------------------------------------------------------
def test_who_is_unknown_or_opted_out_gets_byte_for_byte_what_everybody_gets(pins: vs.Index) -> None:
    nobody = plain(pins.feed(k=10))
    assert plain(pins.feed("stranger", k=10)) == nobody
    pins.people.consent("bob", "off")
    assert plain(pins.feed("bob", k=10)) == nobody
    pins.people.declare("newcomer")
    assert plain(pins.feed("newcomer", k=10)) == nobody


def test_consent_withdrawn_between_two_pages_makes_the_next_one_anonymous(pins: vs.Index) -> None:
    first = pins.feed("ada", k=5)
    pins.people.consent("ada", "off")
    second = pins.feed("ada", k=5, cursor=first.cursor)
    assert plain(second) == plain(pins.feed(k=5, cursor=first.cursor))
    assert second.plan == "anonymous"
    assert not set(first.ids) & set(second.ids)
    assert interests_of(pins, "ada") is None


def test_who_was_forgotten_leaves_nothing_behind(pins: vs.Index) -> None:
    from visualsearch.recommend.interests import _kept

    pins.feed("ada", k=5)
    assert "ada" in _kept(pins)
    pins.people.forget("ada")
    assert pins.feed("ada", k=5).plan == "anonymous"
    assert "ada" not in _kept(pins)


def test_a_new_person_gets_the_neighbourhood_of_what_they_looked_at(pins: vs.Index) -> None:
    pins.people.record([Event("click", "eve", "cold-3", surface="feed")])
    hits = pins.feed("eve", k=6)
    assert hits.plan == "personal"
    assert "kitchen-3" in hits.ids[:3]
    assert "cold-3" not in hits.ids


def test_an_index_without_people_still_has_a_feed(tmp_path: Path) -> None:
    with vs.create(tmp_path / "alone.index", FakeEncoder()) as index:
        assert len(index.feed()) == 0
        index.add([{"id": f"pin-{n}", "image": picture(n)} for n in range(12)])
        hits = index.feed("ada", k=5)
        assert len(hits) == 5
        assert all(hit.why is not None and hit.why.kind == "other" for hit in hits)
        assert not (index.folder / "people.sqlite").exists()


def test_a_walk_that_no_board_explains_any_more_brings_nothing(pins: vs.Index) -> None:
    def together() -> dict[str, set[str]]:
        hits = feed(pins, "ada", 40, ranker=FeedRanker(walk=5.0))
        told = {hit.id: hit.why for hit in hits if hit.why is not None}
        assert len(told) == len(hits)
        return {
            name: {each.id for each in why.evidence}
            for name, why in told.items()
            if {each.kind for each in why.evidence} == {"board"}
        }

    walked = together()
    assert walked
    for name, held in walked.items():
        links = pins.people.board_links(sorted(held))
        assert all(name in each for each in links.values())
    people = pins.people
    for who in range(30):
        for board in people.boards(f"person-{who}", viewer=f"person-{who}"):
            people.change_board(f"person-{who}", board.id, secret=True)
    assert together() == {}


def test_follows_bring_public_saves_only(pins: vs.Index) -> None:
    board = next(iter(pins.people.boards("person-1"))).id
    pins.people.follow("bob", "board", board)
    assert any(hit.why is not None and hit.why.kind == "follow" for hit in pins.feed("bob", k=20))
    pins.people.change_board("person-1", board, secret=True)
    assert all(hit.why is not None and hit.why.kind != "follow" for hit in pins.feed("bob", k=20))


# -- interests -----------------------------------------------------------------------------------------------------
def project(pins: vs.Index, **options: object) -> str:
    board = pins.people.create_board("carl", "Shed", kind="project", **options)  # type: ignore[arg-type]
    for n in range(4):
        pins.people.save("carl", f"kitchen-{n}", board=board.id)
        pins.people.save("carl", f"garden-{n}", board="Flowers")
    return board.id


def test_a_project_and_leisure_are_told_apart_with_their_evidence(pins: vs.Index) -> None:
    project(pins)
    found = interests_of(pins, "carl")
    assert found is not None
    assert sum(item.importance for item in found.items) == pytest.approx(1)
    for item in found.items:
        assert item.medoid in {each.id for each in item.evidence}
        assert sum(each.weight for each in item.evidence) == pytest.approx(1)
    assert {item.kind for item in found.items} == {Kind.PROJECT, Kind.LEISURE}


def test_a_project_that_ended_recommends_nothing(pins: vs.Index) -> None:
    now = pins.people.now()
    board = project(pins, ends=now + DAY)
    pins.people.record([Event("click", "carl", "cold-2", at=now - 2 * DAY)])  # it looks like kitchen-2
    assert {"kitchen-0", "cold-2"} <= medoids(pins, "carl")
    pins.people.change_board("carl", board, ends=now - DAY)
    assert medoids(pins, "carl") == {f"garden-{n}" for n in range(4)}
    pins.people.record([Event("click", "carl", "cold-1")])  # taken up anew, it counts again
    assert "cold-1" in medoids(pins, "carl")


def test_a_purchase_ends_its_project_and_is_not_shown_again(pins: vs.Index) -> None:
    project(pins)
    pins.people.record([Event("purchase", "carl", "cold-2", value=9.0, currency="EUR")])
    assert medoids(pins, "carl") == {f"garden-{n}" for n in range(4)}
    assert "cold-2" not in pins.feed("carl", k=45).ids


def test_a_board_that_went_silent_fades(pins: vs.Index) -> None:
    project(pins)
    now = pins.people.now()

    def share(at: int) -> float:
        found = interests_of(pins, "carl", at)
        assert found is not None
        return sum(
            each.weight * item.importance
            for item in found.items
            for each in item.evidence
            if each.id.startswith("kitchen")
        )

    assert share(now) == pytest.approx(0.5, abs=0.02)
    assert share(now + 60 * DAY) < 0.1


def test_secret_boards_and_sensitive_topics_are_never_used_to_push(pins: vs.Index) -> None:
    pins.people.create_board("dora", "Wedding flowers")
    pins.people.create_board("dora", "Surprise", secret=True)
    pins.people.save("dora", "garden-1", board="Wedding flowers")
    pins.people.save("dora", "garden-2", board="Surprise")
    pins.people.save("dora", "kitchen-1", board="Cooking")
    assert medoids(pins, "dora") == {"kitchen-1"}


def test_the_owner_edits_the_list_of_topics(pins: vs.Index) -> None:
    assert topics_of(pins.folder).names("Our WEDDINGS, 2026")
    assert not topics_of(pins.folder).names("dietary")
    (pins.folder / FILE).write_text("# mine\nkitchen\npin: garden-5\n", encoding="utf-8")
    assert topics_of(pins.folder) == Topics(("kitchen",), ("garden-5",))
    ids = pins.feed("ada", k=45).ids
    assert ids
    assert not any(name.startswith("kitchen") for name in ids)
    assert "garden-5" not in ids
    assert "kitchen-7" in pins.related("kitchen-6", k=40).ids, "who asks is answered"


def test_a_removed_pin_takes_its_evidence_along(pins: vs.Index) -> None:
    assert "kitchen-1" in medoids(pins, "ada")
    pins.remove(["kitchen-1"])
    assert "kitchen-1" not in medoids(pins, "ada")
    evidence = {each.id for hit in pins.feed("ada", k=20) if hit.why for each in hit.why.evidence}
    assert "kitchen-1" not in evidence


def test_of_very_many_saves_the_weightiest_and_a_sample_count() -> None:
    weights = {f"pin-{n:06d}": 1 / (n + 1) for n in range(100_000)}
    names = _sampled(weights)
    assert len(names) == 400 == len(set(names))
    assert names[:200] == [f"pin-{n:06d}" for n in range(200)]
    assert names[-1] == "pin-099999"


# -- the ranker and the cursor -------------------------------------------------------------------------------------
def signals(n: int) -> Signals:
    zero = np.zeros(n, np.float32)
    return Signals(
        np.linspace(1, 0.5, n, dtype=np.float32),
        np.arange(n) % 3,
        zero,
        zero,
        zero,
        zero,
        zero,
        np.zeros(n, bool),
        zero,
        zero,
    )


def order(given: Signals, k: int, **changes: float) -> list[int]:
    n = len(given.interest)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(n, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ranker = replace(FeedRanker(diversity=0), **changes)  # type: ignore[arg-type]
    ranking = ranker.rank(
        Candidates.of(given.interest, vectors=vectors), Context(k=k, data={FEED: given})
    ).checked(n)
    return ranking.order[:k].tolist()


def test_no_interest_fills_a_page_while_there_are_others() -> None:
    given = replace(signals(60), group=np.array([0] * 40 + [1] * 10 + [2] * 10))
    page = order(given, 10)
    assert sum(at < 40 for at in page) == 4


def test_followed_boards_are_capped() -> None:
    given = replace(signals(60), source=tuple(["loud"] * 30 + [""] * 30))
    assert sum(at < 30 for at in order(given, 10)) == 3


def test_new_pins_have_their_slots() -> None:
    fresh = np.zeros(60, np.float32)
    fresh[50:] = 0.5
    page = order(replace(signals(60), fresh=fresh), 20, fresh=0.0)
    assert sum(at >= 50 for at in page) == 2


def test_hidden_kinds_come_last() -> None:
    hidden = np.zeros(30, np.float32)
    hidden[:10] = 1
    assert not set(order(replace(signals(30), hidden=hidden), 10)) & set(range(10))


def test_a_cursor_names_pins_alone_and_a_damaged_one_is_refused(pins: vs.Index) -> None:
    pages = [[5, 900, 12], [7], [1 << 40]]
    assert cursors.read(cursors.written(pages)) == [[5, 12, 900], [7], [1 << 40]]
    many = [list(range(page * 25_000, page * 25_000 + 25_000, 1000)) for page in range(30)]
    assert len(cursors.read(cursors.written(many))) == cursors.PAGES
    assert len(cursors.written(many[:20])) < 2000
    for text in ("x", "!!!", cursors.written(pages)[:-4], "A" * 200_000):
        with pytest.raises(UsageError):
            pins.feed("ada", cursor=text)
    for k in (0, 201):
        with pytest.raises(UsageError):
            pins.feed("ada", k=k)


# -- a search that knows who asks ----------------------------------------------------------------------------------
def test_a_search_of_somebody_unknown_is_byte_for_byte_the_anonymous_one(pins: vs.Index) -> None:
    asked = {"image": picture(3, noise=77), "k": 10}
    nobody = plain(pins.search(**asked))
    assert plain(pins.search(**asked, person="stranger")) == nobody
    pins.people.consent("bob", "off")
    assert plain(pins.search(**asked, person="bob")) == nobody
    assert plain(pins.search(**asked, person="ada", personal=0)) == nobody


def test_the_personal_term_is_bounded_and_leaves_filters_and_exact_matches_alone(pins: vs.Index) -> None:
    asked = {"image": picture(3, noise=77), "k": 48}
    before = pins.search(**asked)
    score = {hit.id: hit.score for hit in before}
    for strength in (0.02, 0.2):
        after = pins.search(**asked, person="ada", personal=strength)
        assert set(after.ids) == set(before.ids)
        assert {hit.id: hit.score for hit in after} == score
        for earlier, later in zip(after.ids, after.ids[1:], strict=False):
            assert score[later] - score[earlier] <= 2 * strength + 1e-6
        assert all(hit.why is not None for hit in after)
    assert pins.search(image=picture(105), k=5, person="ada", personal=1.0).ids[0] == "garden-5"
    kept = pins.search(**asked, where="title = 'Garden-3'", person="ada", personal=1.0)
    assert kept.ids == ["garden-3"]


def test_prices_and_sizes_far_off_the_saved_ones_come_later(pins: vs.Index) -> None:
    for n in range(6):
        pins.update(f"kitchen-{n}", {"title": "Stool", "price": 20.0 + n, "size": "M"})
        pins.people.save("ada", f"kitchen-{n}", board="Kitchen")
    found = personal_term(pins, "ada", BY_COSINE)
    assert found is not None
    held = [{"price": 22.0, "size": "m"}, {"price": 400.0}, {"price": 30.0}, {"size": "XXL"}, {}]
    vectors = pins.vectors(["garden-0"] * len(held))  # nothing else tells these apart
    given = Candidates.of(np.full(len(held), 0.5, np.float32), vectors=vectors, attributes=held)
    term = found.term(given)
    assert term.tolist() == pytest.approx([0, -0.5, -0.5 * np.log2(30 / 24.5), -0.5, 0], abs=1e-4)
    assert found.rank(given, Context(k=5)).order.tolist() == [0, 4, 2, 1, 3]
    assert not habits_of([{"price": 1.0}] * 4)
    assert habits_of([{"size": size} for size in "MMMMSL"]).sizes == {"m"}


def test_what_was_hidden_goes_down(pins: vs.Index) -> None:
    asked = {"image": picture(3, noise=77), "k": 48, "person": "ada", "personal": 0.5}
    shown = pins.search(**asked).ids
    pins.people.record([Event("hide", "ada", shown[6])])
    assert pins.search(**asked).ids.index(shown[6]) > 30


def test_a_strength_outside_0_to_1_is_refused(pins: vs.Index) -> None:
    with pytest.raises(UsageError, match="personal"):
        pins.search(text="x", person="ada", personal=2)


# -- the command line ----------------------------------------------------------------------------------------------
def test_the_command_line_shows_a_feed(
    pins: vs.Index, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = str(pins.folder)
    run = CliRunner().invoke(app, ["feed", folder, "ada", "-k", "4", "--json"])
    assert run.exit_code == 0, run.output
    said = json.loads(run.stdout)
    assert len(said["hits"]) == 4
    assert said["plan"] == "personal"
    assert said["cursor"]
    assert all(hit["why"]["evidence"] for hit in said["hits"])
    first = said["hits"][0]["id"]
    run = CliRunner().invoke(app, ["feed", folder, "ada", "-k", "4", "--less", first, "--why"])
    assert run.exit_code == 0
    assert first not in run.stdout.split()
    page = tmp_path / "feed.html"
    assert CliRunner().invoke(app, ["feed", folder, "-k", "4", "--html", str(page)]).exit_code == 0
    assert "Feed" in page.read_text(encoding="utf-8")
    run = CliRunner().invoke(app, ["feed", folder, "--less", "kitchen-1"])
    assert isinstance(run.exception, UsageError)


def test_new_pins_count_for_days_unless_most_of_the_collection_is_new(pins: vs.Index) -> None:
    import sqlite3
    from contextlib import closing

    from visualsearch.recommend.shelf import shelf_of

    assert shelf_of(pins, pins.people.now()).fresh == {}
    with closing(sqlite3.connect(pins.folder / "catalog.sqlite")) as db:
        db.execute("UPDATE pins SET added = added - 40 * 86400")
        db.commit()
    pins.add([{"id": f"new-{n}", "image": picture(700 + n)} for n in range(3)])
    now = pins.people.now()
    today = shelf_of(pins, now).fresh
    assert set(today) == {"new-0", "new-1", "new-2"}
    later = shelf_of(pins, now + 2 * DAY).fresh
    assert later["new-0"] == pytest.approx(today["new-0"] / 2, rel=0.01)
    assert shelf_of(pins, now + 9 * DAY).fresh == {}
    page = pins.feed("ada", k=20)
    assert sum(name.startswith("new-") for name in page.ids) == 2
