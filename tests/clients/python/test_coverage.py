"""Every public method of both clients is called by this suite.

The methods are read from the installed package, so a method that a new version brings is missed here by name.
"""

import inspect

from langgraph_sdk import get_client, get_sync_client

from support.clients import AREAS, FLAVOURS, called


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


def summary() -> str:
    methods = public_methods()
    return f"client methods: {len(methods)} in {len(FLAVOURS)} clients, {len(called & methods.keys())} called"


def test_the_areas_are_all_that_the_clients_have() -> None:
    for client in (get_client(url="http://unused"), get_sync_client(url="http://unused")):
        public = {name for name in vars(client) if not name.startswith("_")}
        assert public == {*AREAS, "http"}


def test_every_public_method_is_called() -> None:
    assert not [name for name in public_methods() if name not in called]
