"""What an object is called: by the nearest words of a vocabulary, or by the votes of its neighbours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from visualsearch.types import Encoder, Float32, Hit

VOICES = 10
"""Neighbours that vote for a category."""
WARMTH = 0.05
"""A neighbour's vote is exp((its cosine - the best one's) / WARMTH): one that is 0.05 further counts a third."""
PROMPT = "a photo of a {}"
VOCABULARY = (
    "lamp", "sofa", "chair", "armchair", "table", "desk", "bed", "rug", "curtain", "cushion", "mirror", "shelf", "cabinet",
    "vase", "candle", "clock", "picture frame", "plant", "flower", "tree", "leaf", "mushroom", "basket", "box", "bottle",
    "cup", "mug", "glass", "plate", "bowl", "pot", "pan", "knife", "fork", "spoon", "kettle", "toaster", "teapot", "jar",
    "dress", "shirt", "t-shirt", "blouse", "sweater", "jacket", "coat", "trousers", "jeans", "shorts", "skirt", "sock",
    "shoe", "boot", "sneaker", "sandal", "hat", "cap", "helmet", "glove", "scarf", "belt", "bag", "handbag", "backpack",
    "suitcase", "wallet", "watch", "ring", "necklace", "earring", "glasses", "sunglasses", "umbrella", "tie",
    "apple", "pear", "orange", "lemon", "banana", "grapes", "strawberry", "cherry", "pineapple", "melon", "mango", "peach",
    "avocado", "kiwi fruit", "tomato", "cucumber", "pepper", "carrot", "potato", "onion", "garlic", "cabbage", "lettuce",
    "corn", "bread", "cake", "cheese", "egg", "milk carton", "juice carton", "yoghurt", "chocolate", "ice cream", "pizza",
    "dog", "cat", "horse", "cow", "sheep", "pig", "goat", "rabbit", "mouse", "bird", "duck", "chicken", "owl", "parrot",
    "penguin", "fish", "shark", "whale", "dolphin", "turtle", "frog", "snake", "lizard", "spider", "butterfly", "bee",
    "beetle", "elephant", "lion", "tiger", "bear", "monkey", "deer", "zebra", "giraffe", "rhinoceros", "kangaroo", "seal",
    "car", "truck", "bus", "van", "motorcycle", "bicycle", "train", "aeroplane", "helicopter", "boat", "ship", "tractor",
    "ball", "football", "basketball", "tennis racket", "skateboard", "surfboard", "ski", "climbing harness", "tent", "rope",
    "guitar", "violin", "piano", "trumpet", "drum", "saxophone", "flute", "microphone", "headphones", "loudspeaker",
    "computer", "laptop", "keyboard", "telephone", "camera", "television", "printer", "book", "pencil", "pen", "scissors",
    "hammer", "saw", "pliers", "screwdriver", "wrench", "drill", "tape measure", "toolbox", "nail", "ladder", "bucket",
    "toy", "teddy bear", "doll", "balloon", "kite", "gift", "coin", "key", "lock", "statue", "building", "house", "person",
)  # fmt: skip
"""Words for objects that people shop for or point at, where the caller gives none."""


@dataclass(frozen=True)
class Name:
    """A name, how sure it is (share of votes, or cosine), and where it comes from ("votes", "words")."""

    text: str
    score: float
    source: str


class Words:
    """A vocabulary's vectors, encoded once. `prompt` is the sentence around each word, with {} in its place (default: PROMPT)."""

    def __init__(
        self, encoder: Encoder, vocabulary: Sequence[str] = VOCABULARY, prompt: str | None = None
    ) -> None:
        self.vocabulary = tuple(vocabulary)
        texts = [(prompt or PROMPT).format(word) for word in self.vocabulary]
        parts = [encoder.encode_texts(texts[at : at + 64]) for at in range(0, len(texts), 64)]
        self.vectors: Float32 = np.concatenate(parts)

    def nearest(self, vector: Float32) -> Name:
        """The word whose vector has the highest cosine with a unit vector (d,)."""
        scores = self.vectors @ vector
        best = int(scores.argmax())
        return Name(self.vocabulary[best], float(scores[best]), "words")


def votes(neighbours: Sequence[Hit], attribute: str) -> Name | None:
    """The value of `attribute` that the nearest neighbours, best first, mostly have, and its share of the votes.

    Neighbours without the attribute vote for no name: they lower its share. None when no neighbour has one. Ties go to the
    nearer neighbour.
    """
    voting = neighbours[:VOICES]
    tally: dict[str, float] = defaultdict(float)
    every = 0.0
    for hit in voting:
        voice = float(np.exp((hit.score - voting[0].score) / WARMTH))
        every += voice
        value = hit.attributes.get(attribute)
        if isinstance(value, str):
            tally[value] += voice
    if not tally:
        return None
    best = max(tally, key=lambda name: tally[name])
    return Name(best, tally[best] / every, "votes")
