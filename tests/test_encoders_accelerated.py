"""Faster ways to run an open_clip model: the same vectors, guards that hold, and a cache that survives anything."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import tarfile
import threading
from dataclasses import replace

import numpy as np
import pytest

from visualsearch.encoders import calibration, kept, load_encoder, openvino, plan, trials
from visualsearch.encoders.trials import EXACT, Agreement, Backend, Choice, Runtime, RuntimeTrial
from visualsearch.errors import EncoderError, MissingExtraError, UsageError
from visualsearch.sources import open_source
from visualsearch.types import Precision

from .fakes import paint, paint_many
from .test_encoders_openclip import MODELS, SCENES, TEXTS, folders, least_centred_cosine  # noqa: F401

torch = pytest.importorskip("torch")
open_clip = pytest.importorskip("open_clip")
accelerated = pytest.mark.skipif(
    openvino.missing() is not None, reason="the extra accelerate is not installed"
)

INT8 = Runtime(Backend.OPENVINO, Precision.INT8)
BF16 = Runtime(Backend.TORCH, Precision.BF16)
GOOD = Agreement(pictures=200, least_cosine=0.9995, mean_cosine=0.9999, overlap=0.99)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of its own for each test."""
    monkeypatch.setenv("VISUALSEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "encoders"


@pytest.fixture
def clip(folders):  # noqa: F811
    return f"local-dir:{folders['clip']}"


@pytest.fixture
def source(tmp_path):
    """A folder of 80 pictures, opened."""
    paint_many(tmp_path / "pictures", 80)
    return open_source(tmp_path / "pictures")


@pytest.fixture
def quick(monkeypatch):
    """Stands for quantisation: the float graph is taken as it is; how often, and on how many pictures."""
    calls = []

    def copy(graph, pixels, to):
        calls.append(len(pixels))
        for suffix in (".xml", ".bin"):
            shutil.copyfile(graph.with_suffix(suffix), to.with_suffix(suffix))

    monkeypatch.setattr(openvino, "quantise", copy)
    return calls


# -- what is measured, and what follows -------------------------------------------------------------------------------
def test_agreement_counts_shared_neighbours_and_cosines():
    angles = np.linspace(0, 1, 13)
    exact = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    same = trials.agreement(exact, exact)
    assert same == Agreement(13, pytest.approx(1), pytest.approx(1), 1.0)
    moved = exact.copy()
    moved[0] = exact[12]  # its true neighbours are 1..10, now it finds 2..11 and 12
    found = trials.agreement(exact, moved)
    assert found.least_cosine == pytest.approx(np.cos(1), abs=1e-5)
    assert found.mean_cosine == pytest.approx((12 + np.cos(1)) / 13, abs=1e-5)
    assert 0.8 < found.overlap < 1


def test_overlap_of_a_known_change_is_what_it_must_be():
    rng = np.random.default_rng(0)
    exact = rng.normal(size=(40, 64)).astype(np.float32)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    order = np.argsort(-(exact @ exact.T - 2 * np.eye(40)), axis=1)[:, :10]
    other = exact[rng.permutation(40)]
    theirs = np.argsort(-(other @ other.T - 2 * np.eye(40)), axis=1)[:, :10]
    expected = np.mean([len(set(a) & set(b)) for a, b in zip(order, theirs, strict=True)]) / 10
    assert trials.agreement(exact, other).overlap == pytest.approx(expected, abs=1e-4)
    assert expected < 0.5


@pytest.mark.parametrize(
    ("way", "change", "reason"),
    [
        (BF16, {}, ""),
        (BF16, {"least_cosine": 0.9989}, "least cosine"),
        (BF16, {"overlap": 0.5}, ""),
        (INT8, {"least_cosine": 0.99}, ""),
        (INT8, {"overlap": 0.979}, "overlap"),
        (INT8, {"pictures": 99}, "too few"),
        (INT8, {"mean_cosine": 0.97}, "mean cosine"),
        (EXACT, {"least_cosine": 0.5}, ""),
    ],
)
def test_the_guards(way, change, reason):
    found = trials.refusal(way, replace(GOOD, **change))
    assert (reason in found) if reason else found == ""


def test_the_fastest_way_within_its_guard_is_chosen():
    slow, middle = RuntimeTrial(EXACT, 10, GOOD), RuntimeTrial(BF16, 40, GOOD)
    refused = RuntimeTrial(INT8, 90, GOOD, "its overlap is below 0.98")
    assert trials.fastest((slow, middle, refused)) == BF16
    assert trials.fastest((slow, middle, replace(refused, refused=""))) == INT8
    assert trials.fastest((slow, refused)) == EXACT


def test_int8_vectors_that_are_not_comparable_are_refused():
    trials.check_usable("m", replace(GOOD, mean_cosine=0.98))
    for bad in (0.9799, float("nan")):
        with pytest.raises(EncoderError, match=r"m cannot be run in int8.*0\.98.*bf16"):
            trials.check_usable("m", replace(GOOD, mean_cosine=bad))


def test_a_choice_survives_being_kept():
    choice = Choice(
        "m",
        Precision.AUTO,
        INT8,
        (RuntimeTrial(EXACT, 9.5, GOOD), RuntimeTrial(INT8, 50, GOOD, "no")),
        False,
        ("x",),
        True,
    )
    assert Choice.from_values(json.loads(json.dumps(choice.to_values()))) == choice


def test_a_choice_says_what_was_measured_and_among_how_many():
    text = "\n".join(
        Choice(
            "m", Precision.AUTO, INT8, (RuntimeTrial(EXACT, 9.5, GOOD), RuntimeTrial(INT8, 50, GOOD))
        ).lines()
    )
    assert "m: pictures are embedded in int8 by OpenVINO" in text
    assert "fp32 by torch: 9.5 pictures/s" in text
    assert "top-10 overlap 0.990 among 200 of your pictures" in text
    poor = RuntimeTrial(INT8, 50, GOOD, "its overlap is below 0.98")
    for way, verdict in ((INT8, "auto would not choose it"), (EXACT, "not chosen")):
        text = "\n".join(Choice("m", Precision.INT8, way, (poor,)).lines())
        assert f"your pictures; {verdict}: its overlap is below 0.98" in text


# -- what is kept -----------------------------------------------------------------------------------------------------
def writer(content, calls=None):
    def make(folder):
        if calls is not None:
            calls.append(content)
        (folder / "image.bin").write_bytes(content)

    return make


def test_a_thing_is_made_once(cache):
    calls = []
    first = kept.keep("a", writer(b"one", calls))
    assert kept.keep("a", writer(b"two", calls)) == first == kept.find("a") == cache / "a"
    assert calls == [b"one"]
    assert (first / "image.bin").read_bytes() == b"one"


@pytest.mark.parametrize("damage", ["changed", "cut", "gone", "manifest", "list"])
def test_a_damaged_entry_is_made_again(damage, caplog):
    folder = kept.keep("a", writer(b"right" * 100))
    {
        "changed": lambda: (folder / "image.bin").write_bytes(b"wrong" * 100),
        "cut": lambda: (folder / "image.bin").write_bytes(b"right"),
        "gone": (folder / "image.bin").unlink,
        "manifest": lambda: (folder / "manifest.json").write_text("{"),
        "list": lambda: (folder / "manifest.json").write_text("[]"),
    }[damage]()
    assert kept.find("a") is None
    assert (kept.keep("a", writer(b"again")) / "image.bin").read_bytes() == b"again"
    assert kept.find("a") == folder


def test_a_failed_making_leaves_nothing(cache):
    def fail(folder):
        (folder / "half").write_bytes(b"x")
        raise EncoderError("no")

    with pytest.raises(EncoderError):
        kept.keep("a", fail)
    assert [p.name for p in cache.iterdir() if not p.name.endswith(".lock")] == []


def test_what_a_killed_process_left_is_cleared_away(cache):
    (cache / ".a-1234" / "x").mkdir(parents=True)
    kept.keep("a", writer(b"one"))
    assert not (cache / ".a-1234").exists()


def test_two_at_once_make_one_thing():
    calls, start = [], threading.Barrier(2)

    def run(content):
        start.wait()
        kept.keep("a", writer(content, calls))

    both = [threading.Thread(target=run, args=(content,)) for content in (b"one", b"two")]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert len(calls) == 1
    assert (kept.find("a") / "image.bin").read_bytes() == calls[0]


def test_a_cache_that_cannot_be_written_is_an_error_for_models_and_a_warning_for_records(
    tmp_path, monkeypatch, caplog
):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("VISUALSEARCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(EncoderError, match="VISUALSEARCH_CACHE"):
        kept.keep("a", writer(b"x"))
    kept.write("r", {"a": 1})
    assert "not kept" in caplog.text
    assert kept.read("r") is None


# -- pictures to calibrate with ---------------------------------------------------------------------------------------
def test_the_sample_is_spread_over_the_source_and_skips_what_cannot_be_read(tmp_path):
    paint_many(tmp_path / "p", 30)
    (tmp_path / "p" / "00.png").write_bytes(b"not a picture")
    seen = []

    def square(picture):
        seen.append(picture.size)
        return np.full((3, 8, 8), np.asarray(picture)[0, 0, 0], np.uint8)

    found = calibration.sample(open_source(tmp_path / "p"), square, 8, wanted=11)
    everything = calibration.sample(open_source(tmp_path / "p"), square, 8)
    assert len(everything) == 30
    # Eleven of thirty-one records, ends included, the first of which is broken.
    wanted = np.linspace(0, 30, 11).round().astype(int)[1:] - 1
    np.testing.assert_array_equal(found, everything[wanted])


def test_only_the_head_of_a_tar_is_read(tmp_path, monkeypatch):
    paint_many(tmp_path / "p", 12)
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        for path in sorted((tmp_path / "p").iterdir()):
            tar.add(path, path.name)
    source = open_source(tmp_path / "s.tar")
    read = []
    monkeypatch.setattr(type(source), "__iter__", lambda self: (read.append(r) or r for r in plain(self)))

    def plain(self):
        return self._shard(self.shards[0])

    found = calibration.sample(source, lambda p: np.asarray(p.resize((8, 8))).transpose(2, 0, 1), 8, wanted=5)
    assert len(found) == len(read) == 5


# -- towers -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "shortened"), [("clip", True), ("siglip", False), ("padded", False)])
def test_the_last_block_computes_one_token_where_one_is_pooled(folders, name, shortened):  # noqa: F811
    encoder = load_encoder(f"local-dir:{folders[name]}", device="cpu", precision="fp32")
    blocks = getattr(getattr(encoder._model.visual, "transformer", None), "resblocks", None)
    if blocks is None:
        assert not shortened
        return
    shapes = []
    for block in blocks:
        block.mlp.register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[0].shape)))
    encoder.embed_images(SCENES[:2])
    assert shapes == [(2, 37, 64), (2, 1, 64)]


