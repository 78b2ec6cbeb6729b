-- A number taken when a row is written says nothing of when it can be read: a transaction that began earlier may commit later, and
-- whoever resumes after the highest number seen would miss it. So the position is given at the very end of the transaction, by a
-- deferred trigger, one transaction at a time: the lock is released only when the commit can be seen. It is held inside the server's
-- COMMIT alone, so that no client that stalls can hold it, and nothing is waited for under it but the same lock of NOTIFY.
CREATE SEQUENCE "events_positions" AS bigint;--> statement-breakpoint
CREATE FUNCTION "place_event"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('xconnect-events', 0));
  UPDATE events SET position = nextval('events_positions') WHERE id = NEW.id;
  -- A hint that somebody may look; sent at the commit, and once for each user.
  PERFORM pg_notify('xconnect_events', coalesce(NEW.user_id::text, ''));
  RETURN NULL;
END $$;--> statement-breakpoint
CREATE CONSTRAINT TRIGGER "events_placed" AFTER INSERT ON "events" DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION "place_event"();
