"""Searching over HTTP: the same results as in this process, and clear errors."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

import pytest

from hgan.index.conditions.filter import Filter
from hgan.search.query import Query
from hgan.search.searcher import open_index
from tests.fixtures.photos import COLOURS

TEXTS = [f"a {colour} {thing}" for colour in COLOURS for thing in ("photo", "dog", "two dog snow")]


def hits(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["hits"]


def flat(found, root, ids):
    return [(ids.public(hit.id), hit.path.relative_to(root).as_posix(), hit.score) for hit in found]


@pytest.mark.parametrize(
    "asked",
    [
        {"text": "a red photo"},
        {"text": "blue", "k": 3, "offset": 2},
        {"text": "green", "where": ["folder=green"]},
        {"text": "green", "threshold": 0.3},
        {"text": "red", "without": ["blue snow"], "fold": True},
        {"text": " 🐕 ", "k": 200},
        {"text": "e\u0301te \u202eredrum \u0000 \U0001f468\u200d\U0001f469", "k": 1},
    ],
)
def test_hits_are_those_of_the_index(client, made, bundle, asked):
    with open_index(made, bundle) as opened:
        query = Query(asked["text"], without=tuple(asked.get("without", ())))
        page = {name: asked[name] for name in ("k", "offset", "threshold", "fold") if name in asked}
        where = Filter.parse(asked.get("where", ()))
        expected = opened.find(query, where=where, **page)
        names = flat(expected, opened.root, client.app.state.service.library.ids)
        duplicates = [
            [p.relative_to(opened.root).as_posix() for p in h.duplicates] for h in expected
        ]
    found = hits(client.post("/v1/search", json=asked))
    assert [(hit["id"], hit["path"]) for hit in found] == [name[:2] for name in names]
    assert [hit["score"] for hit in found] == pytest.approx([name[2] for name in names], abs=1e-5)
    assert [hit["duplicates"] for hit in found] == duplicates
    for hit, other in zip(found, expected, strict=True):
        assert hit["levels"] == pytest.approx(other.levels, abs=1e-5)


def test_a_line_with_conditions(client):
    line = "a green photo folder:red OR folder:blue -snow"
    answer = client.post("/v1/search", json={"q": line, "k": 9})
    where = ["folder=red or folder=blue"]
    asked = {"text": "a green photo", "without": ["snow"], "where": where, "k": 9}
    assert hits(answer) == hits(client.post("/v1/search", json=asked)) != []
    assert answer.json()["parsed"] == {
        "text": "a green photo",
        "without": ["snow"],
        "where": where,
        "parts": [
            {"kind": "condition", "start": 14, "end": 39, "label": "folder red or folder blue"},
            {"kind": "without", "start": 40, "end": 45, "label": "without snow"},
        ],
    }
    more = client.post("/v1/search", json={"q": line, "k": 9, "where": ["folder=red"]})
    assert {Path(hit["path"]).parent.name for hit in hits(more)} == {"red"}
    literally = client.post("/v1/search", json={"text": line, "k": 1})
    assert hits(literally) and literally.json()["parsed"] is None


def test_a_line_is_asked_for_as_in_this_process(client, made, bundle):
    line = "no blue snow -folder:green"
    with open_index(made, bundle) as opened:
        expected = opened.ask(line, 20)
    found = hits(client.post("/v1/search", json={"q": line, "k": 20}))
    assert [Path(hit["path"]).name for hit in found] == [hit.path.name for hit in expected]


def test_values_that_no_photo_has_are_named(client):
    asked = {"text": "red photo", "where": ["folder=gren"]}
    answer = client.post("/v1/search", json=asked)
    assert hits(answer) == []
    notice = "No photo has the folder 'gren'; there are green (3), …"
    assert answer.json()["notices"][0].startswith(notice.removesuffix(", …"))
    assert hits(client.post("/v1/search", json={"q": "red in:GREEN"}))  # case does not matter


def test_suggestions(client):
    def suggested(**asked):
        answer = client.post("/v1/suggest", json=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()["suggestions"]

    [green] = suggested(q="🐕 folder:gr")
    expected = {"text": "folder:green", "start": 2, "end": 11, "kind": "value", "photos": 3}
    assert green == expected
    assert suggested(q="🐕 folder:gr and more", at=11) == [green]
    assert [one["text"] for one in suggested(q="-cam")] == ["-camera:"]
    assert len(suggested(q="in:", limit=2)) == 2
    for wrong in ({}, {"q": "x", "limit": 0}, {"q": "x", "at": -1}, {"q": "x" * 10_001}):
        assert client.post("/v1/suggest", json=wrong).status_code == 422


def test_photos_like_one_of_the_index(client):
    [red] = hits(client.post("/v1/search", json={"text": "red", "k": 1}))
    found = hits(client.post("/v1/search", json={"like": red["id"], "k": 3}))
    assert red["id"] not in [hit["id"] for hit in found]
    assert all(Path(hit["path"]).name.startswith("red") for hit in found)


def test_photos_like_one_that_is_sent(client, photos):
    data = (photos / "blue 0.png").read_bytes()
    found = hits(client.post("/v1/search/photo", files={"photo": data}, data={"k": "4"}))
    # Photos of one colour are so alike that float16 decides about their order.
    assert sorted(Path(hit["path"]).name for hit in found) == [f"blue {i}.png" for i in range(4)]
    form = {"text": "green", "share": "0", "k": "4", "where": ["folder=green"], "fold": "true"}
    found = hits(client.post("/v1/search/photo", files={"photo": data}, data=form))
    names = [hit["path"] for hit in found] + [name for hit in found for name in hit["duplicates"]]
    assert sorted(names) == ["green/green 1.png", "green/green 2.png", "green/green 3.png"]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({}, "the query has no words and no photo"),
        ({"text": " \n "}, "the query has no words and no photo"),
        ({"text": "\u200b"}, "no words"),
        ({"text": "red", "k": 0}, "k: Input should be greater than or equal to 1"),
        ({"text": "red", "k": -1}, "k: "),
        ({"text": "red", "k": 201}, "k: Input should be less than or equal to 200"),
        ({"text": "red", "k": 10**400}, "k: "),
        ({"text": "red", "offset": -1}, "offset: "),
        ({"text": "red", "offset": 10_001}, "offset: "),
        ({"text": "x" * 100_001}, "text: String should have at most 100000 characters"),
        ({"text": "red", "where": ["colour=red"]}, "photos cannot be filtered by 'colour'"),
        ({"text": "red", "where": ["folder=../.."]}, "relative to the indexed folder"),
        ({"text": "red", "where": ["taken>=2023-13"]}, "is not a time"),
        ({"text": "red", "where": ["tag=a"] * 33}, "where: "),
        ({"text": "red", "like": "/etc/passwd"}, "like: "),
        ({"text": "red", "typo": 1}, "typo: "),
        ({"text": "red", "q": "red"}, "send one of them"),
        ({"q": "red rating:many"}, "'rating:many': 'many' is not a rating"),
        ({"q": "camera:"}, "the query has no words and no photo"),
        ({"q": "x" * 10_001}, "q: String should have at most 10000 characters"),
    ],
)
def test_what_makes_no_sense_is_refused(client, asked, reason):
    answer = client.post("/v1/search", json=asked)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == 422
    assert reason in problem["detail"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[" * 100_000, b'{"text": "\\ud800"}', b'{"text": "red", "threshold": NaN}',
     b'{"text": "red", "k": ' + b"9" * 5000 + b"}", b"\xff\xfe", b"null", b'{"\\ud800": 1}'],
)  # fmt: skip
def test_bodies_that_are_no_query(client, body):
    answer = client.post("/v1/search", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_query_of_ten_thousand_words_is_cut(client):
    long = hits(client.post("/v1/search", json={"text": "red " * 10_000}))
    short = hits(client.post("/v1/search", json={"text": "red " * 100}))
    assert long == short


def test_an_unknown_photo_to_be_like(client):
    unknown = "00000000-0000-0000-0000-000000000000"
    assert client.post("/v1/search", json={"like": unknown}).status_code == 404
    asked = {"id": unknown, "text": "red"}
    assert client.post("/v1/explain", json=asked).status_code == 404


def test_explanation_is_that_of_the_photo(client, photos, bundle):
    [red] = hits(client.post("/v1/search", json={"text": "a red photo", "k": 1}))
    answer = client.post("/v1/explain", json={"id": red["id"], "text": "a red photo"})
    assert answer.status_code == 200
    expected = bundle.explain(photos / red["path"], "a red photo").as_dict()
    found = answer.json()
    assert found["score"] == pytest.approx(expected["score"], abs=1e-5)
    assert found["score"] == pytest.approx(red["score"], abs=3e-3)
    assert [word["text"] for word in found["words"]] == ["a", "red", "photo"]
    for word, other in zip(found["words"], expected["words"], strict=True):
        assert word["similarity"] == pytest.approx(other["similarity"], abs=1e-5)
    assert found["boxes"] == expected["boxes"]


def test_many_at_once_find_what_one_by_one_finds(serve, monkeypatch):
    client = serve()
    alone = [hits(client.post("/v1/search", json={"text": text})) for text in TEXTS]
    bundle = client.app.state.service.library.index.bundle._bundle
    sizes = []
    encode = bundle.encode_texts

    def slowly(texts):
        sizes.append(len(texts))
        sleep(0.01)
        return encode(texts)

    monkeypatch.setattr(bundle, "encode_texts", slowly)
    with ThreadPoolExecutor(32) as pool:
        asked = TEXTS * 10
        answers = pool.map(lambda text: client.post("/v1/search", json={"text": text}), asked)
        for answer, expected in zip(answers, alone * 10, strict=True):
            found = hits(answer)
            assert [hit["id"] for hit in found] == [hit["id"] for hit in expected]
            scores = [hit["score"] for hit in expected]
            assert [hit["score"] for hit in found] == pytest.approx(scores, abs=1e-5)
    assert sum(sizes) == len(asked)
    assert len(sizes) < len(asked) / 2
    figures = client.get("/metrics").text
    assert f"hgan_text_batch_size_sum {float(len(asked) + len(TEXTS))}" in figures


def test_several_queries_in_one_call(serve, monkeypatch):
    client = serve()
    [red] = hits(client.post("/v1/search", json={"text": "red", "k": 1}))
    queries = [{"text": text} for text in TEXTS]
    queries += [{"like": red["id"]}, {"text": "blue", "without": ["green"], "share": 0.3}]
    page = {"k": 4, "offset": 1, "where": ["folder=."], "threshold": -5.0, "fold": True}
    alone = [hits(client.post("/v1/search", json=query | page)) for query in queries]
    bundle = client.app.state.service.library.index.bundle._bundle
    sizes = []
    encode = bundle.encode_texts

    def slowly(texts):
        sizes.append(len(texts))
        sleep(0.01)
        return encode(texts)

    monkeypatch.setattr(bundle, "encode_texts", slowly)
    answer = client.post("/v1/search/batch", json={"queries": queries} | page)
    assert answer.status_code == 200
    for found, expected in zip(answer.json()["results"], alone, strict=True):
        assert [hit["id"] for hit in found["hits"]] == [hit["id"] for hit in expected]
        scores = [hit["score"] for hit in expected]
        assert [hit["score"] for hit in found["hits"]] == pytest.approx(scores, abs=1e-5)
    assert sizes == [len(TEXTS) + 2]


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({}, 422),
        ({"queries": []}, 422),
        ({"queries": [{"text": "red"}] * 33}, 422),
        ({"queries": [{"text": "red"}, {}]}, 422),
        ({"queries": [{"text": "red"}, {"text": "\u200b"}]}, 422),
        ({"queries": [{"text": "red", "k": 3}]}, 422),
        ({"queries": [{"text": "red"}], "k": 201}, 422),
        ({"queries": [{"like": "00000000-0000-0000-0000-000000000000"}]}, 404),
    ],
)
def test_batches_that_make_no_sense(client, asked, status):
    answer = client.post("/v1/search/batch", json=asked)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
