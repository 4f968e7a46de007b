"""The store: items put, found and forgotten, from outside and from inside graphs."""

from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk.errors import BadRequestError, UnprocessableEntityError

from support.clients import Client
from support.runs import eventually


@pytest.fixture
def space() -> str:
    """The first label of namespaces that only this test uses."""
    return str(uuid4())


async def keys(client: Client, *namespace: str, **query: Any) -> list[str]:
    found = await client.store.search_items(namespace, **query)
    return [item["key"] for item in found["items"]]


async def test_an_item_is_put_and_got(client: Client, space: str) -> None:
    assert await client.store.put_item([space, "1"], "k", {"a": {"b": [1, None]}}) is None
    item = await client.store.get_item([space, "1"], "k")
    assert item["value"] == {"a": {"b": [1, None]}}
    assert (item["namespace"], item["key"]) == ([space, "1"], "k")
    assert item["created_at"] <= item["updated_at"]


async def test_an_item_that_is_not_there_is_null(client: Client, space: str) -> None:
    assert await client.store.get_item([space], "k") is None


@pytest.mark.reference_differs("an overwrite resets created_at")
async def test_an_overwrite_replaces_the_value_and_keeps_the_birthday(client: Client, space: str) -> None:
    await client.store.put_item([space], "k", {"v": 1, "old": True})
    before = await client.store.get_item([space], "k")
    await client.store.put_item([space], "k", {"v": 2})
    after = await client.store.get_item([space], "k")
    assert after["value"] == {"v": 2}
    assert after["created_at"] == before["created_at"]
    assert after["updated_at"] > before["updated_at"]


async def test_a_deleted_item_is_gone(client: Client, space: str) -> None:
    await client.store.put_item([space], "k", {"v": 1})
    assert await client.store.delete_item([space], "k") is None
    assert await client.store.get_item([space], "k") is None
    # Also when it is not there.
    assert await client.store.delete_item([space], "k") is None


async def test_search_finds_what_lies_under_a_prefix(client: Client, space: str) -> None:
    await client.store.put_item([space, "a"], "1", {"n": 1})
    await client.store.put_item([space, "a", "deep"], "2", {"n": 2})
    await client.store.put_item([space, "ab"], "3", {"n": 3})
    assert sorted(await keys(client, space)) == ["1", "2", "3"]
    assert sorted(await keys(client, space, "a")) == ["1", "2"]
    assert await keys(client, space, "nobody") == []
    (item,) = (await client.store.search_items([space, "ab"]))["items"]
    assert (item["namespace"], item["value"], item["score"]) == ([space, "ab"], {"n": 3}, None)


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ({"n": 2}, "2"),
        ({"n": {"$eq": 2}}, "2"),
        ({"n": {"$ne": 2}}, "13"),
        ({"n": {"$gt": 1}}, "23"),
        ({"n": {"$gte": 2}}, "23"),
        ({"n": {"$lt": 3}}, "12"),
        ({"n": {"$lte": 2}}, "12"),
        ({"n": {"$gt": 1, "$lt": 3}}, "2"),
        ({"n": {"$gt": 1}, "kind": "odd"}, "3"),
        ({"kind": "odd"}, "13"),
        ({"nested": {"deep": 2}}, "2"),
        ({"nobody": 1}, ""),
    ],
)
async def test_search_filters_by_value(client: Client, space: str, condition: dict[str, Any], found: str) -> None:
    for n in (1, 2, 3):
        kind = "odd" if n % 2 else "even"
        await client.store.put_item([space], str(n), {"n": n, "kind": kind, "nested": {"deep": n}})
    assert sorted(await keys(client, space, filter=condition)) == list(found)


async def test_an_unknown_operator_is_refused(client: Client, space: str) -> None:
    await client.store.put_item([space], "k", {"n": 1})
    with pytest.raises(BadRequestError, match=r"Unsupported operator: \$in"):
        await keys(client, space, filter={"n": {"$in": [1]}})


async def test_search_pages(client: Client, space: str) -> None:
    for n in range(5):
        await client.store.put_item([space], str(n), {"n": n})
    pages = [await keys(client, space, limit=2, offset=offset) for offset in (0, 2, 4, 6)]
    assert [len(page) for page in pages] == [2, 2, 1, 0]
    assert sorted(key for page in pages for key in page) == ["0", "1", "2", "3", "4"]


