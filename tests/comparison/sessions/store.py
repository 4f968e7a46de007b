"""The store: put, get, search with filters, namespaces, delete."""

from steps import Json, Session, Step, delete, get, post, put

SEARCH = "/store/items/search"

NUMBERS = b'{"big": 12345678901234567890123, "cents": 1.10}'


def item(key: str, **value: Json) -> Step:
    return put("/store/items", {"namespace": ["cmp", "search"], "key": key, "value": value})


def meant(key: str, index: Json = None, **value: Json) -> Step:
    more = {} if index is None else {"index": index}
    return put("/store/items", {"namespace": ["cmp", "meaning"], "key": key, "value": value, **more})


def near(**query: Json) -> Step:
    return post(SEARCH, {"namespace_prefix": ["cmp", "meaning"], "query": "cat"} | query)


def filtered(filter: Json) -> Step:
    return post(SEARCH, {"namespace_prefix": ["cmp", "search"], "filter": filter})


SESSIONS = [
    Session(
        "store: items",
        put("/store/items", {"namespace": ["cmp", "items"], "key": "k", "value": {"a": 1, "b": {"c": [1]}}}),
        get("/store/items?namespace=cmp.items&key=k"),
        get("/store/items?namespace=cmp&namespace=items&key=k"),
        put("/store/items", {"namespace": ["cmp", "items"], "key": "k", "value": {"a": 2}, "index": False, "ttl": 5}),
        get("/store/items?namespace=cmp.items&key=k&refresh_ttl=true"),
        get("/store/items?namespace=cmp.items&key=absent"),
        delete("/store/items", {"namespace": ["cmp", "items"], "key": "k"}),
        get("/store/items?namespace=cmp.items&key=k"),
        delete("/store/items", {"namespace": ["cmp", "items"], "key": "k"}),
    ),
    Session(
        "store: search",
        item("a", n=1, s="x", deep={"p": 1, "q": 2}),
        item("b", n=2, s="y"),
        item("c", n=3, s="x", flag=True),
        post(SEARCH, {"namespace_prefix": ["cmp", "search"]}),
        post(SEARCH, {"namespace_prefix": ["cmp", "search"], "limit": 1}, shape=True),
        post(SEARCH, {"namespace_prefix": ["cmp", "search"], "offset": 2}, shape=True),
        post(SEARCH, {"namespace_prefix": ["cmp", "search"], "query": "x"}),
        filtered({"s": "x"}),
        filtered({"s": "x", "n": 1}),
        filtered({"deep": {"p": 1}}),
        filtered({"n": {"$gt": 1}}),
        filtered({"n": {"$gte": 2, "$lt": 3}}),
        filtered({"n": {"$ne": 2}}),
        filtered({"n": {"$eq": 2}}),
        filtered({"n": {"$lte": 1}}),
        filtered({"n": {"$in": [1]}}),
        filtered({"absent": 1}),
        post(SEARCH, {"namespace_prefix": ["cmp", "none"]}),
        post(SEARCH, {}),
        post(SEARCH, {"namespace_prefix": ["cmp"], "limit": 0}),
        post(SEARCH, {"namespace_prefix": "cmp"}),
    ),
    Session(
        "store: by meaning",
        # What is embedded, and how, is in tests/clients/embeddings.py. Put in the order of keys: see "store: order".
        meant("far", text="dog", n=1),
        meant("half", text="dog", tags=["bird", "cat dog bird text"]),
        meant("near", text="cat", n=1),
        near(),
        near(limit=1),
        near(limit=2, offset=1),
        near(filter={"n": 1}),
        near(query=""),
        near(query=None),
        post(SEARCH, {"namespace_prefix": ["cmp", "none"], "query": "cat"}),
        meant("near", index=["parts[*].of", "flag", "n"], text="dog", parts=[{"of": "salt"}, {}], flag=True, n=7),
        near(),
        near(query="salt", limit=1),
        near(query="True", limit=1),
        near(query="7", limit=1),
        meant("near", index=False, text="cat"),
        near(),
        meant("near", index=["missing", "text.of", "parts[9]"], text="cat"),
        near(),
        meant("near", index=[], text="cat"),
        near(),
        meant("near", index=["{text,n}"], text="cat", n=7),
        near(),
        meant("near", index=["deep.*"], deep={"a": "cat", "b": {"c": "dog"}}),
        near(),
        meant("near", index=["$"], text="cat cat cat"),
        near(query="cat", limit=1),
        meant("near", index=["text", "text"], text="cat"),
        near(limit=1),
        meant("later", text="unembeddable"),
        get("/store/items?namespace=cmp.meaning&key=later"),
        near(query="unembeddable"),
        meant("refused", index=True),
        meant("refused", index="text"),
        meant("refused", index=[5]),
        near(query=5),
    ),
    Session(
        "store: order",
        put("/store/items", {"namespace": ["order", "z"], "key": "c", "value": {}}),
        put("/store/items", {"namespace": ["order", "z"], "key": "a", "value": {}}),
        put("/store/items", {"namespace": ["order", "a"], "key": "b", "value": {}}),
        post(SEARCH, {"namespace_prefix": ["order"]}),
    ),
    Session(
        "store: written again",
        put("/store/items", {"namespace": ["again"], "key": "k", "value": {"a": 1}}),
        # Whether both times are the same one is chance.
        get("/store/items?namespace=again&key=k", save={"created": "created_at"}, shape=True),
        put("/store/items", {"namespace": ["again"], "key": "k", "value": {"a": 2}}),
        get("/store/items?namespace=again&key=k"),
    ),
    Session(
        "store: numbers",
        put("/store/items", b'{"namespace": ["numbers"], "key": "k", "value": %s}' % NUMBERS),
        get("/store/items?namespace=numbers&key=k"),
        post(SEARCH, {"namespace_prefix": ["numbers"]}),
        post(SEARCH, b'{"namespace_prefix": ["numbers"], "filter": {"cents": 1.10}}'),
    ),
    Session(
        "store: namespaces",
        put("/store/items", {"namespace": ["ns", "u1", "notes"], "key": "k", "value": {}}),
        put("/store/items", {"namespace": ["ns", "u2", "notes"], "key": "k", "value": {}}),
        put("/store/items", {"namespace": ["ns", "u2", "files", "deep"], "key": "k", "value": {}}),
        post("/store/namespaces", {"prefix": ["ns"]}),
        post("/store/namespaces", {"prefix": ["ns", "*", "notes"]}),
        post("/store/namespaces", {"prefix": ["ns"], "suffix": ["notes"]}),
        post("/store/namespaces", {"prefix": ["ns"], "max_depth": 2}),
        post("/store/namespaces", {"prefix": ["ns"], "limit": 1}),
        post("/store/namespaces", {"prefix": ["ns"], "limit": 1, "offset": 2}),
        post("/store/namespaces", {"prefix": ["nothing"]}),
        post("/store/namespaces", {"max_depth": "x"}),
    ),
    Session(
        "store: refused",
        put("/store/items", {"namespace": [], "key": "k", "value": {}}),
        put("/store/items", {"namespace": ["a.b"], "key": "k", "value": {}}),
        put("/store/items", {"namespace": [""], "key": "k", "value": {}}),
        put("/store/items", {"namespace": ["langgraph"], "key": "k", "value": {}}),
        put("/store/items", {"namespace": ["cmp"], "key": "k", "value": 1}),
        put("/store/items", {"namespace": ["cmp"], "key": "k"}),
        put("/store/items", {"namespace": ["cmp"], "value": {}}),
        put("/store/items", {"namespace": "cmp", "key": "k", "value": {}}),
        put("/store/items", {"namespace": ["cmp"], "key": 1, "value": {}}),
        put("/store/items", b"{"),
        get("/store/items?namespace=cmp"),
        get("/store/items?key=k"),
        delete("/store/items", {}),
        delete("/store/items", {"namespace": ["cmp"]}),
    ),
]
