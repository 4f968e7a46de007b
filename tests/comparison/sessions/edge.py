"""What is true of every request: system routes, content types, CORS, methods, bodies."""

from steps import Session, get, post, request

NOBODY = "00000000-0000-4000-8000-000000000000"

SESSIONS = [
    Session(
        "system",
        get("/ok"),
        get("/"),
        get("/info", shape=True),
        request("HEAD", "/ok"),
        get("/nothing/here"),
        request("PUT", "/threads"),
        request("DELETE", "/assistants/search"),
    ),
    Session(
        "cors",
        get("/ok", headers={"origin": "https://example.com"}),
        request(
            "OPTIONS",
            "/threads",
            headers={
                "origin": "https://example.com",
                "access-control-request-method": "POST",
                "access-control-request-headers": "content-type,x-api-key",
            },
        ),
        request(
            "OPTIONS",
            "/threads",
            headers={
                "origin": "https://smith.langchain.com",
                "access-control-request-method": "POST",
                "access-control-request-private-network": "true",
            },
        ),
        post("/threads/search", {"ids": [NOBODY]}, headers={"origin": "https://example.com"}),
    ),
    Session(
        "bodies",
        post("/threads", {"metadata": {"é": "\u2028 😀"}, "unknown_member": {"a": 1}}),
        post("/threads", b'{"metadata": {"as": "text"}}', headers={"content-type": "text/plain"}),
        post("/threads", b"{}", headers={"content-type": "application/octet-stream"}),
        post("/threads", {"metadata": {"nul": "a\x00b"}}),
        post("/threads", b'{"metadata": {"big": 123456789012345678901234567890, "float": 1.0, "exp": 1e2}}'),
        post("/threads", b'{"metadata": {"twice": 1, "twice": 2}}'),
    ),
]