@accelerated
@pytest.mark.parametrize("name", MODELS)
def test_a_converted_tower_gives_torchs_vectors_for_every_batch_size(folders, tmp_path, name):  # noqa: F811
    encoder = load_encoder(f"local-dir:{folders[name]}", device="cpu", precision="fp32")
    network = encoder._model

    class Pictures(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, pixels):
            return self.network.encode_image(pixels)

    openvino.convert(Pictures().eval(), encoder.spec.preprocessing, tmp_path / "image.xml")
    pixels = np.stack([encoder.preprocess(SCENES[n % 8]) for n in range(24)])
    pixels[8:] = np.clip(pixels[8:].astype(int) + np.arange(16)[:, None, None, None] * 3, 0, 255)
    exact = encoder.encode_images(pixels)
    tower = openvino.OpenVinoTower(tmp_path / "image.xml", Precision.FP32, 2)
    for count in (
        1,
        3,
        16,
        19,
        24,
    ):  # alone, few, a whole chunk, a chunk and a few, a chunk and one filled up
        ours = tower(pixels[:count])
        ours /= np.linalg.norm(ours, axis=1, keepdims=True)
        np.testing.assert_allclose(ours, exact[:count], atol=2e-4)
    assert torch.backends.mha.get_fastpath_enabled()


