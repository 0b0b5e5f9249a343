-- A partition's topic that was truncated or created again, and accepted by an operator; and new
-- epochs after the database was restored.

ALTER TABLE clinicwire.checkpoint
  -- What is added to an offset of the topic to get the offset in this database, where no offset is
  -- used twice.
  ADD COLUMN log_base bigint NOT NULL DEFAULT 0,
  -- The first offset in this database that belongs to the present topic. Earlier rows of the
  -- journal say nothing about it.
  ADD COLUMN log_from bigint NOT NULL DEFAULT 0,
  -- Aggregates with an older epoch begin this one before any record is applied: the database is
  -- older than what was published.
  ADD COLUMN epoch_floor bigint NOT NULL DEFAULT 0,
  -- The last `epoch_floor` that all aggregates of the partition have reached.
  ADD COLUMN epoch_done bigint NOT NULL DEFAULT 0;
