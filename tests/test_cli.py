"""The command line: the contract, one clear message for every bad input, documented exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from visualsearch import cli
from visualsearch.samples import manifest, samples_dir, scenes

from .fakes import paint, paint_many


@pytest.fixture(scope="module")
def pins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index over the sample pins, by the bundled encoder; tests only read it."""
    folder = tmp_path_factory.mktemp("cli") / "pins.index"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    words = [sys.executable, "-m", "visualsearch", "index", str(manifest()), "--to", str(folder)]
    subprocess.run(words, check=True, capture_output=True, env=env)
    return folder


@pytest.fixture
def apple() -> Path:
    return next(samples_dir().rglob("*apple*.jpg"))


def commands() -> list[str]:
    found = []
    for command in cli.app.registered_commands:
        assert command.callback is not None
        found.append(command.name or command.callback.__name__.replace("_", "-"))
    return found


def test_the_commands_of_the_contract_exist() -> None:
    groups = {g.name for g in cli.app.registered_groups}
    wanted = {
        "demo",
        "index",
        "search",
        "embed",
        "remove",
        "compact",
        "verify",
        "info",
        "dedup",
        "models",
        "bench",
    }
    assert wanted <= {*commands(), *groups}


@pytest.mark.parametrize("name", commands())
def test_every_command_has_help_with_an_example(run: Any, name: str) -> None:
    shown = run(name, "--help")
    assert shown.code == 0
    assert "Example:" in shown.out
    assert f"visualsearch {name}" in " ".join(shown.out.split())


