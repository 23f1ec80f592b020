"""What our recommender is measured against, a file each. Each is tuned on a part of the training saves that is set aside.

LightFM is not among them: its newest release (1.17) does not build on Python 3.11 and later.
"""

from __future__ import annotations

from collections.abc import Mapping

from .als import ALS
from .base import Peer, Tuned, missing, tuned
from .bpr import BPR
from .ease import EASE
from .item_knn import ITEM_KNN
from .popularity import POPULARITY
from .rp3beta import RP3BETA

PEERS: Mapping[str, Peer] = {peer.name: peer for peer in (POPULARITY, ITEM_KNN, RP3BETA, ALS, BPR, EASE)}

__all__ = ["PEERS", "Peer", "Tuned", "missing", "tuned"]
