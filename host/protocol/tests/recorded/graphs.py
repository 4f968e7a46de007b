"""Graphs for the recording that `record.py` makes; the others are those of `tests/comparison/reference`."""

import operator
from collections.abc import Iterator
from typing import Annotated, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict


class Scripted(BaseChatModel):
    """Asks for two tools, in pieces, and says so."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("unused"))])

    def _stream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        def call(index: int, args: str, name: str | None = None, id: str | None = None) -> ChatGenerationChunk:
            piece = {"name": name, "args": args, "id": id, "index": index}
            return ChatGenerationChunk(message=AIMessageChunk("", id="ai-8", tool_call_chunks=[piece]))

        yield ChatGenerationChunk(message=AIMessageChunk("let me ", id="ai-8"))
        yield ChatGenerationChunk(message=AIMessageChunk("see", id="ai-8"))
        yield call(0, '{"a":', "add", "c1")
        yield call(0, '1,"b":2}')
        yield call(1, '{"a":1}', "other", "c2")
        used = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
        yield ChatGenerationChunk(message=AIMessageChunk("", id="ai-8", usage_metadata=used, chunk_position="last"))


calls = (
    StateGraph(MessagesState)
    .add_node("model", lambda state: {"messages": [Scripted().invoke(state["messages"])]})
    .add_edge(START, "model")
    .add_edge("model", END)
    .compile(name="calls")
)


class Trail(TypedDict, total=False):
    """A value that each node extends, and the names of the nodes that ran."""

    foo: str
    log: Annotated[list[str], operator.add]


def passes(name: str) -> Any:
    """A node that adds its name to both channels."""
    return lambda state: {"foo": state.get("foo", "") + name, "log": [name]}


def around(name: str, inner: Any) -> Any:
    """A graph with another one within it."""
    graph = StateGraph(Trail).add_node("a", passes("a")).add_node("sub", inner)
    return graph.add_edge(START, "a").add_edge("a", "sub").add_edge("sub", END).compile(name=name)


def one(name: str, node: Any) -> Any:
    """A graph of one node."""
    return StateGraph(Trail).add_node(name, node).add_edge(START, name).add_edge(name, END).compile(name=name)


def says(state: Trail) -> Trail:
    write = get_stream_writer()
    write({"plain": 1})
    write("text")
    return {"foo": "c"}


nested = around("nested", one("inner", passes("inner")))
nested_asks = around("nested_asks", one("ask", lambda state: {"log": [interrupt({"question": "?"})]}))
says_something = one("says", says)
