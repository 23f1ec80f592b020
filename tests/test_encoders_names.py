"""What a user may call a model, the registry, and where the data is."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from visualsearch import resources
from visualsearch.encoders import ENCODERS, load_encoder, names, recommended, registry
from visualsearch.errors import (
    EncoderError,
    MissingExtraError,
    UnknownNameError,
    UsageError,
    VisualSearchError,
)


@pytest.mark.parametrize(
    ("name", "architecture", "tag"),
    [
        ("ViT-B-32/laion2b_s34b_b79k", "ViT-B-32", "laion2b_s34b_b79k"),
        ("ViT-B-32:openai", "ViT-B-32", "openai"),
        ("ViT-B-32:laion2b-s34b-b79k", "ViT-B-32", "laion2b_s34b_b79k"),
        ("ViT-B/32/openai", "ViT-B-32", "openai"),
        ("ViT-B-32", "ViT-B-32", "laion2b_s34b_b79k"),  # the recommended tag
        ("ViT-B-32-SigLIP2-256", "ViT-B-32-SigLIP2-256", "webli"),
        ("ViT-L-14-DataComp", "ViT-L-14", "datacomp_xl_s13b_b90k"),
        ("EVA02-E-14", "EVA02-E-14", "laion2b_s4b_b115k"),  # the only tag there is
        ("hf-hub:org/model", "hf-hub:org/model", ""),
    ],
)
def test_open_clip_names_resolve(name, architecture, tag):
    target = names.resolve(name)
    assert (target.family, target.architecture, target.tag) == ("openclip", architecture, tag)
    assert names.resolve(target.name) == target  # the name in an index's catalog loads the same model


def test_bundled_and_folder_names_resolve_to_the_folder():
    assert names.resolve("bundled").architecture == registry.bundled_name()
    assert names.resolve("efficientnet-lite0") == names.Target(
        "efficientnet-lite0", "bundled", "efficientnet-lite0"
    )


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("bundeld", "bundled"),
        ("ViT-B-33", "ViT-B-32"),
        ("efficientnet-lite", "efficientnet-lite0"),
        ("SigLIP2", "SigLIP"),
    ],
)
def test_an_unknown_name_lists_the_near_ones(name, near):
    with pytest.raises(UnknownNameError, match=f"{near}.*visualsearch models"):
        load_encoder(name)


def test_an_unknown_tag_lists_the_tags():
    with pytest.raises(UnknownNameError, match="laion2b_s34b_b79k"):
        load_encoder("ViT-B-32/laion2b")


def test_an_architecture_with_several_tags_and_no_recommended_one_asks_for_one():
    with pytest.raises(UsageError, match=r'openai, .*Name one: "ViT-B-16/'):
        load_encoder("ViT-B-16")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("hf-hub:", UsageError, "nothing follows"),
        ("local-dir:", UsageError, "nothing follows"),
        ("/nowhere/model.safetensors", EncoderError, "no such file"),
        ("/nowhere/model", EncoderError, "no such file"),
        ("ViT-B-32:/nowhere/model.pt", EncoderError, "no such file"),
        ("local-dir:/nowhere", EncoderError, r"no open_clip_config\.json"),
    ],
)
def test_a_path_that_is_not_there_is_said_to_be_missing(name, error, message):
    with pytest.raises(error, match=message):
        load_encoder(name)


def test_a_checkpoint_alone_asks_for_its_architecture(tmp_path):
    path = tmp_path / "weights.pt"
    path.touch()
    with pytest.raises(UsageError, match=r'"ViT-B-32:.*weights\.pt"'):
        load_encoder(str(path))


def test_a_folder_with_two_checkpoints_asks_which(tmp_path):
    (tmp_path / "open_clip_config.json").write_text("{}")
    for name in ("a.pt", "b.pt"):
        (tmp_path / name).touch()
    with pytest.raises(EncoderError, match=r"a\.pt, b\.pt"):
        load_encoder(str(tmp_path))
    (tmp_path / "c.safetensors").touch()
    assert (
        names.resolve(str(tmp_path)).checkpoint == tmp_path.resolve() / "c.safetensors"
    )  # the safe kind wins


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "auto, cpu, cuda, mps"),
        ({"precision": "fp8"}, "auto, fp32, bf16, fp16"),
        ({"threads": 0}, "1 or more"),
    ],
)
def test_an_unknown_device_precision_or_thread_count_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        load_encoder("bundled", **options)


def test_without_torch_an_open_clip_model_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"visualsearch\[clip\]"):
        load_encoder("ViT-B-32-SigLIP2-256")


def test_without_open_clip_an_unknown_name_says_where_more_come_from(monkeypatch):
    monkeypatch.setattr(names, "architectures", set)
    with pytest.raises(UnknownNameError, match=r"visualsearch\[clip\]"):
        load_encoder("ViT-B-16/openai")


def test_resolving_names_does_not_import_torch():
    code = """
