"""Builds LangGraph graphs from the declarative form of the fixture: a graph description as components give it, and
for each node, branch and custom reducer a behaviour made of a few operations. The Rust test interprets the same."""

import operator
import threading
import time
from typing import Annotated, Any, TypedDict

from langchain_core.messages import convert_to_messages
from langchain_core.runnables import RunnableConfig
from langgraph.channels import AnyValue, EphemeralValue, UntrackedValue
from langgraph.graph import StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, RetryPolicy, Send, interrupt


def append(left, right):
    return left + (right if isinstance(right, list) else [right])


def merge(left, right):
    return {**left, **right}


def concat(left, right):
    return f"{left}{right}"


REDUCERS = {
    "last_value": Any,
    "append": Annotated[list, append],
    "merge": Annotated[dict, merge],
    "sum": Annotated[int, operator.add],
    "any_value": Annotated[Any, AnyValue],
    "ephemeral": Annotated[Any, EphemeralValue],
    "untracked": Annotated[Any, UntrackedValue],
    "add_messages": Annotated[list, add_messages],
    # Starts as "".
    "custom": Annotated[str, concat],
}

ERRORS = {"ValueError": ValueError, "RuntimeError": RuntimeError, "KeyError": KeyError}


class Behaviour:
    """Interprets behaviours and remembers what nodes were called with and how often they failed."""

    def __init__(self, case):
        self.case = case
        self.lock = threading.Lock()
        self.failed = {}
        self.calls = []

    def holds(self, condition, state):
        if condition is None:
            return True
        kind, channel, value = condition
        held = state.get(channel) if isinstance(state, dict) else None
        if kind == "eq":
            return held == value
        if kind == "shorter":
            return held is None or len(held) < value
        raise AssertionError(kind)

    def fill(self, template, state, answers, name):
        """A template with its holes filled: `{"$": what, …}`."""
        if isinstance(template, list):
            return [self.fill(t, state, answers, name) for t in template]
        if not isinstance(template, dict):
            return template
        match template.get("$"):
            case None:
                return {k: self.fill(v, state, answers, name) for k, v in template.items()}
            case "name":
                return name
            case "input":
                return state
            case "answers":
                return answers
            case "get":
                return state.get(template["channel"]) if isinstance(state, dict) else None
            case "message":
                return convert_to_messages([template["message"]])[0]
        raise AssertionError(template)

    def node(self, name):
        steps = self.case["behaviour"]["nodes"].get(name, [])

        def run(state, config: RunnableConfig):
            sent = config["metadata"]["langgraph_path"][0] == "__pregel_push"
            with self.lock:
                self.calls.append([name, state])
            answers = []
            for step in steps:
                if not self.holds(step.get("if"), state):
                    continue
                if "interrupt" in step:
                    answers.append(interrupt(step["interrupt"]))
                elif "fail" in step:
                    # Of several tasks of one node only one may fail: which of two is reported is chance.
                    if sent and "if" not in step:
                        continue
                    with self.lock:
                        count = self.failed.get(name, 0)
                        self.failed[name] = count + 1
                    if count < step["times"]:
                        time.sleep(0.03)  # siblings finish first
                        raise ERRORS[step["fail"]](step["message"])
                elif "return" in step:
                    return self.returned(self.fill(step["return"], state, answers, name))
                elif "raw" in step:
                    return step["raw"]
            return None

        return run

    def returned(self, value):
        if isinstance(value, list):
            return [self.command(v) for v in value]
        if value.get("goto") is None and value.get("graph") is None:
            return value.get("update")
        return self.command(value)

    def command(self, value):
        goto = [self.target(t) for t in value.get("goto") or []]
        return Command(update=value.get("update"), goto=goto, graph=value.get("graph"))

    def target(self, target):
        return Send(target["node"], target["input"]) if isinstance(target, dict) else target

    def branch(self, source, name):
        options = self.case["behaviour"]["branches"][f"{source}/{name}"]

        def route(state):
            for option in options:
                if not self.holds(option.get("if"), state):
                    continue
                if "each" in option:
                    items = state.get(option["each"]) or []
                    return [Send(option["node"], {"item": i}) for i in items]
                to = self.fill(option["to"], state, [], name)
                return [self.target(t) for t in to]
            return []

        route.__name__ = name
        return route


def build(case, behaviour, saver):
    graph = case["graph"]
    types = {c["name"]: REDUCERS[c["reducer"]] for c in graph["channels"]}

    def schema(title, names):
        return TypedDict(title, {n: types[n] for n in types if names is None or n in names}, total=False)

    builder = StateGraph(
        schema("State", None),
        input_schema=schema("In", graph.get("input_channels")),
        output_schema=schema("Out", graph.get("output_channels")),
    )
    for node in graph["nodes"]:
        retry = [
            RetryPolicy(
                initial_interval=0.001,
                max_attempts=r["max_attempts"],
                jitter=False,
                retry_on=tuple(ERRORS[k] for k in r["retry_on"]),
            )
            for r in node.get("retry", [])
        ]
        builder.add_node(
            node["name"],
            behaviour.node(node["name"]),
            defer=node.get("defer", False),
            input_schema=schema("Reads", node.get("reads")),
            retry_policy=retry or None,
            destinations=tuple(node["destinations"]) if node.get("destinations") else None,
        )
    for edge in graph.get("edges", []):
        start = edge["from"]
        builder.add_edge(start[0] if len(start) == 1 else start, edge["to"])
    for branch in graph.get("branches", []):
        builder.add_conditional_edges(
            branch["from"], behaviour.branch(branch["from"], branch["name"]), branch.get("destinations")
        )
    return builder.compile(
        checkpointer=saver,
        interrupt_before=graph.get("interrupt_before") or None,
        interrupt_after=graph.get("interrupt_after") or None,
    )
