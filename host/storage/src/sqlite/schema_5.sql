-- Version 5: crons. They go with their assistant, and those on a thread with that.
--
-- cron.on_run_completed  0 delete  1 keep; NULL on a thread
-- cron.catch_up          0 one  1 all  2 none

CREATE TABLE cron (
    id               INTEGER PRIMARY KEY,
    uuid             BLOB    NOT NULL UNIQUE,
    assistant        INTEGER NOT NULL REFERENCES assistant (id) ON DELETE CASCADE,
    thread           INTEGER REFERENCES thread (id) ON DELETE CASCADE,
    schedule         TEXT    NOT NULL,
    timezone         TEXT,
    end_time         INTEGER,
    on_run_completed INTEGER,
    catch_up         INTEGER NOT NULL,
    enabled          INTEGER NOT NULL,
    next_run_at      INTEGER,
    last_error       TEXT,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
) STRICT;
CREATE INDEX cron_due ON cron (next_run_at, id) WHERE enabled = 1 AND next_run_at IS NOT NULL;
CREATE INDEX cron_enabled ON cron (enabled) WHERE enabled = 1;
CREATE INDEX cron_by_age ON cron (created_at, id);
CREATE INDEX cron_of_assistant ON cron (assistant);
CREATE INDEX cron_of_thread ON cron (thread) WHERE thread IS NOT NULL;

-- Wide, and not changed when the cron fires, hence not in the row that is.
CREATE TABLE cron_request (
    cron     INTEGER PRIMARY KEY REFERENCES cron (id) ON DELETE CASCADE,
    metadata TEXT NOT NULL,
    payload  TEXT NOT NULL
) STRICT;

-- Each due time that made a run, of many the newest: it makes no second one, whoever asks.
CREATE TABLE cron_tick (
    cron INTEGER NOT NULL REFERENCES cron (id) ON DELETE CASCADE,
    due  INTEGER NOT NULL,
    PRIMARY KEY (cron, due)
) STRICT, WITHOUT ROWID;
