"""Manifests of shops: damage is told and bounded, exports are known by their columns, prices become numbers."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visualsearch.errors import SourceError
from visualsearch.sources import Columns, open_source
from visualsearch.sources._prices import marks_of, price_of
from visualsearch.sources._separated import separated
from visualsearch.types import Failure, Record


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def split(source) -> tuple[list[Record], list[Failure]]:
    items = list(source)
    return [i for i in items if isinstance(i, Record)], [i for i in items if isinstance(i, Failure)]


def pictures(source) -> list[tuple[str, str]]:
    return [(item.id, Path(item.uri).name) for item in split(source)[0]]


# -- damage -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text",
    [
        'id,image,t\n1,a.jpg,one\n2,b.jpg,"two\n3,c.jpg,three\n4,d.jpg,four\n',
        'id,image,t\n1,a.jpg,one\n2,b.jpg,"two\n3,c.jpg,"three"\n4,d.jpg,four\n',
        '"id","image","t"\n"1","a.jpg","one"\n"2","b.jpg","two\n"3","c.jpg","three"\n"4","d.jpg",""\n',
        'id,image,t\r\n1,a.jpg,one\r\n2,b.jpg,"two\r\n3,c.jpg,""\r\n4,d.jpg,"ok\r\nline two"\r\n',
        'id,image,t\r1,a.jpg,one\r2,b.jpg,"two\r3,c.jpg,three\r4,d.jpg,four',
    ],
)
def test_an_unclosed_quote_costs_its_own_line_and_says_so(tmp_path: Path, text: str) -> None:
    found, failed = split(open_source(write(tmp_path / "m.csv", text)))
    assert [item.id for item in found] == ["1", "3", "4"]
    (failure,) = failed
    assert failure.uri.endswith("m.csv:3")
    assert "not closed" in failure.reason
    assert failure.hides == ""


def test_texts_over_several_lines_stay_whole(tmp_path: Path) -> None:
    text = 'id,image,t,u\n1,a.jpg,"soft,\nwarm, and\n\nlight, b.jpg",x\n2,b.jpg,"5"" tall",y\n'
    found, failed = split(open_source(write(tmp_path / "m.csv", text)))
    assert not failed
    assert [item.attributes["t"] for item in found] == ["soft,\nwarm, and\n\nlight, b.jpg", '5" tall']


def test_a_text_whose_last_line_is_as_wide_as_the_table_stays_whole(tmp_path: Path) -> None:
    text = 'id,t,image,u\n1,"soft,\nwarm, and light",a.jpg,x\n2,b,b.jpg,y\n'
    found, failed = split(open_source(write(tmp_path / "m.csv", text)))
    assert ([item.id for item in found], failed) == (["1", "2"], [])


WORDS = [
    "soft",
    "a, b",
    "a\nb",
    '5" tall',
    "",
    "l\r\nm",
    'say ""hi""',
    "é",
    " ",
    "<p>Soft,\nwarm</p>",
    '"',
    "a,b\nc,d",
]


def table(rng: random.Random) -> tuple[dict[str, list[str]], str]:
    """Rows by their picture, and the same as a CSV that spreadsheets write."""
    columns = rng.randint(2, 6)
    rows = [["id", "image", *(f"c{n}" for n in range(columns))]]
    for n in range(10):
        cells = (" ".join(rng.choice(WORDS) for _ in range(rng.randint(0, 3))) for _ in range(columns))
        rows.append([f"p{n}", f"img/{n}.jpg", *cells])
    out = io.StringIO(newline="")
    writer = csv.writer(
        out, quoting=rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), lineterminator=rng.choice(["\n", "\r\n"])
    )
    writer.writerows(rows)
    return {row[1]: row for row in rows[1:]}, out.getvalue()


def read(text: str) -> tuple[dict[str, list[str]], int]:
    """The rows by their picture, and how many problems were told."""
    found, told = {}, 0
    rows = separated(",")(io.BytesIO(text.encode()))
    next(rows)
    for row in rows:
        told += bool(row.problem)
        if not row.problem:
            found[row.values["image"]] = list(row.values.values())
    return found, told


@pytest.mark.parametrize("seed", range(10))
def test_tables_are_read_as_written_and_a_lost_quote_loses_nothing_in_silence(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(40):
        rows, text = table(rng)
        assert read(text) == (rows, 0)
        quotes = [place for place, c in enumerate(text) if c == '"' and place > text.index("\n")]
        if not quotes:
            continue
        place = rng.choice(quotes)
        found, told = read(text[:place] + text[place + 1 :])
        # a row that is not there as it was is either told, or names a picture that does not exist and fails
        assert rows.keys() <= found.keys() or told or found.keys() - rows.keys(), text


def test_too_many_cells_and_nul_characters_are_told_and_rows_of_nothing_are_none(tmp_path: Path) -> None:
    text = "id,image,t\n1,a.jpg,x,y\n2,b.jpg,x,,\n,,\n3,c\0.jpg,\n4,d.jpg\n"
    source = open_source(write(tmp_path / "m.csv", text))
    found, failed = split(source)
    assert [(item.id, item.attributes["t"]) for item in found] == [("2", "x"), ("4", None)]
    assert [(f.uri.rpartition(":")[2], f.hides == "") for f in failed] == [("2", True), ("5", True)]
    assert "NUL" in failed[1].reason
    assert any("fewer cells" in note and "line 6" in note for note in source.notes)


def test_only_entries_that_cannot_be_told_make_a_read_incomplete(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "m.csv", "id,image\n1,a.jpg\n1,b.jpg\n2,\n,c.jpg\n"))
    assert [(f.id, f.hides == "") for f in split(source)[1]] == [("1", False), ("2", False), ("line 5", True)]
    source = open_source(write(tmp_path / "m.jsonl", '{"id":1,"image":"a.jpg"}\n{oops\n'))
    assert [f.hides == "" for f in split(source)[1]] == [True]


def test_a_line_that_names_no_picture_does_not_cost_the_others(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.jsonl",
        '{"id":1,"image":"a\\u0000.jpg"}\n{"id":2,"image":"http://[::1/x"}\n{"id":3,"image":"c.jpg"}\n',
    )
    found, failed = split(open_source(path))
    assert "3" in [item.id for item in found]
    assert "1" in [item.id for item in failed]


def test_blank_columns_of_spreadsheets_are_ignored(tmp_path: Path) -> None:
    text = "id,image,t,,Unnamed: 4,\n1,a.jpg,x,,,\n2,b.jpg,y,,,note\n"
    found, failed = split(open_source(write(tmp_path / "m.csv", text)))
    assert ([dict(item.attributes) for item in found], failed) == ([{"t": "x"}, {"t": "y"}], [])


# -- several pictures of a product --------------------------------------------------------------------------------
def test_an_id_may_repeat_where_a_group_is_asked_for(tmp_path: Path) -> None:
    text = "product_id,image,color\nshoe-17,a.jpg,red\nshoe-18,c.jpg,blue\nshoe-17,b.jpg,red\nshoe-17,a.jpg,red\n"
    source = open_source(write(tmp_path / "m.csv", text), group_by="product_id")
    assert pictures(source) == [("shoe-17", "a.jpg"), ("shoe-18", "c.jpg"), ("shoe-17#2", "b.jpg")]
    assert [item.attributes["product_id"] for item in source] == ["shoe-17", "shoe-18", "shoe-17"]
    assert source.group_by == "product_id"


def test_repeated_ids_fail_without_a_group_and_the_failure_names_the_option(tmp_path: Path) -> None:
    found, failed = split(open_source(write(tmp_path / "m.csv", "id,image\n1,a.jpg\n1,b.jpg\n")))
    assert [item.id for item in found] == ["1"]
    assert "--group-by" in failed[0].remedy


def test_a_group_may_be_another_column_than_the_id(tmp_path: Path) -> None:
    text = "id,image,model\n1,a.jpg,lamp\n2,b.jpg,lamp\n3,c.jpg,\n"
    found, _ = split(open_source(write(tmp_path / "m.csv", text), group_by="model"))
    assert [(item.id, item.attributes["model"]) for item in found] == [
        ("1", "lamp"),
        ("2", "lamp"),
        ("3", None),
    ]


def test_an_id_column_that_filters_know_as_the_pins_own_is_kept_as_product(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "m.csv", "id,image\n1,a.jpg\n1,b.jpg\n"), group_by="id")
    assert source.group_by == "product"
    assert [(item.id, item.attributes["product"]) for item in source] == [("1", "1"), ("1#2", "1")]


@pytest.mark.parametrize(
    "cell",
    [
        '"[""a.jpg"", ""b c.jpg""]"',
        "a.jpg|b c.jpg",
        '"a.jpg, b c.jpg"',
        "a.jpg;b c.jpg",
    ],
)
def test_a_cell_may_list_pictures(tmp_path: Path, cell: str) -> None:
    source = open_source(write(tmp_path / "m.csv", f"id,image\n1,{cell}\n2,x.jpg\n"))
    assert pictures(source) == [("1", "a.jpg"), ("1#2", "b c.jpg"), ("2", "x.jpg")]
    assert source.group_by == "product"
    assert [item.attributes["product"] for item in source] == ["1", "1", "2"]


def test_commas_in_an_address_and_in_a_files_name_do_not_split_it(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg, b.jpg", "x")
    address = "https://x.org/w_20,h_30/a.jpg"
    text = f'id,image\n1,"{address}, https://x.org/b.jpg"\n2,"a.jpg, b.jpg"\n3,red shoe.jpg\n'
    found, _ = split(open_source(write(tmp_path / "m.csv", text)))
    assert [item.uri for item in found] == [
        address,
        "https://x.org/b.jpg",
        str(tmp_path / "a.jpg, b.jpg"),
        str(tmp_path / "red shoe.jpg"),
    ]


def test_a_parquet_column_may_be_a_list(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"id": ["1", "2"], "image": [["a.jpg", "b.jpg"], ["c.jpg"]]}), tmp_path / "m.parquet"
    )
    source = open_source(tmp_path / "m.parquet")
    assert pictures(source) == [("1", "a.jpg"), ("1#2", "b.jpg"), ("2", "c.jpg")]


def test_an_invented_id_gives_way_to_one_that_exists(tmp_path: Path) -> None:
    text = "id,image\n1#2,x.jpg\n1,a.jpg|b.jpg\n"
    assert pictures(open_source(write(tmp_path / "m.csv", text))) == [
        ("1#2", "x.jpg"),
        ("1", "a.jpg"),
        ("1#3", "b.jpg"),
    ]


# -- exports ------------------------------------------------------------------------------------------------------
SHOPIFY = """\
Handle,Title,Body (HTML),Vendor,Type,Option1 Name,Option1 Value,Variant SKU,Variant Price,Image Src,Image Position,Image Alt Text
shoe,Red shoe,"<p>Soft,
warm</p>",Acme,Shoes,Size,38,00123,39.95,https://cdn.shopify.com/a.jpg?v=1,1,Front
shoe,,,,,,39,00124,41.00,https://cdn.shopify.com/b.jpg?v=1,2,Side
shoe,,,,,,40,00125,41.00,,,
shoe,,,,,,,,,https://cdn.shopify.com/c.jpg?v=1,3,
bag,Bag,,Acme,Bags,Title,Default Title,00200,"1,299",https://cdn.shopify.com/d.jpg,1,
none,Nothing,,Acme,Bags,Title,Default Title,00201,5,,,
"""


def test_a_shopify_export_is_known_by_its_columns(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "m.csv", SHOPIFY))
    found, failed = split(source)
    assert [item.id for item in found] == ["shoe", "shoe#2", "shoe#3", "bag"]
    assert [item.attributes["title"] for item in found] == ["Red shoe"] * 3 + ["Bag"]
    assert [item.attributes["price"] for item in found] == [39.95, 41.0, 39.95, 1299]
    assert [item.attributes["product"] for item in found] == ["shoe"] * 3 + ["bag"]
    assert [item.attributes["Image Alt Text"] for item in found] == ["Front", "Side", None, None]
    assert [item.id for item in failed] == ["none"]
    assert source.notes[0].startswith("read as a Shopify product export: id from 'Handle'")


def test_the_newer_shopify_columns_are_known_too(tmp_path: Path) -> None:
    text = "Title,URL handle,SKU,Price,Product image URL,Image position\nShoe,shoe,1,5,https://x/a.jpg,1\n,shoe,2,,https://x/b.jpg,2\n"
    found, failed = split(open_source(write(tmp_path / "m.csv", text)))
    assert [(item.id, item.attributes["title"], item.attributes["price"]) for item in found] == [
        ("shoe", "Shoe", 5),
        ("shoe#2", "Shoe", 5),
    ]
    assert not failed


def test_a_woocommerce_export_is_known_by_its_columns(tmp_path: Path) -> None:
    text = """ID,Type,SKU,Name,Sale price,Regular price,Categories,Images,Parent,External URL
