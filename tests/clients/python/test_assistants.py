"""Assistants: made, changed, versioned, found, drawn, and run with what they carry."""

from uuid import UUID, uuid4, uuid5

import pytest
from langgraph_sdk.errors import NotFoundError

from support.clients import Client
from support.runs import has_status, slowly

# The reference's own; it only resembles those of RFC 4122.
DEFAULT_ASSISTANTS = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
TWO = str(uuid5(DEFAULT_ASSISTANTS, "two"))


async def test_each_graph_has_a_default_assistant_with_a_known_id(client: Client) -> None:
    assistant = await client.assistants.get(TWO)
    assert assistant["graph_id"] == assistant["name"] == "two"
    assert assistant["description"] == "two nodes"
    assert assistant["metadata"] == {"created_by": "system"}
    assert (assistant["config"], assistant["context"], assistant["version"]) == ({}, {}, 1)
    found = await client.assistants.search(graph_id="two", metadata={"created_by": "system"})
    assert [a["assistant_id"] for a in found] == [TWO]


@pytest.mark.reference_differs("knows a default config and context only in its JavaScript edition")
async def test_the_configuration_gives_a_default_assistant_its_context(
    client: Client,
) -> None:
    values = await client.runs.wait(None, "ctx_given", input={"foo": ""})
    assert values["seen_context"] == {"user": "from the file", "level": 1}


async def test_create_keeps_what_it_is_given(client: Client, mark: dict[str, str]) -> None:
    assistant_id = str(uuid4())
    made = await client.assistants.create(
        "two",
        {"tags": ["t"], "recursion_limit": 7},
        context={"user": "ann"},
        metadata=mark,
        assistant_id=assistant_id,
        name="Two for Ann",
        description="hers",
    )
    assert made["assistant_id"] == assistant_id
    assert made["graph_id"] == "two"
    assert made["name"] == "Two for Ann"
    assert made["description"] == "hers"
    assert made["config"]["tags"] == ["t"]
    assert made["config"]["recursion_limit"] == 7
    assert made["context"] == {"user": "ann"}
    assert made["metadata"] == mark
    assert made["version"] == 1
    assert await client.assistants.get(assistant_id) == made


async def test_create_needs_only_the_graph(client: Client) -> None:
    made = await client.assistants.create("two")
    assert (made["name"], made["metadata"], made["version"]) == ("Untitled", {}, 1)
    assert UUID(made["assistant_id"]).version == 4


async def test_context_and_configurable_mirror_one_another(client: Client) -> None:
    by_config = await client.assistants.create("ctx", {"configurable": {"user": "ann"}})
    assert by_config["context"] == {"user": "ann"}
    by_context = await client.assistants.create("ctx", context={"user": "ann"})
    assert by_context["config"]["configurable"] == {"user": "ann"}


async def test_do_nothing_gives_the_one_that_exists(client: Client) -> None:
    made = await client.assistants.create("two", name="first")
    same = await client.assistants.create(
        "fail", assistant_id=made["assistant_id"], if_exists="do_nothing", name="second"
    )
    assert same == made


async def test_an_update_makes_a_version_and_merges_metadata(client: Client) -> None:
    made = await client.assistants.create("two", metadata={"a": 1, "b": 1}, context={"user": "a"})
    changed = await client.assistants.update(
        made["assistant_id"], metadata={"b": 2}, context={"user": "b"}, name="new", graph_id="fan"
    )
    assert changed["version"] == 2
    assert changed["metadata"] == {"a": 1, "b": 2}
    assert changed["context"] == {"user": "b"}
    assert (changed["name"], changed["graph_id"]) == ("new", "fan")
    assert changed["created_at"] == made["created_at"] or changed["updated_at"] > made["updated_at"]
    assert (await client.assistants.update(made["assistant_id"]))["version"] == 3


