from __future__ import annotations

import numpy as np
import pytest

from visualsearch.errors import UsageError
from visualsearch.trust import AccountModel, TextModel, recall_at_precision, spread_labels


def accounts(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Spam follows many and is followed by few."""
    rng = np.random.default_rng(seed)
    spam = rng.random(n) < 0.3
    follows = rng.lognormal(6, 1, n)
    followers = follows * np.where(spam, rng.lognormal(-2.5, 0.5, n), rng.lognormal(0, 0.5, n))
    return np.column_stack([followers.round(), follows.round(), rng.integers(0, 2, n)]).astype(float), spam


def test_accounts_are_told_by_a_ratio_that_no_column_holds() -> None:
    model = AccountModel.fit(*accounts(400, 0))
    numbers, spam = accounts(400, 1)
    assert recall_at_precision(model.scores(numbers), spam, 0.95) > 0.9


def test_accounts_that_cannot_be_learnt_from_are_named() -> None:
    numbers, spam = accounts(400, 0)
    with pytest.raises(UsageError, match="0 are spam"):
        AccountModel.fit(numbers, np.zeros(400, bool))
    with pytest.raises(UsageError, match="below 0"):
        AccountModel.fit(-numbers, spam)


HONEST = [
    "lovely oak table for the kitchen",
    "my garden in june",
    "blue dress with buttons",
    "recipe for soup",
] * 6
SPAM = [
    "win free cash prize now",
    "claim your prize call now",
    "free cash click here",
    "cheap pills free offer",
] * 6


def labels() -> np.ndarray:
    return np.array([False] * len(HONEST) + [True] * len(SPAM))


def test_a_misspelt_spam_text_is_found_and_explained() -> None:
    model = TextModel.fit(HONEST + SPAM, labels())
    scores = model.scores(["claim fr3e ca$h priize now", "a table of oak"])
    assert scores[0] > 0 > scores[1]
    pieces = [piece for piece, _ in model.why("free cash")]
    assert any("free" in piece or "cash" in piece for piece in pieces)
    assert model.why("") == []


def test_the_owners_labels_turn_the_model() -> None:
    texts = ["free pattern for a dress"] * 3
    before = TextModel.fit(HONEST + SPAM, labels()).scores(texts)
    after = TextModel.fit(HONEST + SPAM, labels(), own=texts, own_spam=np.zeros(3, bool)).scores(texts)
    assert after[0] < min(before[0], 0)


def test_the_queue_asks_for_what_is_unsure_and_not_twice_for_the_same() -> None:
    model = TextModel.fit(HONEST + SPAM, labels())
    texts = HONEST[:8] + SPAM[:8] + ["free table prize garden"] * 4
    asked = model.questions(texts, 5, np.random.default_rng(0))
    assert len(set(asked.tolist())) == 5
    assert sum(texts[i] == "free table prize garden" for i in asked[:4]) == 1


def test_few_or_unlabelled_texts_are_refused() -> None:
    with pytest.raises(UsageError, match="Label at least 5"):
        TextModel.fit(HONEST, np.zeros(len(HONEST), bool))
    with pytest.raises(UsageError, match="Label each"):
        TextModel.fit(HONEST, np.zeros(3, bool))


def test_wrong_labels_drown_in_the_graph() -> None:
    rng = np.random.default_rng(0)
    spam = np.arange(600) >= 300
    pairs = rng.integers(0, 300, (6000, 2))
    pairs[3000:] += 300
    bridge = np.column_stack([rng.integers(0, 300, 60), rng.integers(300, 600, 60)])
    labelled = rng.permutation(600)[:100]
    told = spam[labelled] ^ (rng.random(100) < 0.3)
    scores = spread_labels(np.concatenate([pairs, bridge]), 600, labelled, told)
    rest = np.setdiff1d(np.arange(600), labelled)
    assert (np.argsort(np.argsort(scores[rest]))[spam[rest]].mean()) > (len(rest) / 2) * 1.4


def test_who_knows_nobody_gets_nothing_and_odd_graphs_are_refused() -> None:
    edges = np.array([[0, 1], [2, 3], [4, 4]])
    scores = spread_labels(edges, 6, np.array([0, 2]), np.array([True, False]))
    assert scores[1] > 0 > scores[3]
    assert scores[4] == scores[5] == 0
    with pytest.raises(UsageError, match="outside the graph"):
        spread_labels(edges, 3, np.array([0]), np.array([True]))
    with pytest.raises(UsageError, match="one of each kind"):
        spread_labels(edges, 6, np.array([0]), np.array([True]))


def test_recall_at_precision_counts_equal_scores_together() -> None:
    spam = np.array([True, True, False, True, False])
    assert recall_at_precision(np.array([5.0, 4, 3, 2, 1]), spam, 0.95) == pytest.approx(2 / 3)
    assert recall_at_precision(np.array([5.0, 4, 3, 2, 1]), spam, 0.75) == 1
    assert recall_at_precision(np.array([1.0, 1, 1, 1, 1]), spam, 0.95) == 0