44,variable,neck,V-Neck,,,Clothing,"https://x.org/1.jpg, https://x.org/2.jpg",,https://shop/44
45,variation,neck-red,V-Neck Red,"15,00","20,00",,https://x.org/3.jpg,neck,
46,variation,neck-blue,V-Neck Blue,,"20,00",,,neck,
47,variable,,Cap,,16,Caps,https://x.org/4.jpg,,
48,variation,,Cap b,,1.600,Caps,https://x.org/5.jpg,id:47,
49,simple,,Nothing,,1,,,,
"""
    source = open_source(write(tmp_path / "m.csv", text))
    found, failed = split(source)
    assert [(item.id, item.attributes["product"]) for item in found] == [
        ("44", "neck"),
        ("44#2", "neck"),
        ("45", "neck"),
        ("47", "id:47"),
        ("48", "id:47"),
    ]
    assert [item.attributes["price"] for item in found] == [None, None, 15.0, 16, 1600]
    assert (found[0].attributes["title"], found[0].attributes["url"]) == ("V-Neck", "https://shop/44")
    assert [item.id for item in failed] == ["49"]  # a variation without a picture of its own is none
    assert any(
        "'1.600' is read as 1600 (as '15,00' shows)" in note or "'20,00' shows" in note
        for note in source.notes
    )


GOOGLE = [
    ("id", "title", "link", "image_link", "additional_image_link", "price", "item_group_id", "gtin"),
    (
        "A1",
        "Tee S",
        "https://s/a1",
        "https://s/1.jpg",
        "https://s/2.jpg,https://s/3.jpg",
        "15.00 EUR",
        "TEE",
        "00012",
    ),
    ("A2", "Tee M", "https://s/a2", "https://s/1.jpg", "", "15.00 EUR", "TEE", "00013"),
    ("B1", "42", "https://s/b", "https://s/b.jpg", "", "7 EUR", "", "00014"),
]


@pytest.mark.parametrize(("name", "mark"), [("m.tsv", "\t"), ("m.csv", ";")], ids=["tab", "spaces in names"])
def test_a_google_feed_is_known_by_its_columns(tmp_path: Path, name: str, mark: str) -> None:
    rows = GOOGLE if mark == "\t" else [[cell.replace("_", " ") for cell in GOOGLE[0]], *GOOGLE[1:]]
    out = io.StringIO()
    csv.writer(out, delimiter="\t" if mark == "\t" else ",").writerows(rows)
    found, failed = split(open_source(write(tmp_path / name, out.getvalue())))
    assert not failed
    assert [(item.id, item.attributes["product"]) for item in found] == [
        ("A1", "TEE"),
        ("A1#2", "TEE"),
        ("A1#3", "TEE"),
        ("A2", "TEE"),
        ("B1", "B1"),
    ]
    assert [(found[4].attributes[n]) for n in ("title", "price", "currency", "url", "gtin")] == [
        "42",
        7,
        "EUR",
        "https://s/b",
        "00014",
    ]


XML = """<?xml version="1.0"?>
<rss xmlns:g="http://base.google.com/ns/1.0" version="2.0"><channel><title>Shop</title>
<item><g:id>A1</g:id><title>Tee &amp; more</title><link>https://s/a</link><g:image_link>https://s/a.jpg</g:image_link>
<g:additional_image_link>https://s/b.jpg</g:additional_image_link><g:additional_image_link>https://s/c.jpg</g:additional_image_link>
<g:price>15.00 USD</g:price><g:shipping><g:price>3 USD</g:price></g:shipping></item>
<item><g:id>A2</g:id><title>B</title><link>https://s/b</link>
<g:image_link>https://s/d.jpg</g:image_link><g:price>5 USD</g:price></item>
</channel></rss>"""


def test_a_google_feed_in_xml_is_read(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "m.xml", XML))
    assert source.kind == "xml"
    found, failed = split(source)
    assert not failed
    assert [item.id for item in found] == ["A1", "A1#2", "A1#3", "A2"]
    assert dict(found[0].attributes) == {
        "title": "Tee & more",
        "url": "https://s/a",
        "price": 15.0,
        "currency": "USD",
        "product": "A1",
    }


def test_a_cut_feed_keeps_its_items_and_says_that_more_may_follow(tmp_path: Path) -> None:
    found, failed = split(open_source(write(tmp_path / "m.xml", XML[: XML.index("<item><g:id>A2") + 20])))
    assert [item.id for item in found] == ["A1", "A1#2", "A1#3"]
    assert [f.hides == "" for f in failed] == [True]


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE r [<!ENTITY a "x"><!ENTITY b "&a;&a;">]>',
        '<!DOCTYPE r SYSTEM "file:///etc/passwd">',
    ],
)
def test_a_feed_with_entities_is_refused(tmp_path: Path, head: str) -> None:
    text = XML.replace("<rss", f"{head}<rss", 1)
    with pytest.raises(SourceError, match="DOCTYPE"):
        open_source(write(tmp_path / "m.xml", text))


def test_named_columns_become_title_price_and_url(tmp_path: Path) -> None:
    text = 'sku,foto,Name,Preis,Link\n007,a.jpg,42,"1.299,00 €",https://s/l\n008,b.jpg,Lamp,auf Anfrage,\n'
    columns = Columns("sku", "foto", "Name", "Preis", "Link")
    source = open_source(write(tmp_path / "m.csv", text), columns=columns)
    found, _ = split(source)
    assert [item.id for item in found] == ["007", "008"]
    assert dict(found[0].attributes) == {
        "title": "42",
        "price": 1299.0,
        "url": "https://s/l",
        "currency": "EUR",
    }
    assert dict(found[1].attributes) == {"title": "Lamp", "price": "auf Anfrage", "url": None}
    assert any("'auf Anfrage' is no price" in note for note in source.notes)


def test_a_missing_column_names_the_options_that_exist(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", "sku,foto\n1,a.jpg\n")
    with pytest.raises(SourceError) as caught:
        open_source(path)
    assert "--id-column" in caught.value.remedy
    with pytest.raises(SourceError, match="lacks the column 'Preis'"):
        open_source(path, columns=Columns("sku", "foto", price="Preis"))


# -- prices and notes ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("39,95 €", (39.95, "EUR")),
        ("1.299,00", (1299.0, None)),
        ("$1,299", (1299, "USD")),
        ("EUR 20", (20, "EUR")),
        ("20.00 USD", (20.0, "USD")),
        ("CHF 1'299.–", (1299, "CHF")),
        ("1 299,00 €", (1299.0, "EUR")),
        ("£1,299.50", (1299.5, "GBP")),
        ("₹1,29,900", (129900, "INR")),
        ("1.299.000 Ft", (1299000, "HUF")),
        ("25,-", (25, None)),
        ("0,999", (0.999, None)),
        ("-3.50", (-3.5, None)),
        ("ab 5 €", None),
        ("free", None),
        ("5 € / 6 $", None),
        ("1,29,3", None),
        ("", None),
    ],
)
def test_prices_become_numbers_with_a_currency(text: str, price: object) -> None:
    assert price_of(text) == price


def test_what_a_comma_means_is_decided_for_the_column(tmp_path: Path) -> None:
    assert marks_of(["39,95", "1.299"]).decimal == ","
    assert price_of("1.299", ",") == (1299, None)
    assert price_of("1,299", ",") == (1.299, None)
    assert marks_of(["1,299"]).decimal == ""
    text = 'id,image,price\n1,a.jpg,"39,95"\n2,b.jpg,1.299\n3,c.jpg,39.95\n'
    source = open_source(write(tmp_path / "m.csv", text))
    assert [item.attributes["price"] for item in split(source)[0]] == [39.95, 1.299, 39.95]
    assert any("mixes" in note for note in source.notes)


def test_a_plain_price_column_that_is_no_price_stays_as_it_was(tmp_path: Path) -> None:
    text = 'id,image,price\n1,a.jpg,cheap\n2,b.jpg,"1,299"\n'
    assert [item.attributes["price"] for item in split(open_source(write(tmp_path / "m.csv", text)))[0]] == [
        "cheap",
        "1,299",
    ]


def test_texts_that_look_like_numbers_are_told_once(tmp_path: Path) -> None:
    text = 'id,image,code,weight,stock\n1,a.jpg,007,"1,5",3\n2,b.jpg,12,"2,5",n/a\n3,c.jpg,008,"2,5",4\n'
    source = open_source(write(tmp_path / "m.csv", text))
    assert len(source.notes) == 3
    assert "'007'" in source.notes[0]
    assert "'weight'" in source.notes[1]
    assert "'n/a'" in source.notes[2]
    assert [item.attributes["weight"] for item in source] == ["1,5", "2,5", "2,5"]


def test_columns_of_what_python_holds_are_not_ignored_in_silence() -> None:
    with pytest.raises(SourceError, match="Rename them to title, price and url"):
        open_source([{"id": "1", "image": "a.jpg", "cost": "5"}], columns=Columns(price="cost"))
