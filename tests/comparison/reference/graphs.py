"""The graphs of `tests/graphs/suite`, written with LangGraph for the reference server.

Each has the same name, state keys, nodes and values as its twin in Rust, so that one client suite drives both. What a
graph is for stands at its head there; here only what the two libraries do differently is explained.
"""

import asyncio
import operator
import uuid
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig
from langgraph.cache.memory import InMemoryCache
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.runtime import Runtime
from langgraph.types import CachePolicy, Command, RetryPolicy, Send, interrupt

# Not from typing: pydantic needs it of Python 3.12 there, and makes the schemas.
from typing_extensions import TypedDict

# LangGraph reads the annotations of these classes, so they must be importable here: no `from __future__` annotations.


class Trail(TypedDict, total=False):
    """A value that each node extends, and the names of the nodes that ran."""

    foo: str
    log: Annotated[list[str], operator.add]


def passes(name: str) -> Any:
    """A node that adds its name to both channels."""

    def node(state: Trail) -> Trail:
        return {"foo": state.get("foo", "") + name, "log": [name]}

    return node


two = (
    StateGraph(Trail)
    .add_node("a", passes("a"))
    .add_node("b", passes("b"))
    .add_edge(START, "a")
    .add_edge("a", "b")
    .add_edge("b", END)
    .compile(name="two")
)

breaks = (
    StateGraph(Trail)
    .add_node("a", passes("a"))
    .add_node("b", passes("b"))
    .add_edge(START, "a")
    .add_edge("a", "b")
    .add_edge("b", END)
    .compile(name="breaks", interrupt_before=["b"])
)


class Question(TypedDict, total=False):
    """The trail, and what the person answered."""

    foo: str
    answer: Any
    log: Annotated[list[str], operator.add]


def ask(state: Question) -> Question:
    return {"answer": interrupt({"question": "continue?"}), "log": ["ask"]}


hitl = (
    StateGraph(Question)
    .add_node("a", passes("a"))
    .add_node("ask", ask)
    .add_edge(START, "a")
    .add_edge("a", "ask")
    .add_edge("ask", END)
    .compile(name="hitl")
)


def asks(name: str) -> Any:
    """A node that asks under its own name and notes the answer."""

    def node(state: Trail) -> Trail:
        return {"log": [f"{name}={interrupt({'ask': name})}"]}

    return node


hitl_many = (
    StateGraph(Trail)
    .add_node("left", asks("left"))
    .add_node("right", asks("right"))
    .add_node("after", lambda state: {"log": ["after"]})
    .add_edge(START, "left")
    .add_edge(START, "right")
    .add_edge(["left", "right"], "after")
    .add_edge("after", END)
    .compile(name="hitl_many")
)


class Loop(TypedDict, total=False):
    """All answers, in order."""

    answers: list[str]


def ask_until_done(state: Loop) -> Loop:
    answers: list[str] = []
    while not answers or answers[-1] != "done":
        answers.append(interrupt({"question": "more?", "so_far": len(answers)}))
    return {"answers": answers}


hitl_loop = (
    StateGraph(Loop)
    .add_node("ask", ask_until_done)
    .add_edge(START, "ask")
    .add_edge("ask", END)
    .compile(name="hitl_loop")
)


def ask_deep(state: Trail) -> Trail:
    return {"foo": state.get("foo", "") + interrupt({"question": "deep?"}), "log": ["ask"]}


leaf = (
    StateGraph(Trail)
    .add_node("i", passes("i"))
    .add_node("ask", ask_deep)
    .add_edge(START, "i")
    .add_edge("i", "ask")
    .add_edge("ask", END)
    .compile(name="leaf")
)

mid = (
    StateGraph(Trail)
    .add_node("m", passes("m"))
    .add_node("leaf", leaf)
    .add_edge(START, "m")
    .add_edge("m", "leaf")
    .add_edge("leaf", END)
    .compile(name="mid")
)

nested = (
    StateGraph(Trail)
    .add_node("a", passes("a"))
    .add_node("mid", mid)
    .add_node("b", passes("b"))
    .add_edge(START, "a")
    .add_edge("a", "mid")
    .add_edge("mid", "b")
    .add_edge("b", END)
    .compile(name="nested")
)


class Log(TypedDict, total=False):
    """The trail without the channel that takes one value a super-step."""

    log: Annotated[list[str], operator.add]


def asker(name: str) -> Any:
    """A graph whose one node asks."""
    return StateGraph(Log).add_node("ask", asks(name)).add_edge(START, "ask").add_edge("ask", END).compile(name=name)


wide = (
    StateGraph(Trail)
    .add_node("left", asker("left"))
    .add_node("right", asker("right"))
    .add_node("after", lambda state: {"log": ["after"]})
    .add_edge(START, "left")
    .add_edge(START, "right")
    .add_edge(["left", "right"], "after")
    .add_edge("after", END)
    .compile(name="wide")
)


def goes_to_b(state: Log) -> Any:
    return Command(graph=Command.PARENT, update={"foo": "from inside ", "log": ["left"]}, goto="b")