async def test_versions_are_listed_newest_first(client: Client) -> None:
    made = await client.assistants.create("two", metadata={"v": 1}, name="one")
    for version in (2, 3):
        await client.assistants.update(made["assistant_id"], metadata={"v": version}, name=f"name {version}")
    versions = await client.assistants.get_versions(made["assistant_id"])
    assert [v["version"] for v in versions] == [3, 2, 1]
    assert [v["name"] for v in versions] == ["name 3", "name 2", "one"]
    assert "updated_at" not in versions[0]
    page = await client.assistants.get_versions(made["assistant_id"], limit=1, offset=1)
    assert [v["version"] for v in page] == [2]
    found = await client.assistants.get_versions(made["assistant_id"], metadata={"v": 1})
    assert [v["version"] for v in found] == [1]


async def test_an_old_version_becomes_current_again(client: Client) -> None:
    made = await client.assistants.create("two", metadata={"v": 1}, name="one")
    await client.assistants.update(made["assistant_id"], metadata={"v": 2}, name="two")
    restored = await client.assistants.set_latest(made["assistant_id"], 1)
    assert (restored["version"], restored["name"], restored["metadata"]) == (1, "one", {"v": 1})
    assert len(await client.assistants.get_versions(made["assistant_id"])) == 2
    changed = await client.assistants.update(made["assistant_id"], name="three")
    assert changed["version"] == 3


@pytest.mark.reference_differs("restores name, metadata and config, but no context and no graph")
async def test_an_old_version_brings_its_context_and_graph_back(client: Client) -> None:
    made = await client.assistants.create("two", context={"user": "a"})
    await client.assistants.update(made["assistant_id"], context={"user": "b"}, graph_id="fan")
    restored = await client.assistants.set_latest(made["assistant_id"], 1)
    assert (restored["context"], restored["graph_id"]) == ({"user": "a"}, "two")


async def test_a_deleted_assistant_is_gone(client: Client) -> None:
    made = await client.assistants.create("two")
    assert await client.assistants.delete(made["assistant_id"]) is None
    with pytest.raises(NotFoundError):
        await client.assistants.get(made["assistant_id"])
    with pytest.raises(NotFoundError):
        await client.runs.create(None, made["assistant_id"], input={"foo": ""})


async def test_delete_takes_the_assistants_threads_along_when_asked(client: Client, thread: str) -> None:
    made = await client.assistants.create("two")
    await client.runs.wait(thread, made["assistant_id"], input={"foo": ""})
    await client.assistants.delete(made["assistant_id"], delete_threads=True)
    with pytest.raises(NotFoundError):
        await client.threads.get(thread)


async def test_delete_cancels_the_assistants_runs(client: Client, thread: str) -> None:
    made = await client.assistants.create("slow")
    run = await client.runs.create(thread, made["assistant_id"], input=slowly(1, 30))
    await has_status(client, run, "running")
    await client.assistants.delete(made["assistant_id"])
    await has_status(client, run, "interrupted")


async def test_search_finds_by_metadata_graph_and_part_of_the_name(client: Client, mark: dict[str, str]) -> None:
    for graph, name in [("two", "Apple pie"), ("two", "banana"), ("fan", "pineapple")]:
        await client.assistants.create(graph, metadata=mark, name=name)
    search = client.assistants.search
    named = await search(metadata=mark, name="APPLE", sort_by="name", sort_order="asc")
    assert {a["name"] for a in named} == {"Apple pie", "pineapple"}
    assert [a["name"] for a in await search(metadata=mark, graph_id="fan")] == ["pineapple"]
    assert await client.assistants.count(metadata=mark) == 3
    assert await client.assistants.count(metadata=mark, graph_id="two") == 2
    assert await client.assistants.count(metadata=mark, name="apple") == 2


