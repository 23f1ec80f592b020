"""The ranking stage: signals, rankers, pages that fit together, and how an order is asked for."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

import visualsearch as vs
from visualsearch import dedup, upkeep
from visualsearch import look as look_room
from visualsearch.errors import UnknownNameError, UsageError
from visualsearch.look import LookOptions
from visualsearch.ranking import (
    BY_COSINE,
    KNOWN,
    RANKERS,
    SIGNALS,
    ByAttribute,
    Candidates,
    Capped,
    Context,
    Ranking,
    Varied,
    Weighted,
    capped,
    ranked,
    ranker_of,
    signal,
    source_of,
    varied,
)
from visualsearch.search import SearchOptions, planner
from visualsearch.server.app import create_app
from visualsearch.server.reading import NAMES
from visualsearch.server.schemas import LookRequest, SearchRequest

from .conftest import Ran
from .fakes import FakeEncoder
from .serving import catalogue, service
from .test_engine import DEAR_SCANS, Given, add_given, clustered, unit

DAY = 86_400.0


def candidates(count: int = 4, **held: Any) -> Candidates:
    return Candidates.of(np.linspace(0.9, 0.6, count), **held)


def order_of(ranking: Ranking) -> list[int]:
    return ranking.order.tolist()


# -- signals ------------------------------------------------------------------------------------------------------
def test_freshness_halves_in_thirty_days() -> None:
    given = candidates(3, added=np.array([100 * DAY, 70 * DAY, 200 * DAY]))
    fresh = SIGNALS["freshness"](given, Context(now=100 * DAY))
    np.testing.assert_allclose(fresh, [1.0, 0.5, 1.0], atol=1e-6)  # a clock that runs ahead gains nothing


def test_a_part_that_matched_is_told_from_the_whole_picture() -> None:
    given = candidates(2, boxes=[(0, 0, 1, 1), (0.1, 0, 1, 1)])
    assert SIGNALS["region"](given, Context()).tolist() == [0.0, 1.0]


def test_an_attributes_numbers_are_scaled_and_what_is_missing_counts_neither_way() -> None:
    values = [{"price": 10}, {"price": 30.0}, {}, {"price": "dear"}]
    found = signal("attribute:price")(candidates(4, attributes=values), Context())
    assert found.tolist() == [0.0, 1.0, 0.5, 0.5]
    same = signal("attribute:price")(
        candidates(2, attributes=[{"price": 1e299}, {"price": -1e299}]), Context()
    )
    assert same.tolist() == [1.0, 0.0]


def test_an_unknown_attribute_or_signal_lists_the_known() -> None:
    with pytest.raises(UsageError, match="Known: price"):
        signal("attribute:prise")(candidates(1, attributes=[{"price": 1}]), Context())
    with pytest.raises(UnknownNameError, match="freshness"):
        Weighted({"freshnes": 1.0})


def test_weights_add_up_and_the_signals_are_kept() -> None:
    given = candidates(2, attributes=[{"kind": "a"}, {"kind": "b"}])
    found = Weighted({"cosine": 1.0, "preferred": 0.5}).rank(
        given, Context(data={"preferred": ("kind", "b")})
    )
    assert order_of(found) == [1, 0]
    np.testing.assert_allclose(found.rank_score, [0.9, 1.1], atol=1e-6)
    assert found.signals["preferred"].tolist() == [0.0, 1.0]


def test_what_the_request_does_not_bring_is_named() -> None:
    with pytest.raises(UsageError, match=r"needs 'preferred'.*data=\{'preferred'"):
        Weighted({"preferred": 1.0}).rank(candidates(2, attributes=[{}, {}]), Context())


@pytest.mark.parametrize("weights", [{}, {"cosine": float("nan")}, {"cosine": True}, {"cosine": "1"}])
def test_weights_that_are_no_numbers_are_refused(weights: Any) -> None:
    with pytest.raises(UsageError):
        Weighted(weights)


# -- rankers ------------------------------------------------------------------------------------------------------
def test_sorting_puts_numbers_before_texts_and_pins_without_a_value_last() -> None:
    values = [{"n": "b"}, {"n": 3}, {}, {"n": "A"}, {"n": 1.5}, {"n": [1]}]
    given = candidates(6, attributes=values)
    assert order_of(ByAttribute("n").rank(given, Context())) == [4, 1, 3, 0, 2, 5]
    down = ByAttribute("n", down=True).rank(given, Context())
    assert order_of(down) == [0, 3, 1, 4, 2, 5]
    assert (np.diff(down.rank_score[down.order]) < 0).all()


def test_equals_keep_the_order_of_their_cosines() -> None:
    given = candidates(4, attributes=[{"n": 1}, {"n": 1}, {"n": 0}, {"n": 1}])
    assert order_of(ByAttribute("n").rank(given, Context())) == [2, 0, 1, 3]
    assert order_of(ByAttribute("n", down=True).rank(given, Context())) == [0, 1, 3, 2]
    assert order_of(ranked([1.0, 2.0, 1.0, 2.0])) == [1, 3, 0, 2]


def test_variety_is_maximal_marginal_relevance() -> None:
    rng = np.random.default_rng(3)
    vectors = unit(rng.normal(size=(30, 16)))
    scores = np.sort(rng.random(30))[::-1]
    for amount in (0.1, 0.5, 0.9):
        taken = [0]
        while len(taken) < 30:  # as the paper writes it
            rest = [at for at in range(30) if at not in taken]
            worth = [(1 - amount) * scores[at] - amount * max(vectors[at] @ vectors[taken].T) for at in rest]
            taken.append(rest[int(np.argmax(worth))])
        assert varied(scores, vectors, amount).tolist() == taken
        assert varied(scores, vectors, amount, 7).tolist() == taken[:7]
    assert varied(np.empty(0), np.empty((0, 16), np.float32), 0.5).tolist() == []


def test_variety_spreads_what_another_ranker_ordered_on_any_scale() -> None:
    vectors = unit(np.array([[1, 0], [1, 0.01], [0, 1]], np.float32))
    given = Candidates.of([0.9, 0.89, 0.7], vectors=vectors, added=np.array([3.0, 2.0, 1.0]) * 1e6)
    found = Varied(0.7, Newest()).rank(given, Context())
    assert order_of(found) == [0, 2, 1]
    assert set(found.signals) == {"added", "relevance"}
    assert Varied(0.0, Newest()).rank(given, Context()).signals.keys() == {"added"}


@dataclass(frozen=True)
class Newest:
    """A ranker as a user writes it: one method."""

    def rank(self, candidates: Candidates, context: Context) -> Ranking:
        return ranked(candidates.added, {"added": np.asarray(candidates.added, np.float32)})


def test_a_cap_moves_the_rest_of_a_kind_behind_and_loses_none() -> None:
    given = candidates(
        6, attributes=[{"brand": b} for b in "aaabab"], uris=[f"http://{h}/1" for h in "xxyyxx"]
    )
    assert order_of(Capped(2, "brand").rank(given, Context())) == [0, 1, 3, 5, 2, 4]
    assert order_of(Capped(1).rank(given, Context())) == [0, 2, 1, 3, 4, 5]
    assert capped([None, None, "a", "a"], 1).tolist() == [0, 1, 2]
    assert source_of("/photos/shoes/1.jpg") == "/photos/shoes"
    assert source_of("https://shop.example:8/a/b.jpg") == "shop.example:8"


@pytest.mark.parametrize(
    "name", [*RANKERS, "sort:n", "sort:-n", "cap:2:n", "cap:1", "cosine=1,attribute:n=-0.5"]
)
def test_every_named_ranker_orders_all_candidates(name: str) -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(5, 8)))
    given = candidates(
        5,
        attributes=[{"n": n % 3} for n in range(5)],
        uris=["a/b"] * 5,
        added=np.arange(5.0),
        vectors=vectors,
    )
    found = ranker_of(name).rank(given, Context(now=5.0)).checked(5)
    assert sorted(order_of(found)) == list(range(5))
    scores = found.rank_score[found.order]
    assert (np.diff(scores) <= 0).all()


def test_an_unknown_ranker_lists_the_known() -> None:
    with pytest.raises(UnknownNameError) as caught:
        ranker_of("freshest")
    assert all(name in str(caught.value) for name in KNOWN)
    for wrong in ("cap:many:brand", "cosine=much", "cap:0", "sort:", "bogus=1", "=1"):
        with pytest.raises(UsageError):
            ranker_of(wrong)
    with pytest.raises(UsageError, match="no ranker"):
        ranker_of(7)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="between 0 and 1"):
        ranker_of("cosine", 1.5)


@pytest.mark.parametrize(
    ("ranking", "why"),
    [
        (Ranking(np.array([0, 0]), np.zeros(2, np.float32)), "twice"),
        (Ranking(np.array([0, 2]), np.zeros(2, np.float32)), "outside"),
        (Ranking(np.array([0.5]), np.zeros(2, np.float32)), "whole numbers"),
        (Ranking(np.array([0]), np.zeros(3, np.float32)), "shape"),
        (Ranking(np.array([0]), np.array([0, np.nan], np.float32)), "not finite"),
        (Ranking(np.array([0]), np.zeros(2, np.float32), {"x": np.zeros(1, np.float32)}), "x has the shape"),
    ],
)
def test_a_ranker_that_answers_nonsense_is_refused(ranking: Ranking, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        ranking.checked(2)


# -- pages --------------------------------------------------------------------------------------------------------
class Backwards:
    """The worst first; leaves out every pin whose place can be divided by `drop`."""

    def __init__(self, drop: int = 10**9) -> None:
        self.drop = drop

    def rank(self, candidates: Candidates, context: Context) -> Ranking:
        places = np.arange(len(candidates))[::-1]
        places = places[(places + 1) % self.drop > 0]
        return Ranking(places, -candidates.cosine, {"cosine": candidates.cosine})


@pytest.fixture
def many(tmp_path: Path, encoder: FakeEncoder) -> Iterator[vs.Index]:
    with vs.create(tmp_path / "many.index", encoder) as index:
        index.add(Given(clustered(300)))
        yield index


def pages(index: vs.Index, k: int, **asked: Any) -> list[vs.Hit]:
    found: list[vs.Hit] = []
    while True:
        page = index.search(k=k, offset=len(found), **asked)
        found += page
        if len(page) < k:
            return found


@pytest.mark.parametrize("k", [7, 50, 64, 300])
def test_pages_of_a_ranker_fit_together_and_later_hits_follow_by_cosine(many: vs.Index, k: int) -> None:
    plain = many.search(like="v0", k=300).ids
    context = Context(depth=50)
    found = pages(many, k, like="v0", ranker=Backwards(), context=context)
    assert [hit.id for hit in found] == [*plain[:50][::-1], *plain[50:]]
    assert [hit.rank_score is None for hit in found] == [False] * 50 + [True] * 249


@pytest.mark.parametrize("k", [4, 9])
def test_candidates_that_a_ranker_leaves_out_come_on_no_page(many: vs.Index, k: int) -> None:
    plain = many.search(like="v0", k=300).ids
    found = pages(many, k, like="v0", ranker=Backwards(5), context=Context(depth=50))
    stay = [name for place, name in enumerate(plain[:50], 1) if place % 5]
    assert [hit.id for hit in found] == [*stay[::-1], *plain[50:]]


def test_the_score_stays_the_cosine_and_bounds_the_hits(many: vs.Index) -> None:
    plain = many.search(like="v0", k=300)
    least = plain[20].score
    found = many.search(like="v0", k=300, ranker=Backwards(), min_score=least, context=Context(depth=10))
    assert {hit.id: hit.score for hit in found} == {h.id: h.score for h in plain if h.score >= least}
    assert found.best == plain.best
    assert found.ids == [*plain.ids[:10][::-1], *plain.ids[10 : len(found)]]
    few = many.search(like="v0", k=300, ranker=Backwards(), min_score=least, context=Context(depth=100))
    assert few.ids == plain.ids[: len(found)][::-1]


def test_a_ranker_gets_what_the_filter_and_the_groups_leave(many: vs.Index) -> None:
    assert [hit.attributes["n"] for hit in many.search(like="v0", where="n < 9", ranker="sort:-n")] == [
        *range(8, 0, -1)
    ]
    grouped = many.search(like="v1", group_by="even", ranker=Backwards())
    assert (len(grouped), grouped.total) == (1, 1)  # the other group is that of the query's own pin
    both = many.search(like="v1", group_by="even", include_seeds=True, ranker=Backwards())
    assert both.ids == many.search(like="v1", group_by="even", include_seeds=True).ids[::-1]
    assert len(many.search(like="v0", where="n < 0", ranker="varied")) == 0


def test_pages_fit_together_where_the_approximate_index_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: FakeEncoder
) -> None:
    monkeypatch.setattr(planner, "COSTS", DEAR_SCANS)
    monkeypatch.setattr(upkeep, "FRESH_ROWS", 100)
    index = vs.create(tmp_path / "x.index", encoder, preset="hnsw")
    add_given(index, clustered(3000), monkeypatch)
    pinned = [index.search(like="v0", k=9, offset=9 * page, ranker="varied") for page in range(12)]
    assert {hits.plan for hits in pinned} == {"ann"}
    ids = [hit.id for hits in pinned for hit in hits]
    assert len(ids) == len(set(ids)) == 108
    assert ids == index.search(like="v0", k=108, ranker="varied").ids


@pytest.mark.parametrize("k", [5, 13, 300])
def test_pins_of_other_sources_join_the_candidates_and_come_once(many: vs.Index, k: int) -> None:
    plain = many.search(like="v0", k=300).ids
    far = [plain[200], plain[250], plain[3]]  # the last is a candidate already
    context = Context(
        depth=20, also=[many.pin(name).number for name in [*far, "v0"]]
    )  # v0 is the query itself
    found = pages(many, k, like="v0", ranker=Backwards(), context=context)
    rest = [name for name in plain[20:] if name not in far]
    assert [hit.id for hit in found] == [plain[250], plain[200], *plain[:20][::-1], *rest]
    filtered = many.search(like="v0", where="n < 5", k=9, ranker=Backwards(), context=context)
    assert sorted(filtered.ids) == ["v1", "v2", "v3", "v4"]
    least = many.search(like="v0", k=210)[205].score
    clear = many.search(like="v0", k=300, ranker=Backwards(), context=context, min_score=least)
    assert clear.ids[0] == plain[200]
    assert plain[250] not in clear.ids


def test_details_are_those_of_the_pins(tmp_path: Path, encoder: FakeEncoder, index: vs.Index) -> None:
    seen: list[Candidates] = []

    class Curious:
        def rank(self, candidates: Candidates, context: Context) -> Ranking:
            seen.append(candidates)
            assert context.query is not None
            np.testing.assert_allclose(candidates.vectors @ context.query, candidates.cosine, atol=1e-3)
            return BY_COSINE.rank(candidates, context)

    hits = index.search(like="000.png", k=3, offset=2, ranker=Curious(), context=Context(data={"x": 1}))
    (given,) = seen
    assert hits.ids == list(given.ids[2:5])
    assert [index.pin(name).number for name in given.ids] == given.pins.tolist()
    assert given.boxes.tolist() == [[0, 0, 1, 1]] * 39
    assert (given.added > 1e9).all()
    assert given.uris[0].endswith(given.ids[0])
    assert hits[0].signals == {"cosine": pytest.approx(hits[0].score)}


def test_a_context_is_filled_in_and_its_depth_checked(many: vs.Index) -> None:
    seen = []

    class Taste:
        def rank(self, candidates: Candidates, context: Context) -> Ranking:
            seen.append(context)
            return ranked(candidates.cosine + context.need("taste")[candidates.pins % 2])

    taste = np.array([0, 5], np.float32)
    hits = many.nearest(many.vectors(["v3"]), k=4, ranker=Taste(), context=Context(data={"taste": taste}))[0]
    assert {many.pin(name).number % 2 for name in hits.ids} == {1}
    assert (seen[0].k, seen[0].offset) == (4, 0)
    for depth in (0, True, 2.5):
        with pytest.raises(UsageError, match="depth"):
            Context(depth=depth)  # type: ignore[arg-type]


# -- how it is asked for ------------------------------------------------------------------------------------------
@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(create_app(service(catalogue(tmp_path)))) as made:
        yield made


def test_http_ranks_and_tells_by_what(client: TestClient) -> None:
    plain = client.get("/search", params={"like": "m/07", "k": 5}).json()["hits"]
    assert "rank_score" not in plain[0]
    hits = client.get("/search", params={"like": "m/07", "k": 5, "rank": "sort:-price"}).json()["hits"]
    assert [hit["attributes"]["price"] for hit in hits] == [59, 58, 57, 56, 55]
    assert hits[0]["rank_score"] > hits[1]["rank_score"]
    weighed = client.post("/search", json={"like": "m/07", "rank": "cosine=1,attribute:price=0.5"}).json()[
        "hits"
    ]
    assert set(weighed[0]["signals"]) == {"cosine", "attribute:price"}
    assert weighed[0]["score"] == pytest.approx(weighed[0]["signals"]["cosine"])
    assert "signals" in client.get("/search", params={"like": "m/07", "diversity": 0.4}).json()["hits"][0]


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"rank": "best"}, "unknown ranker"),
        ({"rank": "sort:prise"}, "no pin of this index has it"),
        ({"rank": "fresh", "sort": "price"}, "two orders"),
        ({"rank": "attribute:price=x"}, "no number"),
        ({"diversity": "2"}, "diversity"),
    ],
)
def test_http_says_what_is_wrong_with_an_order(client: TestClient, params: dict[str, str], why: str) -> None:
    answer = client.get("/search", params={"like": "m/07", **params})
    assert answer.status_code in (400, 422)
    assert why in answer.text


def test_the_command_line_ranks_and_tells_by_what(
    index: vs.Index, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate(index.search(like="000.png", k=5).ids):
        index.update(name, {"price": number})
    folder = index.folder
    words = ("search", folder, "--like", "000.png", "-k", "3", "--json")
    assert "signals" not in run(*words).json["hits"][0]
    dear = run(*words, "--rank", "sort:-price").json["hits"]
    assert [hit["attributes"]["price"] for hit in dear] == [4, 3, 2]
    for option in ("--diversity", "--diversify"):
        assert set(run(*words, option, "0.5").json["hits"][0]["signals"]) == {"cosine", "relevance"}
    wrong = run(*words, "--rank", "best")
    assert (wrong.code, "unknown ranker 'best'" in wrong.err) == (2, True)
    assert json.loads(json.dumps(dear))[0]["rank_score"] == dear[0]["rank_score"]


def test_the_arguments_of_a_search_have_the_same_names_everywhere() -> None:
    fields = {field.name for field in dataclasses.fields(SearchOptions)}
    python_only = {"parts", "max_pixels", "context", "learnt"}
    assert set(SearchRequest.model_fields) == (fields - python_only - {"ranker"}) | {"rank", "sort", "also"}
    assert (set(SearchRequest.model_fields) - {"weights"}) | {"weight"} == NAMES
    assert {"self", *fields} == set(inspect.signature(vs.Index.search).parameters)
    looking = {field.name for field in dataclasses.fields(LookOptions)}
    assert {"self", "scene", *looking} == set(inspect.signature(vs.Index.look).parameters)
    assert set(LookRequest.model_fields) - {"image"} <= looking
    assert "group_by" in (vs.Index.search.__doc__ or "")
    assert "vocabulary" in (vs.Index.look.__doc__ or "")


def test_a_wrong_keyword_is_refused(index: vs.Index) -> None:
    with pytest.raises(TypeError, match="imag"):
        index.search(imag="x")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="scene"):
        index.look()  # type: ignore[call-arg]


def test_old_names_still_work_and_say_so(index: vs.Index) -> None:
    from PIL import Image

    with pytest.deprecated_call():
        assert dedup.find(index).groups == index.dedup().groups
    with pytest.deprecated_call():
        assert look_room.find(Image.new("RGB", (64, 64)), most=1) == []
    with pytest.deprecated_call():
        LookOptions(prefer=0.1)
