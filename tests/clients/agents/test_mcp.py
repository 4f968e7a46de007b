"""The official client of the Model Context Protocol lists assistants as tools and calls them.

Each test runs with each way of beginning: the handshake of the older versions, and requests that say all they need
each time, as the newest version has it.
"""

import json
import os
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp_types import CallToolResult, TextContent
from mcp_types.version import LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION

URL = f"{os.environ['SERVER']}/mcp"

WAYS = {"legacy": LATEST_HANDSHAKE_VERSION, "auto": LATEST_MODERN_VERSION, LATEST_MODERN_VERSION: LATEST_MODERN_VERSION}

way = pytest.mark.parametrize("way", WAYS)


def text(result: CallToolResult) -> str:
    [content] = result.content
    assert isinstance(content, TextContent)
    return content.text


async def called(client: Client, name: str, arguments: dict[str, Any]) -> Any:
    result = await client.call_tool(name, arguments)
    assert not result.is_error, result
    return json.loads(text(result))


@way
async def test_the_client_and_the_server_agree_on_a_version(way: str) -> None:
    async with Client(URL, mode=way) as client:
        assert client.session.protocol_version == WAYS[way]
        # Who names a version asks for nothing more.
        if way in {"legacy", "auto"}:
            assert client.session.server_info is not None
            assert client.session.server_info.name == "Selvedge"


@way
async def test_assistants_are_listed_as_tools(way: str) -> None:
    async with Client(URL, mode=way) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert {"two", "chat", "hitl", "fail", "echo_messages"} <= tools.keys()
        two = tools["two"]
        assert two.title == "two"
        assert "foo" in two.input_schema["properties"]
        assert two.annotations is not None
        assert two.annotations.open_world_hint is True


@way
async def test_tools_are_called_and_answer_in_json(way: str) -> None:
    async with Client(URL, mode=way) as client:
        assert (await called(client, "two", {"foo": "x"}))["foo"] == "xab"
        said = await called(client, "echo_messages", {"messages": [{"role": "user", "content": "hi"}]})
        assert [message["content"] for message in said["messages"]] == ["hi", "hi"]
        asked = await called(client, "hitl", {"foo": "x"})
        assert asked["__interrupt__"][0]["value"] == {"question": "continue?"}


@way
async def test_a_tool_that_fails_says_why(way: str) -> None:
    async with Client(URL, mode=way) as client:
        failed = await client.call_tool("fail", {"foo": "x"})
        assert failed.is_error
        assert text(failed) == "ValueError: boom"
        with pytest.raises(MCPError, match="Unknown tool: none"):
            await client.call_tool("none", {})


@way
async def test_a_call_that_takes_longer_than_signs_of_life_are_apart_is_answered(way: str) -> None:
    async with Client(URL, mode=way) as client:
        done = await called(client, "slow", {"steps": 3, "secs": 2})
        assert done["done"] == 3


@way
async def test_several_calls_at_once_are_told_apart(way: str) -> None:
    async with Client(URL, mode=way) as client:
        words = [f"word {n}" for n in range(8)]
        for word in words:
            assert (await called(client, "two", {"foo": word}))["foo"] == f"{word}ab"