leave = StateGraph(Log).add_node("leave", goes_to_b).add_edge(START, "leave").compile(name="leave")

handover = (
    StateGraph(Trail)
    .add_node("sub", leave, destinations=("b",))
    .add_node("b", passes("b"))
    .add_edge(START, "sub")
    .add_edge("b", END)
    .compile(name="handover")
)


class CustomError(Exception):
    """A class that is not on the reference's list of those whose message callers may see."""


class Failing(TypedDict, total=False):
    """The trail, and the kind of the failure: `ValueError` unless it is `CustomError`."""

    foo: str
    kind: str
    log: Annotated[list[str], operator.add]


def fails(message: str) -> Any:
    """A node that raises."""

    def node(state: Failing) -> Failing:
        if state.get("kind") == "CustomError":
            raise CustomError(message)
        raise ValueError(message)

    return node


fail = (
    StateGraph(Failing)
    .add_node("fail", fails("boom"))
    .add_edge(START, "fail")
    .add_edge("fail", END)
    .compile(name="fail")
)

fail_b = (
    StateGraph(Failing)
    .add_node("a", passes("a"))
    .add_node("fail_b", fails("boom-b"))
    .add_edge(START, "a")
    .add_edge("a", "fail_b")
    .add_edge("fail_b", END)
    .compile(name="fail_b")
)


class Slow(TypedDict, total=False):
    """`steps` steps of `secs` seconds each."""

    steps: int
    secs: float
    done: int
    log: Annotated[list[str], operator.add]


async def step(state: Slow) -> Slow:
    done = state.get("done", 0) + 1
    get_stream_writer()({"step": done})
    await asyncio.sleep(state["secs"])
    return {"done": done, "log": [f"step {done}"]}


def again(state: Slow) -> Literal["step", "__end__"]:
    return "step" if state["done"] < state["steps"] else END


slow = (
    StateGraph(Slow)
    .add_node("step", step)
    .add_edge(START, "step")
    .add_conditional_edges("step", again, ["step", END])
    .compile(name="slow")
)


def writes_custom(state: Trail) -> Trail:
    writer = get_stream_writer()
    writer({"progress": 1})
    writer("plain string")
    return {"foo": "c"}


custom = (
    StateGraph(Trail)
    .add_node("custom", writes_custom)
    .add_edge(START, "custom")
    .add_edge("custom", END)
    .compile(name="custom")
)


class Chat(TypedDict):
    """A conversation."""

    messages: Annotated[list[BaseMessage], add_messages]


class FiveTokens(BaseChatModel):
    """A model that always says the same, in five pieces and under one id."""

    @property
    def _llm_type(self) -> str:
        return "five-tokens"

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        pieces = ["hello", " ", "there", " ", "world"]
        for index, piece in enumerate(pieces, 1):
            position: Literal["last"] | None = "last" if index == len(pieces) else None
            message = AIMessageChunk(content=piece, id="ai-1", chunk_position=position)
            chunk = ChatGenerationChunk(message=message)
            if run_manager:
                run_manager.on_llm_new_token(piece, chunk=chunk)
            yield chunk

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content="hello there world", id="ai-1"))])


async def say(state: Chat) -> Chat:
    return {"messages": [await FiveTokens().ainvoke(state["messages"])]}


chat = (
    StateGraph(Chat)
    .add_node("chat", say)
    .add_node("post", lambda state: {"messages": [AIMessage(content="final", id="ai-2")]})
    .add_edge(START, "chat")
    .add_edge("chat", "post")
    .add_edge("post", END)
    .compile(name="chat")
)


talking = StateGraph(Chat).add_node("sub", chat).add_edge(START, "sub").add_edge("sub", END).compile(name="talking")


def echo(state: Chat) -> Chat:
    last = state["messages"][-1]
    return {"messages": [AIMessage(content=last.content, id=f"echo-{len(state['messages'])}")]}


echo_messages = (
    StateGraph(Chat).add_node("echo", echo).add_edge(START, "echo").add_edge("echo", END).compile(name="echo_messages")
)


class Fan(TypedDict, total=False):
    """Words to work on, one task each."""

    items: list[str]
    results: Annotated[list[str], operator.add]
    total: int


class Item(TypedDict):
    """What a task gets instead of the state."""

    item: str


def spread(state: Fan) -> list[Send]:
    return [Send("work", {"item": item}) for item in state["items"]]


fan = (
    StateGraph(Fan)
    .add_node("work", lambda item: {"results": [item["item"].upper()]}, input_schema=Item)
    .add_node("gather", lambda state: {"total": len(state["results"])})
    .add_conditional_edges(START, spread, ["work"])
    .add_edge("work", "gather")
    .add_edge("gather", END)
    .compile(name="fan")
)


class Goto(TypedDict, total=False):
    """Where to go."""

    to: list[str]
    foo: str
    log: Annotated[list[str], operator.add]


def route(state: Goto) -> Command[Literal["left", "right"]]:
    return Command(update={"log": ["route"]}, goto=state["to"])


