"""A Ray cluster (one on this machine here) embeds as this process does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.adapters.ray import Cluster
from visualsearch.errors import UsageError
from visualsearch.sources import open_source

from .fakes import paint, paint_many


def vectors(folder: Path) -> dict[str, np.ndarray]:
    """Id -> vector, as an index takes them from a folder of embeddings."""
    with vs.create(folder.with_suffix(".index"), vs.load_encoder("bundled")) as index:
        index.add(folder)
        return {row.id: row.vector for batch in index.rows() for row in batch}


def embed(photos: Path, to: Path, *more: str) -> Any:
    """What the command says, run in a process of its own: Ray's beginning forks, which threads of other tests would disturb."""
    command = [sys.executable, "-m", "visualsearch", "embed", str(photos), "--to", str(to), "--json", *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr  # one picture is none
    return json.loads(done.stdout)


def test_a_cluster_embeds_as_this_process_does(tmp_path: Path) -> None:
    paint_many(tmp_path / "photos", 300)  # more than travel together
    (tmp_path / "photos" / "odd.png").write_bytes(b"no picture")
    here = embed(tmp_path / "photos", tmp_path / "here")
    done = embed(tmp_path / "photos", tmp_path / "there", "--ray", "local")
    counts = ("seen", "added", "unchanged", "failed", "failures")
    assert {n: done[n] for n in counts} == {n: here[n] for n in counts}
    ours, theirs = vectors(tmp_path / "here"), vectors(tmp_path / "there")
    assert len(ours) == 300
    assert ours.keys() == theirs.keys()
    likeness = [float(ours[name] @ theirs[name]) for name in ours]
    assert min(likeness) > 0.999
    paint(tmp_path / "photos" / "new.png", 7777)
    again = embed(tmp_path / "photos", tmp_path / "there", "--ray", "local")
    assert (again["added"], again["unchanged"], again["failed"]) == (1, 300, 1)


def test_a_cluster_that_is_not_there_is_named(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    # Another test may run a cluster of its own on this machine at this moment.
    from ray._private import services

    monkeypatch.setattr(services, "find_gcs_addresses", set)
    monkeypatch.setattr(services, "find_bootstrap_address", lambda temp_dir: None)
    with pytest.raises(UsageError, match=r"cannot join the Ray cluster 'auto'.*ray start"):
        next(Cluster("bundled", {}, "auto")(open_source(str(photos))))
