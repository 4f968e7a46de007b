-- Version 1 of a data directory. Times are microseconds since 1970; ids are 16 bytes of UUID at the edge and
-- integers inside, so that a row is narrow and a table grows at its end.
--
-- run.status       0 pending  1 running  2 error  3 success  4 timeout  5 interrupted
-- thread.status    0 idle  1 busy  2 interrupted  3 error
-- delivery.status  0 pending  1 delivered  2 exhausted  3 blocked  4 gone  5 disabled
-- run.multitask    0 reject  1 rollback  2 interrupt  3 enqueue
-- checkpoint.source  0 input  1 loop  2 update  3 fork

CREATE TABLE assistant (
    id          INTEGER PRIMARY KEY,
    uuid        BLOB    NOT NULL UNIQUE,
    graph_id    TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    description TEXT,
    config      TEXT    NOT NULL,
    context     TEXT    NOT NULL,
    metadata    TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    version     INTEGER NOT NULL
) STRICT;

CREATE TABLE thread (
    id               INTEGER PRIMARY KEY,
    uuid             BLOB    NOT NULL UNIQUE,
    status           INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    state_updated_at INTEGER NOT NULL,
    metadata         TEXT    NOT NULL,
    config           TEXT    NOT NULL,
    outcome          TEXT
) STRICT;

-- What changes while a run lives. A temporary run has no thread row: `thread` is NULL and only the id is kept.
-- `ready` marks the run that is next on its thread when none is running there, so that a claim never walks over
-- the thousands that wait behind a busy thread.
CREATE TABLE run (
    id          INTEGER PRIMARY KEY,
    uuid        BLOB    NOT NULL UNIQUE,
    thread      INTEGER REFERENCES thread (id) ON DELETE CASCADE,
    thread_uuid BLOB    NOT NULL,
    assistant   BLOB    NOT NULL,
    status      INTEGER NOT NULL,
    ready       INTEGER NOT NULL,
    multitask   INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    started_at  INTEGER,
    fence       INTEGER NOT NULL,
    attempt     INTEGER NOT NULL
) STRICT;
CREATE INDEX run_of_thread ON run (thread, created_at) WHERE thread IS NOT NULL;
CREATE INDEX run_waiting ON run (thread, created_at) WHERE status = 0 AND thread IS NOT NULL;
CREATE INDEX run_pending ON run (ready, created_at) WHERE status = 0;
-- At most one runs on a thread; NULLs differ, so temporary runs do not collide.
CREATE UNIQUE INDEX run_running ON run (thread) WHERE status = 1;

-- What a run was asked to do: wide and written once, hence not in the row that changes.
CREATE TABLE run_request (
    run      INTEGER PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,
    metadata TEXT NOT NULL,
    kwargs   TEXT NOT NULL
) STRICT;

-- `channels` maps each channel to its version and, when it holds something, to its place in channel_value; see
-- places.rs.
CREATE TABLE checkpoint (
    id         INTEGER PRIMARY KEY,
    thread     INTEGER NOT NULL REFERENCES thread (id) ON DELETE CASCADE,
    namespace  TEXT    NOT NULL,
    uuid       BLOB    NOT NULL,
    parent     BLOB,
    created_at INTEGER NOT NULL,
    step       INTEGER NOT NULL,
    source     INTEGER NOT NULL,
    metadata   TEXT    NOT NULL,
    channels   TEXT    NOT NULL,
    seen       TEXT    NOT NULL,
    updated    TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX checkpoint_of_thread ON checkpoint (thread, namespace, uuid);

-- A segment is a value (index 0) and, for a list, what was appended to it since (1, 2, …).
CREATE TABLE channel_value (
    thread  INTEGER NOT NULL REFERENCES thread (id) ON DELETE CASCADE,
    segment INTEGER NOT NULL,
    idx     INTEGER NOT NULL,
    data    TEXT    NOT NULL,
    PRIMARY KEY (thread, segment, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE pending_write (
    thread     INTEGER NOT NULL REFERENCES thread (id) ON DELETE CASCADE,
    checkpoint INTEGER NOT NULL,
    task       BLOB    NOT NULL,
    idx        INTEGER NOT NULL,
    channel    TEXT    NOT NULL,
    value      TEXT    NOT NULL,
    PRIMARY KEY (thread, checkpoint, task, idx)
) STRICT, WITHOUT ROWID;

-- No reference to run or thread: a delivery outlives both.
CREATE TABLE delivery (
    id             INTEGER PRIMARY KEY,
    uuid           BLOB    NOT NULL UNIQUE,
    run            BLOB    NOT NULL,
    thread         BLOB    NOT NULL,
    url            TEXT    NOT NULL,
    sent_at_offset INTEGER,
    status         INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    due_at         INTEGER,
    attempts       INTEGER NOT NULL,
    retry          INTEGER NOT NULL
) STRICT;
CREATE INDEX delivery_due ON delivery (retry, due_at) WHERE status = 0;
CREATE INDEX delivery_of_run ON delivery (run);

-- Up to a mebibyte, and no attempt should have to write it again.
CREATE TABLE delivery_body (
    delivery INTEGER PRIMARY KEY REFERENCES delivery (id) ON DELETE CASCADE,
    body     BLOB NOT NULL
) STRICT;

CREATE TABLE attempt (
    delivery INTEGER NOT NULL REFERENCES delivery (id) ON DELETE CASCADE,
    number   INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    url      TEXT    NOT NULL,
    address  TEXT,
    status   INTEGER,
    duration INTEGER NOT NULL,
    response TEXT,
    error    TEXT,
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;