goto = (
    StateGraph(Goto)
    .add_node("route", route)
    .add_node("left", lambda state: {"log": ["left"]})
    .add_node("right", lambda state: {"log": ["right:" + state.get("foo", "")]})
    .add_edge(START, "route")
    .compile(name="goto")
)


class Tone(TypedDict, total=False):
    """The form of the context."""

    user: str
    level: int


class Seen(TypedDict, total=False):
    """What the node saw. `foo` is there for the input."""

    foo: str
    seen_context: dict[str, Any]
    seen_configurable: dict[str, Any]


def look(state: Seen, runtime: Runtime[Tone], config: RunnableConfig) -> Seen:
    configurable = config.get("configurable", {})
    # Servers add members of their own to `configurable`; these are the callers'.
    shown = {name: configurable[name] for name in ("user", "level", "extra") if name in configurable}
    return {"seen_context": dict(runtime.context or {}), "seen_configurable": shown}


ctx = (
    StateGraph(Seen, context_schema=Tone)
    .add_node("look", look)
    .add_edge(START, "look")
    .add_edge("look", END)
    .compile(name="ctx")
)


class Retry(TypedDict, total=False):
    """Fails until the attempt `succeeds_at`, with a `ConnectionError` unless `kind` is `ValueError`."""

    succeeds_at: int
    kind: str
    attempts: int


def flaky(state: Retry, runtime: Runtime[None]) -> Retry:
    attempt = runtime.execution_info.node_attempt if runtime.execution_info else 1
    if attempt < state["succeeds_at"]:
        kind = ValueError if state.get("kind") == "ValueError" else ConnectionError
        raise kind(f"attempt {attempt}")
    return {"attempts": attempt}


retry = (
    StateGraph(Retry)
    .add_node(
        "flaky",
        flaky,
        retry_policy=RetryPolicy(max_attempts=3, initial_interval=0.01, jitter=False, retry_on=ConnectionError),
    )
    .add_edge(START, "flaky")
    .add_edge("flaky", END)
    .compile(name="retry")
)

defer = (
    StateGraph(Trail)
    .add_node("short", lambda state: {"log": ["short"]})
    .add_node("long_1", lambda state: {"log": ["long_1"]})
    .add_node("long_2", lambda state: {"log": ["long_2"]})
    .add_node("last", lambda state: {"log": ["last"]}, defer=True)
    .add_edge(START, "short")
    .add_edge(START, "long_1")
    .add_edge("long_1", "long_2")
    .add_edge("short", "last")
    .add_edge("long_2", "last")
    .add_edge("last", END)
    .compile(name="defer")
)


class Cached(TypedDict, total=False):
    """A different `mark` each time that the node runs."""

    foo: str
    mark: str


class Foo(TypedDict):
    """The part of the state that the node's result depends on, and so its key in the cache."""

    foo: str


cached = (
    StateGraph(Cached)
    .add_node("work", lambda state: {"mark": str(uuid.uuid4())}, input_schema=Foo, cache_policy=CachePolicy(ttl=60))
    .add_edge(START, "work")
    .add_edge("work", END)
    .compile(name="cached", cache=InMemoryCache())
)


class Timed(TypedDict, total=False):
    """How long the node works; it may take 2 s."""

    secs: float
    done: bool


async def work(state: Timed) -> Timed:
    await asyncio.sleep(state["secs"])
    return {"done": True}


timed = (
    StateGraph(Timed)
    .add_node("work", work, timeout=2.0)
    .add_edge(START, "work")
    .add_edge("work", END)
    .compile(name="timed")
)


class Remembered(TypedDict, total=False):
    """A fact about a user, what the store says of it, and all facts about the user."""

    user: str
    key: str
    fact: str
    got: dict[str, Any] | None
    found: list[str]


async def remember(state: Remembered, runtime: Runtime[None]) -> Remembered:
    namespace = ("facts", state["user"])
    assert runtime.store is not None
    if "fact" in state:
        await runtime.store.aput(namespace, state["key"], {"fact": state["fact"]})
    item = await runtime.store.aget(namespace, state["key"])
    items = await runtime.store.asearch(namespace)
    return {"got": item.value if item else None, "found": sorted(item.value["fact"] for item in items)}


store = (
    StateGraph(Remembered)
    .add_node("remember", remember)
    .add_edge(START, "remember")
    .add_edge("remember", END)
    .compile(name="store")
)


class Count(TypedDict, total=False):
    """How often the node ran."""

    count: int


limit = (
    StateGraph(Count)
    .add_node("loop", lambda state: {"count": state.get("count", 0) + 1})
    .add_edge(START, "loop")
    .add_edge("loop", "loop")
    .compile(name="limit")
)


class Unicode(TypedDict, total=False):
    """A text of the caller's, which comes back, and one of the graph's."""

    text: str
    echo: str
    own: str


unicode = (
    StateGraph(Unicode)
    .add_node("speak", lambda state: {"echo": state.get("text", ""), "own": "line\u2028paragraph\u2029nul\u0000😀"})
    .add_edge(START, "speak")
    .add_edge("speak", END)
    .compile(name="unicode")
)