def test_a_command_without_an_example_would_be_noticed(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    command = next(
        c for c in cli.app.registered_commands if c.callback is not None and c.callback.__name__ == "info"
    )
    assert command.callback is not None
    monkeypatch.setattr(command.callback, "__doc__", "Show what an index holds.")
    assert "Example:" not in run("info", "--help").out


def test_index_then_search_by_picture_prints_json_and_nothing_else(run: Any, tmp_path: Path) -> None:
    paint_many(tmp_path / "photos", 12)
    built = run("index", tmp_path / "photos", "--to", tmp_path / "x.index", "--json")
    assert built.code == 0
    assert (built.json["pins"], built.json["failed"], built.json["sources"][0]["added"]) == (12, 0, 12)
    found = run("search", tmp_path / "x.index", tmp_path / "photos" / "004.png", "-k", "3", "--json")
    assert found.code == 0
    hits = found.json["hits"]
    assert len(hits) == 3
    assert set(hits[0]) == {"id", "uri", "score", "box", "attributes"}
    assert hits[0]["id"] == "004.png"
    assert hits[0]["uri"] == str(tmp_path / "photos" / "004.png")
    assert hits[0]["score"] == pytest.approx(1.0, abs=2e-3)
    assert hits[0]["box"] == [0, 0, 1, 1]
    again = run("index", tmp_path / "photos", "--to", tmp_path / "x.index", "--json")
    assert (again.json["sources"][0]["unchanged"], again.json["sources"][0]["embedded"]) == (12, 0)
    info = run("info", tmp_path / "x.index", "--json").json
    assert (info["pins"], info["rows"], info["recall"]) == (12, 12, 1.0)
    assert info["encoder"]


def test_several_sources_and_failures_give_exit_code_one(run: Any, tmp_path: Path) -> None:
    paint_many(tmp_path / "a", 3)
    paint_many(tmp_path / "b", 2, start=50)
    (tmp_path / "b" / "bad.jpg").write_text("<html>404</html>")
    built = run("index", tmp_path / "a", tmp_path / "b", "--to", tmp_path / "x.index", "--json")
    assert (built.code, built.json["pins"], built.json["failed"]) == (1, 5, 1)
    assert "bad.jpg" in built.err
    listed = run("info", tmp_path / "x.index", "--failures")
    assert listed.code == 0
    assert "bad.jpg" in listed.out
    assert listed.out.count("\n") == 1


def test_crops_in_pixels_and_fractions_agree(run: Any, pins: Path, tmp_path: Path, apple: Path) -> None:
    scene = Image.new("RGB", (1000, 800), "white")
    scene.paste(Image.open(apple).resize((200, 200)), (600, 400))
    scene.save(tmp_path / "scene.png")
    by_pixels = run("search", pins, tmp_path / "scene.png", "--crop", "600,400,800,600", "--json").json[
        "hits"
    ]
    by_fractions = run("search", pins, tmp_path / "scene.png", "--crop", "0.6,0.5,0.8,0.75", "--json").json[
        "hits"
    ]
    assert [h["id"] for h in by_pixels] == [h["id"] for h in by_fractions]
    assert by_pixels[0]["attributes"]["title"]


def test_a_crop_of_a_few_pixels_is_refused_with_what_was_meant(run: Any, pins: Path, apple: Path) -> None:
    for words in (("search", pins, apple, "--crop", "0,0,2,5"), ("look", pins, apple, "--box", "0,0,2,5")):
        refused = run(*words)
        assert refused.code == 2
        assert '"0,0,0.2,0.5"' in refused.err


def test_the_limits_of_pictures_hold_for_queries_too(run: Any, pins: Path, apple: Path) -> None:
    for words in (
        ("search", pins, apple),
        ("search", pins, apple, "--crop", "0,0,1,1"),
        ("look", pins, apple),
    ):
        refused = run(*words, "--max-pixels", "1000")
        assert refused.code == 2
        assert "over the limit of 1,000" in refused.err
        assert "--max-pixels" in refused.err
        assert run(*words, "--memory", "1KB").code == 2
        assert run(*words, "--max-pixels", "2000000", "-k", "1", "--json").code == 0


def test_filters_like_unlike_and_pages(run: Any, pins: Path) -> None:
    some = run("search", pins, "--where", "price < 20", "--like", "food/apple", "-k", "5", "--json")
    if some.code:  # the sample pins may name it otherwise: take any
        first = run("search", pins, next(samples_dir().rglob("*.jpg")), "-k", "1", "--json").json["hits"][0][
            "id"
        ]
        some = run("search", pins, "--where", "price < 20", "--like", first, "-k", "5", "--json")
    assert some.code == 0
    assert len(some.json["hits"]) == 5
    assert all(h["attributes"]["price"] < 20 for h in some.json["hits"])
    liked = some.json["hits"][0]["id"]
    whole = run("search", pins, "--like", liked, "-k", "6", "--json").json["hits"]
    page = run("search", pins, "--like", liked, "-k", "3", "--offset", "3", "--json").json["hits"]
    assert page == whole[3:]
    away = run("search", pins, "--like", liked, "--unlike", whole[0]["id"], "-k", "6", "--json").json["hits"]
    assert whole[0]["id"] not in [h["id"] for h in away]


def test_nothing_alike_is_said_on_top(run: Any, pins: Path) -> None:
    shown = run("search", pins, "--text", "xqzv blorf")
    assert shown.code == 0
    assert shown.err.startswith("nothing alike: the best score 0.")
    assert len(shown.out.splitlines()) == 10
    strict = run("search", pins, "--text", "xqzv blorf", "--min-score", "auto", "--json")
    assert strict.code == 0
    assert (strict.json["hits"], strict.json["alike"]) == ([], False)
    assert strict.json["best"] < strict.json["noise"]
    assert run("search", pins, "--text", "strawberry", "--json").json["alike"] is True
    for given, said in (("  ", "nothing to search for"), ("", "nothing to search for")):
        blank = run("search", pins, "--text", given)
        assert blank.code == 2
        assert said in blank.err
    wrong = run("search", pins, "--text", "dog", "--min-score", "much")
    assert wrong.code == 2
    assert "neither a number nor auto" in wrong.err


def test_people_get_a_table_and_a_page(run: Any, pins: Path, apple: Path, tmp_path: Path) -> None:
    shown = run("search", pins, apple, "-k", "4")
    assert shown.code == 0
    assert len(shown.out.splitlines()) == 4
    assert shown.out.startswith("1.000  ")
    page = run("search", pins, apple, "-k", "4", "--html", tmp_path / "page.html")
    assert page.code == 0
    assert (tmp_path / "page.html").read_text().count("<img") + (tmp_path / "page.html").read_text().count(
        "<image"
    ) >= 4


def test_remove_compact_verify(run: Any, tmp_path: Path) -> None:
    paint_many(tmp_path / "photos", 6)
    target = tmp_path / "x.index"
    run("index", tmp_path / "photos", "--to", target)
    gone = run("remove", target, "001.png", "nobody.png", "--json")
    assert (gone.code, gone.json) == (1, {"removed": 1, "missing": ["nobody.png"], "pins": 5})
    assert run("compact", target, "--json").json["rows"] == 5
    assert run("verify", target, "--json").json == {"ok": True, "problems": []}
    next((target / "vectors").iterdir()).write_bytes(b"x")
    broken = run("verify", target, "--json")
    assert (broken.code, broken.json["ok"]) == (1, False)


def test_embed_writes_what_index_reads(run: Any, tmp_path: Path) -> None:
    paint_many(tmp_path / "photos", 9)
    (tmp_path / "photos" / "bad.png").write_bytes(b"")
    made = run(
        "embed", tmp_path / "photos", "--to", tmp_path / "emb", "--shard-rows", "4", "--batch", "4", "--json"
    )
    assert (made.code, made.json["added"], made.json["failed"]) == (1, 9, 1)
    built = run("index", tmp_path / "emb", "--to", tmp_path / "e.index", "--json")
    assert (built.code, built.json["pins"], built.json["sources"][0]["embedded"]) == (0, 9, 0)
    run("index", tmp_path / "photos", "--to", tmp_path / "p.index")
    query = tmp_path / "photos" / "004.png"
    direct, through = (
        run("search", tmp_path / f"{name}.index", query, "-k", "9", "--json").json["hits"]
        for name in ("p", "e")
    )
    assert [h["uri"] for h in direct] == [h["uri"] for h in through]
    assert [h["score"] for h in direct] == pytest.approx([h["score"] for h in through], abs=1e-3)


def test_embeddings_of_another_model_make_an_index_of_that_model(run: Any, tmp_path: Path) -> None:
    from visualsearch.adapters.clip_retrieval import write_embeddings
    from visualsearch.sources import open_source

    from .fakes import FakeEncoder

    paint_many(tmp_path / "photos", 5)
    write_embeddings(open_source(tmp_path / "photos"), tmp_path / "emb", FakeEncoder())
    assert run("index", tmp_path / "emb", "--to", tmp_path / "x.index").code == 0
    assert run("info", tmp_path / "x.index", "--json").json["encoder"] == "fake"
    assert len(run("search", tmp_path / "x.index", "--like", "003.png", "--json").json["hits"]) == 4
    run("index", tmp_path / "photos", "--to", tmp_path / "bundled.index")
    refused = run("index", tmp_path / "emb", "--to", tmp_path / "bundled.index")
    assert refused.code == 2
    assert "--model fake" in refused.err


def test_a_source_that_cannot_be_read_leaves_no_index_behind(run: Any, tmp_path: Path) -> None:
    assert run("index", tmp_path / "nowhere", "--to", tmp_path / "x.index").code == 2
    assert not (tmp_path / "x.index").exists()


def test_models_are_listed_with_licence_and_scores(run: Any) -> None:
    listed = run("models", "--json").json
    assert listed["bundled"] in listed["shipped"]
    assert len(listed["recommended"]) >= 5
    for entry in listed["recommended"]:
        assert entry["license"]
        assert 30 < entry["imagenet"] < 90
        assert entry["source"]
    assert run("models").code == 0


@pytest.mark.parametrize("columns", [60, 80])
def test_the_list_of_models_fits_the_terminal(
    run: Any, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = run("models")
    assert max(map(len, shown.out.splitlines())) <= columns
    assert "ViT-B-32-SigLIP2-256" in shown.out.splitlines()


BAD = {
    "missing source": (["index", "{tmp}/nowhere", "--to", "{tmp}/x.index"], "nowhere"),
    "empty source": (["index", "{tmp}/void", "--to", "{tmp}/x.index"], "void"),
    "unknown model": (["index", "{tmp}/photos", "--to", "{tmp}/x.index", "--model", "ViT-B-33"], "ViT-B-32"),
    "unknown preset": (["index", "{tmp}/photos", "--to", "{tmp}/x.index", "--preset", "hsnw"], "hnsw"),
    "folder in use": (["index", "{tmp}/photos", "--to", "{tmp}/photos"], "not empty"),
    "no index": (["search", "{tmp}/photos", "{tmp}/photos/000.png"], "is not an index"),
    "missing index": (["info", "{tmp}/gone.index"], "does not exist"),
    "foreign index": (["info", "{tmp}/foreign"], "damaged or not a catalog"),
    "empty query": (["search", "{pins}"], "nothing to search for"),
    "missing picture": (["search", "{pins}", "{tmp}/gone.jpg"], "gone.jpg"),
    "text as picture": (["search", "{pins}", "{tmp}/text.jpg"], "text"),
    "empty crop": (["search", "{pins}", "{tmp}/photos/000.png", "--crop", "0.5,0.5,0.5,0.9"], "crop"),
    "crop outside": (["search", "{pins}", "{tmp}/photos/000.png", "--crop", "0,0,900,20"], "64"),
    "crop of nothing": (["search", "{pins}", "--crop", "0,0,1,1", "--like", "x"], "without a picture"),
    "bad filter": (["search", "{pins}", "{tmp}/photos/000.png", "--where", "price <"], "it ends where"),
    "unknown attribute": (["search", "{pins}", "{tmp}/photos/000.png", "--where", "prise < 3"], "price"),
    "unknown pin": (["search", "{pins}", "--like", "no-such-pin"], "unknown pin"),
    "bad weight": (["search", "{pins}", "{tmp}/photos/000.png", "--weight", "image=heavy"], "heavy"),
    "unknown weight": (["search", "{pins}", "{tmp}/photos/000.png", "--weight", "imag=1"], "image"),
    "manifest without columns": (["index", "{tmp}/bad.csv", "--to", "{tmp}/x.index"], "image"),
    "wrong number": (["search", "{pins}", "{tmp}/photos/000.png", "-k", "0"], "greater than or equal to 1"),
    "unknown command": (["serach", "{pins}"], "serach"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gives_one_clear_message_and_exit_code_two(
    run: Any, pins: Path, tmp_path: Path, case: str
) -> None:
    paint_many(tmp_path / "photos", 2)
    (tmp_path / "void").mkdir()
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "bad.csv").write_text("name,picture\na,b.jpg\n")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "catalog.sqlite").write_bytes(b"not sqlite " * 200)
    words, said = BAD[case]
    ran = run(*(w.format(tmp=tmp_path, pins=pins) for w in words))
    assert ran.code == 2
    assert said in ran.err
    assert ran.out == ""


def test_debug_shows_the_traceback_that_is_hidden_otherwise(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "visualsearch", "info", str(tmp_path / "gone.index")]
    plain = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (plain.returncode, plain.stderr.count("\n")) == (2, 1)
    loud = subprocess.run([*words, "--debug"], capture_output=True, text=True, check=False)
    assert loud.returncode == 1
    assert "Traceback" in loud.stderr
    assert "NotAnIndexError" in loud.stderr


def test_a_read_only_folder_is_refused_for_writing_and_fine_for_searching(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint_many(tmp_path / "photos", 4)
    target = tmp_path / "x.index"
    run("index", tmp_path / "photos", "--to", target)
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: False if mode == os.W_OK else real(path, mode))
    refused = run("remove", target, "001.png")
    assert refused.code == 2
    assert "read-only" in refused.err
    assert "writable" in refused.err
    assert run("search", target, tmp_path / "photos" / "001.png", "--json").json["hits"][0]["id"] == "001.png"


def test_ctrl_c_keeps_what_was_committed_and_says_how_to_go_on(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from visualsearch.encoders.bundled import BundledEncoder

    paint_many(tmp_path / "photos", 12)
    real, calls = BundledEncoder.encode_images, []

    def stop(self: Any, pixels: Any) -> Any:
        calls.append(1)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return real(self, pixels)

    monkeypatch.setattr(BundledEncoder, "encode_images", stop)
    stopped = run("index", tmp_path / "photos", "--to", tmp_path / "x.index", "--batch", "4")
    assert stopped.code == 130
    assert "8 pins committed" in stopped.err
    monkeypatch.setattr(BundledEncoder, "encode_images", real)
    assert (
        run("index", tmp_path / "photos", "--to", tmp_path / "x.index", "--json").json["sources"][0]["added"]
        == 4
    )


def test_a_query_on_the_bundled_model_never_imports_torch(pins: Path, apple: Path) -> None:
    code = (
        "import sys; from visualsearch import cli; sys.argv = ['visualsearch', 'search', sys.argv[1], sys.argv[2], '--json']\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'open_clip', 'faiss', 'pyarrow', 'torchvision'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(pins), str(apple)], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
    assert len(json.loads(done.stdout)["hits"]) == 10


def test_dedup_joins_copies_and_pictures_saved_anew_and_tells_them_apart(run: Any, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    picture = Image.open(scenes()[0].image)
    picture.save(photos / "original.png")
    (photos / "same.png").write_bytes((photos / "original.png").read_bytes())
    picture.resize((picture.width * 2 // 3, picture.height * 2 // 3)).save(photos / "small.jpg", quality=60)
    paint(photos / "other.png", 3)
    run("index", photos, "--to", tmp_path / "x.index")
    groups = run("dedup", tmp_path / "x.index", "--json").json
    (group,) = groups
    assert group["likeness"] == "near"
    assert set(group["ids"]) == {"original.png", "same.png", "small.jpg"}
    assert group["keep"] == "original.png"
    assert [m["class"] for m in group["members"]] == ["original", "exact", "near"]


def test_one_odd_picture_does_not_cost_the_batch_of_embed_either(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from visualsearch.encoders.bundled import BundledEncoder

    paint_many(tmp_path / "photos", 3)
    paint(tmp_path / "photos" / "odd.png", "red")
    real = BundledEncoder.preprocess

    def odd(self: Any, picture: Any) -> Any:
        if picture.getpixel((0, 0)) == (220, 30, 30):
            raise MemoryError("too large")
        return real(self, picture)

    monkeypatch.setattr(BundledEncoder, "preprocess", odd)
    made = run("embed", tmp_path / "photos", "--to", tmp_path / "emb", "--json")
    assert (made.code, made.json["added"], made.json["failed"]) == (1, 3, 1)
    assert "MemoryError" in made.json["failures"][0]["reason"]


# -- streams ------------------------------------------------------------------------------------------------------
def shell(line: str, folder: Path, **more: str) -> subprocess.CompletedProcess[bytes]:
    """A command line as a shell runs it; VS stands for the program."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), **more}
    env["VS"] = f"{sys.executable} -m visualsearch"
    return subprocess.run(["bash", "-c", line], cwd=folder, env=env, capture_output=True, check=False)


@pytest.fixture
def japanese(tmp_path: Path) -> Path:
    """A folder with an index of two pins: one with a Japanese title, one whose file's name is Latin-1."""
    paint(tmp_path / "photos" / "a.png", 1)
    odd = os.fsencode(tmp_path / "photos") + b"/caf\xe9.png"
    Path(os.fsdecode(odd)).write_bytes(paint(tmp_path / "b.png", 2).read_bytes())
    (tmp_path / "t.jsonl").write_text(
        json.dumps({"id": "t", "image": "photos/a.png", "title": "\u975e\u5e38\u53e3"}) + "\n",
        encoding="utf-8",
    )
    done = shell("$VS index t.jsonl photos --to i", tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path


def test_an_encoding_without_the_characters_does_not_stop_the_answer(japanese: Path) -> None:
    narrow = {"PYTHONIOENCODING": "cp1252"}
    shown = shell("$VS search i b.png -k 2", japanese, **narrow)
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert b"\\u975e" in shown.stdout
    hits = json.loads(shell("$VS search i b.png -k 2 --json", japanese, **narrow).stdout)["hits"]
    assert "\u975e\u5e38\u53e3" in [hit["attributes"].get("title") for hit in hits]


def test_a_file_name_that_is_not_utf8_names_its_pin_on_the_command_line(japanese: Path) -> None:
    (name,) = [h["id"] for h in json.loads(shell("$VS search i b.png -k 1 --json", japanese).stdout)["hits"]]
    assert name == "caf%E9.png"
    for spelled in ("$'caf\\xe9.png'", "caf%E9.png"):
        assert shell(f"$VS search i --like {spelled} --json", japanese).returncode == 0, spelled
    assert shell("$VS remove i $'caf\\xe9.png'", japanese).returncode == 0


@pytest.mark.parametrize("closing", ["<&-", "2>&-", "<&- 2>&-"])
def test_closed_streams_neither_stop_a_command_nor_reach_the_catalog(japanese: Path, closing: str) -> None:
    paint(japanese / "photos" / f"new{len(closing)}.png", 10 + len(closing))
    indexed = shell(f"$VS index photos --to i --json {closing}", japanese)
    assert indexed.returncode == 0, indexed
    assert json.loads(indexed.stdout)["pins"] == 3
    assert shell("$VS verify i", japanese).returncode == 0


@pytest.mark.parametrize(
    ("line", "why"), [("search i - <&-", b"stdin is closed"), ("look i - </dev/null", b"nothing came")]
)
def test_a_picture_from_a_stdin_that_has_none_is_a_clear_error(japanese: Path, line: str, why: bytes) -> None:
    shown = shell(f"$VS {line}", japanese)
    assert shown.returncode == 2
    assert why in shown.stderr
    assert b"internal" not in shown.stderr


def test_failures_are_shown_as_they_are_without_control_characters(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from visualsearch.cli.common import show_failures
    from visualsearch.types import Failure

    show_failures([Failure("a/broken..na\x1b[31mme.jpg", "i", "it is cut...", "Copy it again.")], 1)
    shown = capsys.readouterr().err
    assert shown == "  failed: a/broken..na\ufffd[31mme.jpg: it is cut. Copy it again.\n"


def test_off_a_terminal_progress_is_a_line_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    from visualsearch.cli.common import Lines

    clock = iter([0.0, 1.0, 6.0, 7.0, 12.0])
    lines = Lines("index photos", lambda: next(clock))
    for seen in (10, 60, 70, 120):
        lines.update(seen, 1, 600, {})
    assert capsys.readouterr().err.splitlines() == [
        "index photos: 60 of about 600 pictures, 10/s, 1 failed, about 54 s left",
        "index photos: 120 of about 600 pictures, 10/s, 1 failed, about 48 s left",
    ]