@accelerated
def test_importing_openvino_loads_nothing_that_reports_home():
    code = (
        "import sys; from visualsearch.encoders import openvino; openvino._openvino();"
        " print(sorted(m for m in sys.modules if m.startswith('openvino_telemetry')), 'openvino' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[] True"


def test_chunks_are_sent_while_the_one_before_is_computed(monkeypatch):
    """The order of events on a card, with streams that only write down what is asked of them."""
    from contextlib import contextmanager

    from visualsearch.encoders.towers import TorchTower
    from visualsearch.types import Preprocessing

    events = []

    class Stream:
        def __init__(self, *_):
            pass

        def wait_stream(self, _):
            events.append("wait")

    @contextmanager
    def stream(_):
        events.append("send")
        yield

    def encode(batch):
        events.append("compute")
        return batch.mean((2, 3))

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: events.append("pin") or self)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda self, _: events.append("record"))
    how = Preprocessing(4, mean=(0.5,) * 3, std=(0.25,) * 3)
    tower = TorchTower(encode, how, torch.device("cpu"), Precision.FP32, chunk=4)
    pixels = np.random.default_rng(1).integers(0, 256, (10, 3, 4, 4), dtype=np.uint8)
    whole = tower(pixels)
    events.clear()
    with torch.inference_mode():
        chunked = tower._overlapped(torch.from_numpy(pixels)).numpy()
    np.testing.assert_array_equal(chunked, whole)
    sent, done = ["send", "pin"], ["wait", "record", "compute"]
    assert events == [*sent, *done, *sent, *done, *sent, *done]