import sys, json
from visualsearch.encoders import names, recommended
resolved = [names.resolve(name).name for name in ("bundled", "ViT-B-32", "ViT-B-16/openai", "hf-hub:a/b")]
imported = sorted({"torch", "open_clip", "onnxruntime"} & set(sys.modules))
print(json.dumps([resolved[1:], len(recommended()), imported]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    resolved, count, imported = json.loads(done.stdout)
    assert resolved == ["ViT-B-32/laion2b_s34b_b79k", "ViT-B-16/openai", "hf-hub:a/b"]
    assert count == len(recommended())
    assert imported == []


def test_every_family_of_the_names_is_in_the_table():
    assert set(ENCODERS) == {"bundled", "openclip"}


@pytest.mark.parametrize("entry", recommended(), ids=lambda entry: entry.name)
def test_a_recommended_model_agrees_with_open_clips_own_configuration(entry):
    open_clip = pytest.importorskip("open_clip")
    config = open_clip.get_model_config(entry.architecture)
    assert entry.dim == config["embed_dim"]
    assert entry.image_size == config["vision_cfg"]["image_size"]
    assert entry.tag in open_clip.list_pretrained_tags_by_model(entry.architecture)
    assert 50 < entry.imagenet < 90
    assert entry.source
    assert entry.purpose


def test_recommended_names_are_distinct_and_research_weights_are_marked():
    entries = recommended()
    assert len({entry.name for entry in entries}) == len(entries)
    assert [entry.name for entry in entries if entry.license == "apple-amlr"] == [
        entry.name for entry in entries if entry.research_only
    ]
    assert not entries[0].research_only
    assert registry.bundled_name() in registry.folder_names()


def test_a_damaged_registry_is_an_error_that_names_the_file(tmp_path, monkeypatch):
    (tmp_path / "registry.toml").write_text('bundled = "x"\n[[model]]\nname = "y"\n')
    monkeypatch.setattr(registry, "models_dir", lambda: tmp_path)
    registry._read.cache_clear()
    try:
        with pytest.raises(EncoderError, match=r"registry\.toml"):
            recommended()
    finally:
        registry._read.cache_clear()


def test_data_folders_are_found_in_a_wheel_first_then_in_a_checkout(tmp_path, monkeypatch):
    package = tmp_path / "visualsearch"
    monkeypatch.setattr(resources, "_PACKAGE", package)
    with pytest.raises(VisualSearchError, match="'models' is missing"):
        resources.models_dir()
    (tmp_path / "models").mkdir()
    with pytest.raises(VisualSearchError, match="'models' is missing"):
        resources.models_dir()  # somebody else's folder of that name
    (tmp_path / "models" / "registry.toml").touch()
    assert resources.models_dir() == tmp_path / "models"
    (package / "_data" / "models").mkdir(parents=True)
    (package / "_data" / "models" / "registry.toml").touch()
    assert resources.models_dir() == package / "_data" / "models"
