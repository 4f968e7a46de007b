-- Version 4: deliveries are listed by where they stand, and can be delivered again.

-- How many attempts there were when the schedule last began anew.
ALTER TABLE delivery ADD COLUMN attempts_before INTEGER NOT NULL DEFAULT 0;
-- One that is pending has not ended, so those stand in the order of their ids.
CREATE INDEX delivery_by_status ON delivery (status, ended_at);
