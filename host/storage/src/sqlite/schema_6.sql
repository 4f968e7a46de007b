-- Version 6: a delivery's schedule has an end.

-- When the schedule last began anew; NULL when it began with the row.
ALTER TABLE delivery ADD COLUMN began_at INTEGER;
