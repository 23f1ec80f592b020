"""A map learnt over an index's vectors: kept where it wins, refused where it does not, undone to the byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.errors import SourceError, StorageError, UnknownNameError, UsageError
from visualsearch.learn import Together, adapt, by_boards, by_clicks, by_labels, by_variants
from visualsearch.people import Event
from visualsearch.ranking import ByAttribute, Varied

from ..conftest import Ran
from .conftest import EACH, KINDS, RowsEncoder, colour


def right(index: vs.Index, k: int = 10) -> float:
    """The share of the first k of each fifth pin that are of its kind."""
    found = [
        [hit.attributes["kind"] == f"kind-{n // EACH}" for hit in index.search(like=f"pin-{n}", k=k)]
        for n in range(0, KINDS * EACH, 5)
    ]
    return float(np.mean(found))


def test_what_labels_teach_counts_at_the_next_search_and_can_be_undone(pins: vs.Index) -> None:
    before = pins.search(like="pin-3", k=20)
    plain = right(pins)
    found = adapt(pins, by_labels(pins, "attribute:kind"))
    assert found.kept
    assert found.interval[0] > 0
    assert found.number == 1
    assert right(pins) > plain + 0.2
    hit = pins.search(like="pin-3")[0]
    assert hit.rank_score == pytest.approx(hit.signals["adapted"])
    assert hit.score == pytest.approx(hit.signals["cosine"])  # the score stays the true cosine
    with vs.open(pins.folder, RowsEncoder()) as other:
        assert other.search(like="pin-3", k=20).ids == pins.search(like="pin-3", k=20).ids
    assert pins.heads.undo() is None
    after = pins.search(like="pin-3", k=20)
    assert list(after) == list(before)
    with pytest.raises(UsageError, match="nothing to undo"):
        pins.heads.undo()


def test_each_generation_can_be_undone(pins: vs.Index) -> None:
    adapt(pins, by_labels(pins, "attribute:kind"))
    first = pins.search(like="pin-3").ids
    assert adapt(pins, by_labels(pins, "attribute:product"), k=3).number == 2
    assert pins.heads.undo() == 1
    assert pins.search(like="pin-3").ids == first


def test_labels_drawn_by_chance_are_refused_and_nothing_changes(pins: vs.Index) -> None:
    before = pins.search(like="pin-3", k=20)
    found = adapt(pins, by_labels(pins, "attribute:luck"))
    assert not found.kept
    assert "does not lie above zero" in found.why
    assert not (pins.folder / "adapted").exists()
    assert list(pins.search(like="pin-3", k=20)) == list(before)


def test_words_and_other_orders_stay_as_they_are(pins: vs.Index) -> None:
    words = pins.search(text="a lamp", k=20)
    mixed = pins.search(text="a lamp", like="pin-3", k=20).ids
    ordered = pins.search(like="pin-3", ranker="sort:kind", k=20).ids
    varied = pins.search(like="pin-3", ranker=Varied(0.3), k=20)
    adapt(pins, by_labels(pins, "attribute:kind"))
    assert list(pins.search(text="a lamp", k=20)) == list(words)
    assert pins.search(text="a lamp", like="pin-3", k=20).ids == mixed
    assert pins.search(like="pin-3", ranker=ByAttribute("kind"), k=20).ids == ordered
    assert (
        pins.search(like="pin-3", ranker=Varied(0.3), k=20).ids != varied.ids
    )  # variety stands on the learnt order


def test_pages_do_not_overlap_and_a_filter_holds(pins: vs.Index) -> None:
    adapt(pins, by_labels(pins, "attribute:kind"))
    whole = pins.search(like="pin-3", k=30).ids
    assert [*pins.search(like="pin-3", k=15).ids, *pins.search(like="pin-3", k=15, offset=15).ids] == whole
    assert {h.attributes["kind"] for h in pins.search(like="pin-3", where="kind == 'kind-4'")} == {"kind-4"}


def test_variants_boards_and_clicks_teach_too(pins: vs.Index) -> None:
    with pytest.raises(UsageError, match="no product has variants"):
        by_variants(pins)
    one = {"id": "pin-0", "image": colour(0), "kind": "kind-0", "luck": "luck-0", "product": "product-0"}
    pins.add([one], group_by="product")
    assert by_variants(pins).groups == KINDS * EACH // 4
    with pytest.raises(UsageError, match="no record of people"):
        by_boards(pins)
    for kind in range(KINDS):
        for n in range(EACH):
            pins.people.save("ada", f"pin-{kind * EACH + n}", board=f"board {kind}")
    assert by_boards(pins).groups == KINDS
    events = [Event("click", "ada", f"pin-{n}", answer=f"a{n // 4}") for n in range(40)]
    pins.people.record([*events, Event("click", "ada", "pin-50")])
    clicked = by_clicks(pins)
    assert (clicked.groups, len(clicked.vectors)) == (10, 40)
    assert adapt(pins, by_boards(pins)).kept


def test_labels_of_a_file_that_contradict_one_another_are_left_out(pins: vs.Index, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    lines = [f"pin-{n},kind-{n // EACH}" for n in range(KINDS * EACH)]
    file.write_text("pin,label\n" + "\n".join([*lines, "pin-0,other", "pin-1,other"]))
    found = by_labels(pins, str(file))
    assert len(found.vectors) == KINDS * EACH - 2
    assert found.left_out == {"pins with labels that contradict one another": 2}
    file.write_text("id,kind\n")
    with pytest.raises(SourceError, match="columns are id, kind"):
        by_labels(pins, str(file))
    with pytest.raises(SourceError, match="no such file"):
        by_labels(pins, "nowhere.csv")
    with pytest.raises(UnknownNameError):
        by_labels(pins, "attribute:nothing")


def test_a_catalogue_of_ten_pins_is_refused_with_the_number_that_is_needed(pins: vs.Index) -> None:
    few = Together(np.eye(10, 24, dtype=np.float32), np.arange(10), np.arange(10) // 5)
    with pytest.raises(UsageError, match="10 pins in 2 groups belong together, and 60 in 4 are needed"):
        adapt(pins, few)


def test_a_damaged_map_is_named_and_can_be_undone(pins: vs.Index) -> None:
    adapt(pins, by_labels(pins, "attribute:kind"))
    (pins.folder / "adapted" / "000001.npz").write_bytes(b"nothing")
    with vs.open(pins.folder, RowsEncoder()) as other:
        with pytest.raises(StorageError, match=r"000001\.npz.*--undo"):
            other.search(like="pin-3")
        other.heads.undo()
        assert len(other.search(like="pin-3")) == 10


def test_the_command_says_what_was_gained_and_what_was_refused(
    pins: vs.Index, run: Callable[..., Ran], tmp_path: Path
) -> None:
    folder = pins.folder
    kept = run("adapt", folder, "--labels", "attribute:kind", "--json")
    assert (kept.code, kept.json["kept"]) == (0, True)
    assert kept.json["after"] > kept.json["before"]
    refused = run("adapt", folder, "--labels", "attribute:luck")
    assert refused.code == 1
    assert "refused: the gain of" in refused.out
    assert "back to the plain order" in run("adapt", folder, "--undo").out
    assert "takes one of --labels" in run("adapt", folder).err
