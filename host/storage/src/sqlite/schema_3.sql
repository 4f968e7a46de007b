-- Version 3: the whole run API. Cancelling, undoing, thread lifetimes, versions of assistants, events, store items.
--
-- run.cancel             0 no  1 interrupt  2 rollback
-- thread.ttl_strategy    0 delete  1 keep latest

-- `cancel` is a wish that outlives the process that heard it. `undo` says that pending_before holds something.
ALTER TABLE run ADD COLUMN cancel INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN cancel_message TEXT;
ALTER TABLE run ADD COLUMN undo INTEGER NOT NULL DEFAULT 0;

-- Who made it, while that run has a row: what goes when the run is rolled back.
ALTER TABLE checkpoint ADD COLUMN run INTEGER REFERENCES run (id) ON DELETE SET NULL;
CREATE INDEX checkpoint_of_run ON checkpoint (run) WHERE run IS NOT NULL;

-- The writes that stood on a checkpoint of somebody else's when a run that has not ended first added to them: an
-- array of [task, idx, channel, value].
CREATE TABLE pending_before (
    run        INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    checkpoint INTEGER NOT NULL,
    writes     TEXT    NOT NULL,
    PRIMARY KEY (run, checkpoint)
) STRICT, WITHOUT ROWID;

-- `resting` is the status once no run is pending or running. A thread that was swept to its newest checkpoint is not
-- looked at again before it changes.
ALTER TABLE thread ADD COLUMN resting INTEGER NOT NULL DEFAULT 0;
UPDATE thread SET resting = status WHERE status <> 1;
ALTER TABLE thread ADD COLUMN ttl INTEGER;
ALTER TABLE thread ADD COLUMN ttl_strategy INTEGER NOT NULL DEFAULT 0;
ALTER TABLE thread ADD COLUMN swept_at INTEGER;
CREATE INDEX thread_expiry ON thread (updated_at + ttl)
    WHERE ttl IS NOT NULL AND status <> 1 AND (swept_at IS NULL OR swept_at < updated_at);
CREATE INDEX thread_by_age ON thread (created_at);
CREATE INDEX thread_by_update ON thread (updated_at);
CREATE INDEX thread_that_waits ON thread (status, updated_at) WHERE status > 1;

CREATE TABLE assistant_version (
    assistant   INTEGER NOT NULL REFERENCES assistant (id) ON DELETE CASCADE,
    version     INTEGER NOT NULL,
    graph_id    TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    description TEXT,
    config      TEXT    NOT NULL,
    context     TEXT    NOT NULL,
    metadata    TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    configured  INTEGER NOT NULL,
    PRIMARY KEY (assistant, version)
) STRICT, WITHOUT ROWID;
-- There were only assistants from the configuration.
INSERT INTO assistant_version
    SELECT id, version, graph_id, name, description, config, context, metadata, updated_at, 1 FROM assistant;

-- The stored events of one run, or (`run` of zero bytes) of a thread itself. No reference to either: events stay a
-- while after both.
CREATE TABLE event_log (
    id         INTEGER PRIMARY KEY,
    thread     BLOB    NOT NULL,
    run        BLOB    NOT NULL,
    touched_at INTEGER NOT NULL,
    events     INTEGER NOT NULL,
    UNIQUE (thread, run)
) STRICT;
CREATE INDEX event_log_touched ON event_log (touched_at);
CREATE INDEX event_log_run ON event_log (run);

-- With a rowid: an event is often wider than a row of an index without one can be on its page.
CREATE TABLE event (
    log       INTEGER NOT NULL REFERENCES event_log (id) ON DELETE CASCADE,
    ms        INTEGER NOT NULL,
    n         INTEGER NOT NULL,
    kind      TEXT    NOT NULL,
    namespace TEXT    NOT NULL,
    data      TEXT    NOT NULL,
    PRIMARY KEY (log, ms, n)
) STRICT;

-- For how `namespace` is written see namespaces.rs: what lies under one is a range.
CREATE TABLE store_item (
    id         INTEGER PRIMARY KEY,
    namespace  BLOB    NOT NULL,
    key        TEXT    NOT NULL,
    value      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    ttl        INTEGER,
    expires_at INTEGER,
    UNIQUE (namespace, key)
) STRICT;
CREATE INDEX store_item_expiry ON store_item (expires_at) WHERE expires_at IS NOT NULL;
