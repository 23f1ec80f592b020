"""Related pins: what people saved together, blended with sight; true reasons; fresh, forgotten and secret saves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.errors import UnknownNameError, UsageError
from visualsearch.people import FILE, open_people
from visualsearch.recommend import BUILDERS, graph_for, learn
from visualsearch.recommend import graph as graph_module
from visualsearch.types import Hit, Hits

from ..fakes import FakeEncoder, paint

COUNT = 60
PEOPLE = 8


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for at in range(COUNT):
        paint(folder / f"{at:02d}.png", at)
    return folder


@pytest.fixture
def index(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[vs.Index]:
    monkeypatch.setattr(graph_module, "FRESH_SECONDS", -1.0)
    with vs.Index.create(tmp_path / "pins.index", FakeEncoder()) as made:
        made.add(pictures)
        yield made


def pin(at: int) -> str:
    return f"{at:02d}.png"


def fill(index: vs.Index) -> None:
    """Eight people with a board for each of three themes: pins 0-9, 10-19, 20-29. Pins from 40 on are never saved."""
    rng = np.random.default_rng(1)
    for who in range(PEOPLE):
        for theme, title in enumerate(("Kitchen", "Garden", "Shoes")):
            for at in rng.choice(10, 6, replace=False).tolist():
                index.people.save(f"ada-{who}", pin(10 * theme + at), board=title)


def themes(hits: Hits) -> list[int]:
    return [int(hit.id[:2]) // 10 for hit in hits]


def check_reasons(index: vs.Index, hits: Hits, asked: list[str]) -> None:
    """Recompute every reason from the record of people, and from the vectors."""
    for hit in hits:
        assert hit.why is not None
        assert hit.why.sentence
        boards = [each for each in hit.why.evidence if each.kind == "board"]
        pins = [each for each in hit.why.evidence if each.kind == "pin"]
        shown = pins[0].id if hit.why.sentence.startswith("Looks like a pin") else hit.id
        for each in boards:
            board = index.people.board(each.id)
            held = {save.pin for save in index.people.pins_of(each.id)}
            assert shown in held
            assert not board.secret
            if hit.why.kind == "together":
                assert held & set(asked)
            if hit.why.sentence.startswith("Saved together with a pin"):
                assert pins[-1].id in held
        if hit.why.kind == "together":
            title = index.people.board(boards[0].id).title
            assert f'"{title}"' in hit.why.sentence
            both = set.union(*({s.board for s in index.people.saves_of(name)} for name in asked))
            both &= {save.board for save in index.people.saves_of(hit.id)}
            rest = len(both) - 1
            assert hit.why.sentence.endswith(f" and {rest} more board{'s' * (rest > 1)}" if rest else '"')
        for each in pins:
            vectors = index.vectors([each.id, hit.id, *asked])
            cosines = vectors @ vectors[0] / np.linalg.norm(vectors, axis=1) / np.linalg.norm(vectors[0])
            assert float(np.abs(cosines[1:] - each.weight).min()) < 1e-3


def test_related_pins_are_those_saved_together_each_with_a_true_reason(index: vs.Index) -> None:
    fill(index)
    hits = index.related(pin(3), 6)
    assert themes(hits) == [0] * 6
    assert pin(3) not in hits.ids
    assert hits.plan in ("walk-numpy", "walk-compiled")
    assert all(hit.why is not None and hit.why.kind == "together" for hit in hits)
    check_reasons(index, hits, [pin(3)])
    check_reasons(index, index.related(pin(3), 40), [pin(3)])
    shares = [hit.why.evidence[0].weight for hit in hits if hit.why]
    assert all(0 < share <= 1 for share in shares)


def test_the_score_is_the_cosine_and_the_order_is_that_of_the_blend(index: vs.Index) -> None:
    fill(index)
    hits = index.related(pin(12), 20)
    vectors = index.vectors([pin(12), *hits.ids])
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert hits.scores == pytest.approx(units[1:] @ units[0], abs=1e-5)
    order = [hit.signals["related"] for hit in hits]
    assert order == sorted(order, reverse=True)
    assert index.related(pin(12), 20, seed=0).ids == hits.ids


def test_several_pins_are_answered_together_and_weights_count(index: vs.Index) -> None:
    fill(index)
    both = index.related([pin(3), pin(25)], 12)
    assert {0, 2} <= set(themes(both)) <= {0, 2}
    check_reasons(index, both, [pin(3), pin(25)])
    first = index.related([pin(3), pin(25)], 8, weights=[100.0, 0.01])
    assert themes(first)[:4] == [0] * 4


def test_a_pin_that_nobody_saved_is_answered_through_its_look_alikes(index: vs.Index, pictures: Path) -> None:
    twin = paint(pictures.parent / "twins" / "twin.png", 13, (64, 48))
    index.add(twin.parent)
    fill(index)
    hits = index.related("twin.png", 8)
    assert hits.plan.startswith("walk-")
    assert themes(hits)[:3] == [1] * 3
    kinds = {hit.why.kind for hit in hits if hit.why}
    assert "look-alike" in kinds
    check_reasons(index, hits, ["twin.png"])
    found = index.related(pin(17), 12)
    assert "twin.png" in found.ids  # nobody saved it, but its look-alike was
    check_reasons(index, found, [pin(17)])


def test_a_save_counts_at_once_also_one_of_another_process(index: vs.Index) -> None:
    fill(index)
    assert pin(45) not in index.related(pin(3), 9).ids
    with open_people(index.folder, pins=index.people.pins) as other:
        for who in ("eve", "bob", "dan", "kim"):
            for at in (3, 45):
                other.save(who, pin(at), board="New")
    hits = index.related(pin(3), 9)
    assert pin(45) in hits.ids
    check_reasons(index, hits, [pin(3)])
    assert themes(index.related(pin(45), 5)) == [0] * 5


@pytest.mark.parametrize("learnt", [False, True])
def test_what_was_learnt_answers_as_what_was_not_and_fresh_saves_count_beside_it(
    index: vs.Index, learnt: bool
) -> None:
    fill(index)
    if learnt:
        report = learn(index, BUILDERS, only=["graph"])
        assert report.outcomes[0].state == "built"
    hits = index.related(pin(3), 6)
    graph = graph_for(index)
    assert graph is not None
    assert graph.figures()["origin"] == ("learnt" if learnt else "memory")
    assert themes(hits) == [0] * 6
    for who in ("eve", "bob", "dan"):
        for at in (3, 44):
            index.people.save(who, pin(at), board="New")
    assert graph.figures()["fresh"] == 6
    assert pin(44) in index.related(pin(3), 9).ids
    learn(index, BUILDERS)
    index.related(pin(3))
    assert graph.figures()["origin"] == ("learnt")
    assert graph.figures()["fresh"] == 0
    assert pin(44) in index.related(pin(3), 9).ids


@pytest.mark.parametrize("learnt", [False, True])
@pytest.mark.parametrize("how", ["forget", "off", "pause", "secret", "unsave", "delete"])
def test_what_people_take_back_carries_nothing_any_more(index: vs.Index, how: str, learnt: bool) -> None:
    fill(index)
    people = index.people
    for at in (3, 50):
        people.save("eve", pin(at), board="Only eve's")
    if learnt:
        learn(index, BUILDERS, only=["graph"])
    hit = next(hit for hit in index.related(pin(50), 8) if hit.id == pin(3))
    assert hit.why is not None
    assert hit.why.kind == "together"
    if how == "forget":
        people.forget("eve")
    elif how == "off":
        people.consent("eve", "off")
    elif how == "pause":
        people.pause("eve")
    elif how == "secret":
        people.change_board("eve", "Only eve's", secret=True)
    elif how == "unsave":
        people.unsave("eve", pin(50), board="Only eve's")
    else:
        people.delete_board("eve", "Only eve's")
    after = index.related(pin(50), 59)
    check_reasons(index, after, [pin(50)])
    for hit in after:
        assert hit.why is not None
        assert "eve" not in hit.why.sentence
        assert hit.why.kind in ("sight", "look-alike")
    assert after.plan == "sight" or all(hit.why.kind != "together" for hit in after if hit.why)


def test_a_guests_saves_on_another_persons_board_are_forgotten_with_the_guest(index: vs.Index) -> None:
    fill(index)
    people = index.people
    board = people.create_board("ann", "Ours").id
    people.save("ann", pin(3), board=board)
    people.invite("ann", board, "guest")
    people.save("guest", pin(51), board=board)
    learn(index, BUILDERS, only=["graph"])
    assert pin(3) in index.related(pin(51), 5).ids
    graph = graph_for(index)
    assert graph is not None
    people.forget("guest")
    index.related(pin(3))
    view = graph.view()
    node = view.pin_nodes([index.pin(pin(51)).number])[0]
    assert node < 0 or len(view.boards_of(node)) == 0


def test_secret_boards_and_paused_people_teach_nothing(index: vs.Index) -> None:
    people = index.people
    people.create_board("ada", "Hidden", secret=True)
    people.pause("bob")
    for at in (1, 40):
        people.save("ada", pin(at), board="Hidden")
        people.save("bob", pin(at), board="Paused")
    learn(index, BUILDERS, only=["graph"])
    hits = index.related(pin(1), 10)
    assert hits.plan == "sight"
    assert all(hit.why is not None and hit.why.kind == "sight" for hit in hits)


def test_a_removed_pin_is_not_served_and_an_unknown_one_is_refused(index: vs.Index) -> None:
    fill(index)
    learn(index, BUILDERS, only=["graph"])
    best = index.related(pin(3), 1).ids[0]
    index.remove([best])
    assert best not in index.related(pin(3), 50).ids
    with pytest.raises(UnknownNameError, match="pin"):
        index.related(best)
    with pytest.raises(UnknownNameError):
        index.related([pin(3), "nothing"])


def test_an_index_without_people_answers_by_sight_and_makes_no_record(index: vs.Index) -> None:
    hits = index.related(pin(3), 5)
    assert hits.plan == "sight"
    assert hits.ids == index.search(like=pin(3), k=5, group_by="none").ids
    check_reasons(index, hits, [pin(3)])
    assert not (index.folder / FILE).exists()


def test_a_graph_of_one_link_and_a_board_of_the_whole_index(index: vs.Index) -> None:
    index.people.save("ada", pin(3), board="One")
    hits = index.related(pin(3), 5)
    assert len(hits) == 5
    assert all(hit.why is not None and hit.why.kind == "sight" for hit in hits)
    for at in range(COUNT):
        index.people.save("bob", pin(at), board="Everything")
    everything = index.related(pin(3), COUNT)
    assert len(everything) == COUNT - 1
    check_reasons(index, everything, [pin(3)])


@pytest.mark.parametrize("options", [{"k": 0}, {"k": 10**6}, {"weights": [1.0, 2.0]}, {"weights": [-1.0]}])
def test_wrong_options_are_refused(index: vs.Index, options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        index.related(pin(3), **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        index.related([])


def test_of_the_pictures_of_a_product_the_best_one_is_shown(index: vs.Index, pictures: Path) -> None:
    index.add(pictures, group_by="product")
    for at in range(COUNT):
        index.update(pin(at), {"product": f"p{at // 2}"})
    fill(index)
    hits = index.related(pin(2), 10)
    products = [hit.attributes["product"] for hit in hits]
    assert len(set(products)) == len(products)
    assert "p1" not in products


def test_a_rebuilt_index_does_not_take_the_old_numbers_for_its_own(index: vs.Index, pictures: Path) -> None:
    fill(index)
    learn(index, BUILDERS, only=["graph"])
    index.remove([pin(at) for at in range(COUNT)])
    index.add(pictures, include=[pin(at) for at in reversed(range(COUNT))])
    hits = index.related(pin(3), 6)
    assert themes(hits) == [0] * 6
    check_reasons(index, hits, [pin(3)])


def test_a_hit_shows_its_reason_in_json(index: vs.Index) -> None:
    fill(index)
    hit: Hit = index.related(pin(3), 1)[0]
    values = json.loads(json.dumps(hit.to_dict()))
    assert values["why"]["kind"] == "together"
    assert values["why"]["evidence"][0]["kind"] == "board"
    assert "why" not in index.search(like=pin(3), k=1)[0].to_dict()


def test_what_goes_with_a_pin_is_what_people_saved_with_it(index: vs.Index) -> None:
    for at in range(COUNT):
        index.update(pin(at), {"category": "abc"[at % 3]})
    before = index.complete(pin(0), 6)
    assert before.plan == "style"
    fill(index)
    hits = index.complete(pin(0), 6)
    assert hits.plan == "saves+style"
    assert {hit.attributes["category"] for hit in hits} == {"b", "c"}
    assert set(themes(hits)[:4]) == {0}, "what stands on the same boards comes first"
    assert all(hit.why is not None and hit.signals["walk"] > 0 for hit in hits[:4])
    check_reasons(index, Hits(tuple(hits[:4]), 4, ""), [pin(0)])
    assert index.complete(pin(0), 6, where="category = 'b'")[0].attributes["category"] == "b"
    cold = index.complete(pin(45), 6)  # nobody saved it: through its look-alikes
    assert {hit.attributes["category"] for hit in cold} == {"b", "c"}