async def test_search_sorts_selects_and_pages(client: Client, mark: dict[str, str]) -> None:
    for name in ("b", "a", "c"):
        await client.assistants.create("two", metadata=mark, name=name)
    by_default = await client.assistants.search(metadata=mark)
    assert [a["name"] for a in by_default] == ["c", "a", "b"]
    by_name = await client.assistants.search(
        metadata=mark, sort_by="name", sort_order="asc", select=["name", "version"]
    )
    assert by_name == [{"name": name, "version": 1} for name in ("a", "b", "c")]
    first = await client.assistants.search(metadata=mark, limit=2, response_format="object")
    assert (len(first["assistants"]), first["next"]) == (2, "2")
    rest = await client.assistants.search(metadata=mark, limit=2, offset=2, response_format="object")
    assert (len(rest["assistants"]), rest["next"]) == (1, None)


async def test_a_graph_is_drawn(client: Client) -> None:
    drawing = await client.assistants.get_graph(TWO)
    assert drawing["nodes"] == [
        {"id": "__start__", "type": "runnable", "data": {"name": "__start__"}},
        {"id": "a", "type": "runnable", "data": {"name": "a"}},
        {"id": "b", "type": "runnable", "data": {"name": "b"}},
        {"id": "__end__"},
    ]
    assert drawing["edges"] == [
        {"source": "__start__", "target": "a"},
        {"source": "a", "target": "b"},
        {"source": "b", "target": "__end__"},
    ]
    assert await client.assistants.get_graph("two", xray=True) == drawing


async def test_a_drawing_tells_branches_and_metadata(client: Client) -> None:
    fan = await client.assistants.get_graph("fan")
    edges = {(e["source"], e["target"]): e for e in fan["edges"]}
    assert edges["__start__", "work"]["conditional"] is True
    assert "conditional" not in edges["work", "gather"]
    goto = await client.assistants.get_graph("goto")
    edges = {(e["source"], e["target"]): e for e in goto["edges"]}
    assert edges["route", "left"]["conditional"] is True
    assert edges["route", "right"]["conditional"] is True
    defer = await client.assistants.get_graph("defer")
    assert {n["id"]: n.get("metadata") for n in defer["nodes"]}["last"] == {"defer": True}


async def test_schemas_say_what_a_graph_takes_and_gives(client: Client) -> None:
    schemas = await client.assistants.get_schemas(TWO)
    assert schemas["graph_id"] == "two"
    for part in ("input_schema", "output_schema", "state_schema"):
        schema = schemas[part]
        assert set(schema["properties"]) == {"foo", "log"}
        assert schema["properties"]["foo"]["type"] == "string"
        assert schema["properties"]["log"]["items"] == {"type": "string"}
    assert schemas["context_schema"] is None
    assert schemas["config_schema"] == {}


async def test_schemas_say_what_context_a_graph_takes(client: Client) -> None:
    ctx = str(uuid5(DEFAULT_ASSISTANTS, "ctx"))
    context = (await client.assistants.get_schemas(ctx))["context_schema"]
    assert context is not None
    assert set(context["properties"]) == {"user", "level"}


async def test_a_graph_without_subgraphs_has_none(client: Client) -> None:
    assert await client.assistants.get_subgraphs(TWO) == {}
    assert await client.assistants.get_subgraphs(TWO, recurse=True) == {}
    assert await client.assistants.get_subgraphs(TWO, "a") == {}


async def test_a_run_gets_its_assistants_context_config_and_metadata(client: Client, thread: str) -> None:
    made = await client.assistants.create(
        "ctx", {"tags": ["mine"]}, context={"user": "ann", "level": 1}, metadata={"team": "x"}
    )
    run = await client.runs.create(thread, made["assistant_id"], input={"foo": ""}, context={"level": 2})
    await client.runs.join(thread, run["run_id"])
    values = (await client.threads.get(thread))["values"]
    assert values["seen_context"] == {"user": "ann", "level": 2}
    assert run["metadata"]["team"] == "x"
    assert run["kwargs"]["config"]["tags"] == ["mine"]


async def test_reserved_members_of_metadata_are_dropped(client: Client) -> None:
    made = await client.assistants.create(
        "two", metadata={"run_id": "x", "thread_id": "x", "assistant_id": "x", "kept": 1}
    )
    assert made["metadata"] == {"kept": 1}
