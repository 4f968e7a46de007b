-- Version 7: whom rows belong to, where callers have to say who they are. NULL: nobody.
--
-- In store_item the column `namespace` begins with the owner; see namespaces.rs.

-- `system` marks the default assistants of the configuration, which everybody may read and run.
ALTER TABLE assistant ADD COLUMN owner TEXT;
ALTER TABLE assistant ADD COLUMN system INTEGER NOT NULL DEFAULT 0;
UPDATE assistant SET system = 1 WHERE id IN (SELECT assistant FROM assistant_version WHERE configured = 1);
CREATE INDEX assistant_of_system ON assistant (system) WHERE system = 1;

ALTER TABLE thread ADD COLUMN owner TEXT;
ALTER TABLE run ADD COLUMN owner TEXT;
ALTER TABLE event_log ADD COLUMN owner TEXT;
ALTER TABLE delivery ADD COLUMN owner TEXT;

-- A cron's runs are asked for by its owner: `permissions`, a JSON array, is what else was said of them when they made it.
ALTER TABLE cron ADD COLUMN owner TEXT;
ALTER TABLE cron ADD COLUMN permissions TEXT NOT NULL DEFAULT '[]';

-- Without authentication nothing is in these.
CREATE INDEX thread_of_owner_by_age ON thread (owner, created_at) WHERE owner IS NOT NULL;
CREATE INDEX thread_of_owner_by_update ON thread (owner, updated_at) WHERE owner IS NOT NULL;
CREATE INDEX delivery_of_owner ON delivery (owner) WHERE owner IS NOT NULL;
CREATE INDEX delivery_of_owner_by_status ON delivery (owner, status, ended_at) WHERE owner IS NOT NULL;
CREATE INDEX assistant_of_owner ON assistant (owner) WHERE owner IS NOT NULL;
-- run.ready  2: it would be claimed, but its owner has their share of running ones.
CREATE INDEX run_pending_of_owner ON run (owner, ready, created_at) WHERE status = 0 AND owner IS NOT NULL;
CREATE INDEX run_running_of_owner ON run (owner) WHERE status = 1 AND owner IS NOT NULL;
CREATE INDEX cron_of_owner ON cron (owner, created_at) WHERE owner IS NOT NULL;
