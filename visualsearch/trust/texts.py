"""Spam texts: a linear model over pieces of words.

Sequences of two to five letters within words, weighted by tf-idf, and a linear support vector machine: what a spammer misspells
still shares most pieces, and every piece has one weight that can be shown. Source: Joachims 1998; character n-grams for spam:
Kanaris et al. 2007.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from visualsearch.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

Float64 = NDArray[np.float64]
FEWEST = 5
"""Labelled texts of each kind, below which nothing is learnt."""
LONGEST = 20_000
"""Letters of a text that are read."""
OURS = 1.0
"""How much the owner's own labels weigh together, relative to all texts that were there before."""
SURPRISE = 0.2
"""The share of questions that are drawn at random, so that the queue also finds what the model is wrongly sure of."""


class TextModel:
    """Learns from labelled texts which others look like spam. Needs the extra `learn`."""

    def __init__(self, pieces: TfidfVectorizer, line: LinearSVC) -> None:
        self._pieces, self._line = pieces, line

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        spam: NDArray[np.bool_],
        *,
        own: Sequence[str] = (),
        own_spam: NDArray[np.bool_] | None = None,
    ) -> TextModel:
        """`texts` labelled by `spam` (n,) bool; `own` are the owner's texts, which together weigh as much as all others.

        Raises UsageError for fewer than five texts of either kind.
        """
        try:
            from sklearn.feature_extraction.text import TfidfVectorizer
            from sklearn.svm import LinearSVC
        except ImportError as error:
            raise MissingExtraError("cannot learn from texts", "learn") from error
        labels = np.concatenate([spam, own_spam if own_spam is not None else np.zeros(0, bool)]).astype(bool)
        everything = [*_cut(texts), *_cut(own)]
        if len(everything) != len(labels):
            raise UsageError(
                "cannot learn from these texts",
                f"{len(everything)} texts, {len(labels)} labels",
                "Label each",
            )
        if min(int(labels.sum()), int((~labels).sum())) < FEWEST:
            raise UsageError(
                "cannot learn from these texts",
                f"{int(labels.sum())} are spam and {int((~labels).sum())} are not",
                f"Label at least {FEWEST} of each",
            )
        pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2)
        try:
            matrix = pieces.fit_transform(everything)
        except ValueError as error:
            raise UsageError(
                "cannot learn from these texts", "no two of them share a word", "Label more texts"
            ) from error
        weights = np.ones(len(labels))
        if own and texts:
            weights[len(texts) :] = max(OURS * len(texts) / len(own), 1.0)
        line = LinearSVC(C=0.5, random_state=0)
        line.fit(matrix, labels, sample_weight=weights)
        return cls(pieces, line)

    def scores(self, texts: Sequence[str]) -> Float64:
        """(n,) float64: the signed distance to the border; above 0 is spam."""
        if not len(texts):
            return np.zeros(0)
        found: Float64 = self._line.decision_function(self._pieces.transform(_cut(texts)))
        return found

    def why(self, text: str, k: int = 5) -> list[tuple[str, float]]:
        """The `k` pieces of the text that speak most for spam, with what each adds to its score."""
        row = self._pieces.transform(_cut([text]))
        added = row.data * self._line.coef_[0][row.indices]
        names = self._pieces.get_feature_names_out()
        best = np.argsort(-added)[:k]
        return [(str(names[row.indices[i]]), float(added[i])) for i in best if added[i] > 0]

    def questions(self, texts: Sequence[str], k: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """(k,) places of the texts whose label would teach most: those nearest the border, no two alike, and a few at random.

        Source: uncertainty sampling, Lewis and Gale 1994. Fewer when there are fewer texts.
        """
        scores = self.scores(texts)
        order = np.argsort(np.abs(scores), kind="stable")
        near = order[: max(6 * k, 1)]
        matrix = self._pieces.transform(_cut([texts[i] for i in near]))
        chosen: list[int] = []
        wanted = k - round(k * SURPRISE)
        alike = np.zeros(len(near))
        for place in range(len(near)):
            if len(chosen) < wanted and alike[place] < 0.5:
                chosen.append(int(near[place]))
                alike = np.maximum(alike, np.asarray((matrix @ matrix[place].T).todense()).ravel())
        rest = np.setdiff1d(np.arange(len(texts)), chosen)
        drawn = rng.permutation(rest)[: max(k - len(chosen), 0)]
        return np.concatenate([np.asarray(chosen, np.int64), drawn.astype(np.int64)])


def _cut(texts: Sequence[str]) -> list[str]:
    return [text[:LONGEST] for text in texts]
