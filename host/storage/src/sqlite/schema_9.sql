-- Version 9: what the events of a log weigh, so that a log has a bound in bytes.

ALTER TABLE event_log ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
UPDATE event_log SET bytes = (SELECT coalesce(sum(octet_length(data)), 0) FROM event WHERE log = event_log.id);