def test_a_compiled_encoder_gives_the_same_vectors(clip, monkeypatch):
    compiled, real = [], torch.compile
    monkeypatch.setattr(torch, "compile", lambda f: compiled.append(f) or real(f, backend="eager"))
    ours = load_encoder(clip, device="cpu", precision="fp32", compiled=True).embed_images(SCENES)
    assert len(compiled) == 1
    plainly = load_encoder(clip, device="cpu", precision="fp32").embed_images(SCENES)
    np.testing.assert_allclose(ours, plainly, atol=1e-5)


def test_attention_goes_through_the_fused_operator(clip, monkeypatch):
    calls, real = [], torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional, "scaled_dot_product_attention", lambda *a, **k: calls.append(1) or real(*a, **k)
    )
    load_encoder(clip, device="cpu", precision="bf16").embed_images(SCENES[:1])
    assert calls


# -- encoders ---------------------------------------------------------------------------------------------------------
@accelerated
def test_int8_is_calibrated_on_the_users_pictures_and_remembered(clip, source, monkeypatch, caplog):
    """The whole way, with real quantisation."""
    caplog.set_level(logging.INFO, "visualsearch.encoders")
    exact = load_encoder(clip, device="cpu", precision="fp32")
    encoder = load_encoder(clip, device="cpu", precision="int8")
    assert encoder.choice is None
    encoder.calibrate(source, 80)
    assert encoder.choice.way == INT8
    assert encoder.choice.own
    assert {t.way for t in encoder.choice.trials} == {EXACT, INT8}
    assert encoder.choice.trials[0].agreement.pictures == 40  # those that quantisation did not see
    assert encoder.spec.precision is Precision.INT8
    assert encoder.spec.fingerprint == exact.spec.fingerprint
    assert "40 pictures are too few to judge it" in caplog.text
    assert "among 40 of your pictures" in caplog.text
    ours, reference = encoder.embed_images(SCENES), exact.embed_images(SCENES)
    assert (ours * reference).sum(1).min() > 0.99
    assert least_centred_cosine(ours, reference) > 0.9
    assert np.abs(ours - reference).max() > 1e-5  # it did compute in another format
    assert (encoder.embed_texts(TEXTS) * exact.embed_texts(TEXTS)).sum(1).min() > 0.999

    def never(*_):
        raise AssertionError("converted twice")

    monkeypatch.setattr(openvino, "quantise", never)
    again = load_encoder(clip, device="cpu", precision="int8")
    assert again.choice == encoder.choice
    again.calibrate(source, 80)
    np.testing.assert_array_equal(again.embed_images(SCENES), ours)


@accelerated
def test_int8_for_a_query_is_calibrated_on_sample_pins_and_says_so(clip, source, quick, caplog):
    caplog.set_level(logging.INFO, "visualsearch.encoders")
    encoder = load_encoder(clip, device="cpu", precision="int8")
    encoder.embed_images(SCENES[:1])
    assert not encoder.choice.own
    assert "sample pins, not your pictures" in caplog.text
    assert quick == [plan.CALIBRATING]
    encoder.calibrate(source, 80)  # pictures of the user's own are better: converted again
    assert encoder.choice.own
    assert quick == [plan.CALIBRATING, 40]


@accelerated
def test_a_damaged_conversion_is_made_again(clip, source, quick, cache):
    load_encoder(clip, device="cpu", precision="int8").calibrate(source, 80)
    for weights in cache.glob("int8-*/image.bin"):
        weights.write_bytes(weights.read_bytes()[:-1])
    encoder = load_encoder(clip, device="cpu", precision="int8")
    assert encoder.choice is None
    encoder.calibrate(source, 80)
    assert quick == [40, 40]
    assert encoder.embed_images(SCENES).shape == (8, 48)


@accelerated
def test_a_conversion_that_spoils_the_vectors_is_refused(clip, source, quick, monkeypatch):
    monkeypatch.setattr(trials, "agreement", lambda *_: replace(GOOD, mean_cosine=0.9))
    with pytest.raises(EncoderError, match=r"mean cosine to fp32 is 0\.9"):
        load_encoder(clip, device="cpu", precision="int8").calibrate(source, 80)


@pytest.fixture
def measured(monkeypatch):
    """Fixes what was measured: speeds by way, and how int8 agrees; `auto` measures sources of any size."""
    speeds = {
        EXACT: 10.0,
        BF16: 40.0,
        Runtime(Backend.OPENVINO, Precision.FP32): 20.0,
        Runtime(Backend.OPENVINO, Precision.BF16): 45.0,
    }
    monkeypatch.setattr(plan, "WORTH_MEASURING", 1)
    monkeypatch.setattr(plan, "CALIBRATING", 16)
    monkeypatch.setattr("visualsearch.encoders.openclip.cpu_has_bf16", lambda: True)
    monkeypatch.setattr(trials, "speeds", lambda towers, _: {way: speeds.get(way, 90.0) for way in towers})
    return monkeypatch