async def near(client: Client, *namespace: str, **query: Any) -> list[tuple[str, float | None]]:
    found = await client.store.search_items(namespace, **query)
    return [(item["key"], item["score"]) for item in found["items"]]


async def test_search_finds_by_meaning(client: Client, space: str) -> None:
    await client.store.put_item([space], "far", {"text": "dog", "n": 1})
    await client.store.put_item([space], "near", {"text": "cat", "n": 1})
    await client.store.put_item([space, "deep"], "half", {"text": "dog", "tags": ["bird", "cat dog bird text"]})
    everything = [("near", 1.0), ("half", 0.5), ("far", 0.0)]
    assert await near(client, space, query="cat") == everything
    assert await near(client, space, query="cat", limit=1, offset=1) == everything[1:2]
    assert await near(client, space, query="cat", filter={"n": 1}) == [everything[0], everything[2]]
    assert await near(client, space, "deep", query="cat") == everything[1:2]
    assert {score for _, score in await near(client, space)} == {None}
    await client.store.put_item([space], "near", {"text": "bird"})
    await client.store.delete_item([space], "far")
    assert await near(client, space, query="cat") == [("half", 0.5), ("near", 0.0)]


async def test_an_item_says_what_of_it_is_embedded(client: Client, space: str) -> None:
    await client.store.put_item([space], "own", {"text": "dog", "parts": [{"of": "cat"}]}, index=["parts[*].of"])
    await client.store.put_item([space], "none", {"text": "cat"}, index=False)
    assert await near(client, space, query="cat") == [("own", 1.0), ("none", None)]


async def test_namespaces_are_listed_by_prefix_suffix_and_depth(client: Client, space: str) -> None:
    for path in (["a", "x"], ["b", "x"], ["b", "y", "z"]):
        await client.store.put_item([space, *path], "k", {})

    async def names(**query: Any) -> list[str]:
        found = (await client.store.list_namespaces(**query))["namespaces"]
        return sorted("/".join(labels[1:]) for labels in found if labels[0] == space)

    assert await names(prefix=[space]) == ["a/x", "b/x", "b/y/z"]
    assert await names(prefix=[space, "b"]) == ["b/x", "b/y/z"]
    assert await names(prefix=[space, "*", "x"]) == ["a/x", "b/x"]
    assert await names(prefix=[space], suffix=["x"]) == ["a/x", "b/x"]
    assert await names(prefix=[space], max_depth=2) == ["a", "b"]
    assert len(await names(prefix=[space], limit=2)) == 2
    assert len(await names(prefix=[space], limit=2, offset=2)) == 1


@pytest.mark.parametrize("namespace", [[], ["langgraph", "x"]], ids=["empty", "reserved"])
async def test_a_namespace_that_cannot_be_is_refused(client: Client, namespace: list[str]) -> None:
    with pytest.raises(BadRequestError):
        await client.store.put_item(namespace, "k", {"v": 1})


async def test_an_empty_label_is_refused(client: Client, space: str) -> None:
    with pytest.raises(UnprocessableEntityError):
        await client.store.put_item([space, ""], "k", {"v": 1})


async def test_a_value_must_be_an_object(client: Client, space: str) -> None:
    with pytest.raises(UnprocessableEntityError):
        await client.store.put_item([space], "k", [1])


async def test_graphs_and_callers_share_one_store(client: Client, space: str) -> None:
    await client.store.put_item(["facts", space], "outside", {"fact": "from a caller"})
    values = await client.runs.wait(None, "store", input={"user": space, "key": "inside", "fact": "from a graph"})
    assert values["got"] == {"fact": "from a graph"}
    assert values["found"] == ["from a caller", "from a graph"]
    item = await client.store.get_item(["facts", space], "inside")
    assert item["value"] == {"fact": "from a graph"}
    values = await client.runs.wait(None, "store", input={"user": space, "key": "nobody"})
    assert values["got"] is None


@pytest.mark.reference_differs("takes a time to live and does not act on it in memory")
async def test_an_item_goes_when_its_time_is_over(client: Client, space: str) -> None:
    # A tenth of a second, in minutes. Reading it must not prolong it.
    await client.store.put_item([space], "k", {"v": 1}, ttl=0.1 / 60)

    async def gone() -> bool:
        return await client.store.get_item([space], "k", refresh_ttl=False) is None

    await eventually(gone)
    assert await keys(client, space, refresh_ttl=False) == []
