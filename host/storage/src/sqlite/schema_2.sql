-- Version 2: when a delivery ended, so that those that ended long ago are found without looking at the others.

ALTER TABLE delivery ADD COLUMN ended_at INTEGER;
-- Nobody noted it before; the end of the run is the best that is known.
UPDATE delivery SET ended_at = created_at WHERE status <> 0;
CREATE INDEX delivery_ended ON delivery (ended_at) WHERE ended_at IS NOT NULL;
