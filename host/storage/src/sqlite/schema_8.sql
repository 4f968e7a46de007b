-- Version 8: what the store's items mean, as vectors.

-- Which parts of the value are embedded: a JSON array of paths; NULL: those of the configuration.
ALTER TABLE store_item ADD COLUMN paths TEXT;

-- The index that vectors are kept for, if there ever was one: one row. `identity` is all that vectors depend on.
CREATE TABLE item_index (identity TEXT NOT NULL) STRICT;

-- All vectors of an item, one behind the other: each of unit length, as 32 bit floats in little-endian order.
CREATE TABLE item_vector (
    item    INTEGER PRIMARY KEY REFERENCES store_item (id) ON DELETE CASCADE,
    vectors BLOB NOT NULL
) STRICT;

-- Items whose vectors are still to be made. What item_vector has of them is of an earlier value, or of an earlier index.
-- `refused`: somebody has tried, and will not take this text; tried again once the index is opened anew.
CREATE TABLE item_pending (
    ticket  INTEGER PRIMARY KEY AUTOINCREMENT,
    item    INTEGER NOT NULL UNIQUE REFERENCES store_item (id) ON DELETE CASCADE,
    refused INTEGER NOT NULL DEFAULT 0
) STRICT;
