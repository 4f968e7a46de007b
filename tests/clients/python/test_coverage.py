"""Every public method of both clients is called by this suite, or a later issue is named for it.

The methods are read from the installed package, so a method that a new version brings is missed here by name.
"""

import inspect

from langgraph_sdk import get_client, get_sync_client

from support.clients import AREAS, FLAVOURS, called

# Methods whose feature has an issue of its own, by `area.method` or `area`.
LATER = {
    "threads.stream": "Event streaming v2",
}


def public_methods() -> dict[str, str]:
    """`"SyncRunsClient.wait": "runs.wait"`, for both clients."""
    methods = {}
    for client in (get_client(url="http://unused"), get_sync_client(url="http://unused")):
        for area in AREAS:
            kind = type(getattr(client, area))
            for name, _ in inspect.getmembers(kind, callable):
                if not name.startswith("_"):
                    methods[f"{kind.__name__}.{name}"] = f"{area}.{name}"
    return methods


def later(method: str) -> str | None:
    """Name the issue that the method waits for."""
    return LATER.get(method) or LATER.get(method.partition(".")[0])


def summary() -> str:
    methods = public_methods()
    waiting = [name for name, method in methods.items() if later(method)]
    return (
        f"client methods: {len(methods)} in {len(FLAVOURS)} clients, "
        f"{len(called & methods.keys())} called, {len(waiting)} of later issues"
    )


def test_the_areas_are_all_that_the_clients_have() -> None:
    for client in (get_client(url="http://unused"), get_sync_client(url="http://unused")):
        public = {name for name in vars(client) if not name.startswith("_")}
        assert public == {*AREAS, "http"}


def test_every_public_method_is_called_or_belongs_to_a_later_issue() -> None:
    missing = [name for name, method in public_methods().items() if name not in called and not later(method)]
    assert not missing


def test_no_method_of_a_later_issue_is_called_already() -> None:
    assert not [name for name, method in public_methods().items() if name in called and later(method)]