def with_agreement(monkeypatch, **change):
    monkeypatch.setattr(trials, "agreement", lambda *_: replace(GOOD, **change))


@accelerated
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, INT8),
        ({"overlap": 0.97}, Runtime(Backend.OPENVINO, Precision.BF16)),
        ({"overlap": 0.97, "least_cosine": 0.99}, EXACT),
    ],
)
def test_auto_takes_the_fastest_way_within_its_guards_and_remembers_it(
    clip, source, quick, measured, change, expected, cache
):
    with_agreement(measured, **change)
    encoder = load_encoder(clip, device="cpu")
    encoder.calibrate(source, 1_000_000)
    assert encoder.choice.way == expected
    assert len(encoder.choice.trials) == 5
    assert encoder.spec.precision is expected.precision
    again = load_encoder(clip, device="cpu")
    assert again.choice == encoder.choice
    assert again.spec.precision is expected.precision
    exact = load_encoder(clip, device="cpu", precision="fp32").embed_images(SCENES)
    assert (again.embed_images(SCENES) * exact).sum(1).min() > 0.998
    assert bool(list(cache.glob("float-*/"))) == (expected == Runtime(Backend.OPENVINO, Precision.BF16))


@accelerated
def test_auto_tries_int8_only_where_it_wins_back_its_conversion(clip, source, quick, measured):
    with_agreement(measured)
    encoder = load_encoder(clip, device="cpu")
    encoder.calibrate(source, 80)
    assert encoder.choice.postponed
    assert "int8" in encoder.choice.left_out[0]
    assert encoder.choice.way == Runtime(Backend.OPENVINO, Precision.BF16)
    encoder.calibrate(source, 80)
    assert quick == []
    encoder.calibrate(source, 1_000_000)
    assert encoder.choice.way == INT8
    assert not encoder.choice.postponed


def test_auto_does_not_measure_for_small_sources_nor_for_queries(clip, source, cache):
    encoder = load_encoder(clip, device="cpu")
    encoder.calibrate(source, 80)
    encoder.embed_images(SCENES)
    assert encoder.choice is None
    assert not cache.exists()


def test_without_the_extra_auto_runs_on_torch_alone_and_names_it(clip, source, measured):
    measured.setattr(openvino, "missing", lambda: "openvino")
    with_agreement(measured)
    encoder = load_encoder(clip, device="cpu")
    encoder.calibrate(source, 1_000_000)
    assert encoder.choice.way == BF16
    assert "pip install 'visualsearch[accelerate]'" in "\n".join(encoder.choice.lines())


def test_int8_without_the_extra_names_it(clip, monkeypatch):
    monkeypatch.setattr(openvino, "missing", lambda: "nncf")
    with pytest.raises(MissingExtraError, match=r"int8 needs nncf.*visualsearch\[accelerate\]"):
        load_encoder(clip, device="cpu", precision="int8")


def test_int8_is_for_the_cpu(clip, monkeypatch):
    monkeypatch.setattr("visualsearch.encoders.openclip._device", lambda _: torch.device("cuda"))
    with pytest.raises(UsageError, match="int8 does not run on cuda"):
        load_encoder(clip, device="cuda", precision="int8")


@accelerated
def test_indexing_calibrates_on_the_source_and_any_precision_may_search(clip, tmp_path, quick):
    import visualsearch as vs

    paint_many(tmp_path / "pictures", 70)
    query = paint(tmp_path / "pictures" / "query.png", 7)
    with vs.create(tmp_path / "x.index", clip, device="cpu", precision="int8") as index:
        index.add(tmp_path / "pictures")
        assert index.encoder.choice.own
    with vs.open(tmp_path / "x.index", precision="fp32", device="cpu") as index:
        assert "query.png" in index.search(image=query, k=3).ids


def test_the_command_line_tells_on_stderr_what_was_chosen(capsys):
    from visualsearch.cli.common import tell_choices

    log = logging.getLogger("visualsearch.encoders")
    before, level, up = list(log.handlers), log.level, log.propagate
    try:
        tell_choices()
        tell_choices()
        log.info("%s pictures/s", 40)
    finally:
        log.handlers, log.propagate = before, up
        log.setLevel(level)
    assert capsys.readouterr() == ("", "40 pictures/s\n")
