-- Events are ordered for each user instead of all together. Positions that exist stay, and the counter of every user starts after the
-- highest of all, so that cursors which were given before stay good.
DROP TRIGGER "events_placed" ON "events";--> statement-breakpoint
DROP FUNCTION "place_event"();--> statement-breakpoint
-- Deliveries of events that the fan-out had not reached, by its own rules. The maintenance queues their jobs.
INSERT INTO "webhook_deliveries" ("endpoint_id", "event_id", "next_attempt_at", "created_at")
  SELECT p.id, e.id, now(), now() FROM "events" e
  JOIN "webhook_endpoints" p ON p.status = 'ENABLED' AND e.occurred_at >= p.enabled_at
    AND CASE WHEN e.type = 'webhook.test' THEN e.webhook_endpoint_id = p.id ELSE p.event_types IS NULL OR e.type = ANY(p.event_types) END
    AND (p.user_id = e.user_id OR (p.user_id IS NULL AND (e.user_id IS NULL OR (e.type LIKE 'account.%'
      AND EXISTS (SELECT FROM "users" u WHERE u.id = e.user_id AND u.link_visibility = 'INTEGRATORS')
      AND NOT EXISTS (SELECT FROM "events" d WHERE d.user_id = e.user_id AND d.position > e.position AND d.type = 'link_visibility.changed')))))
  WHERE e.position > (SELECT position FROM "webhook_fan_out")
  ON CONFLICT DO NOTHING;--> statement-breakpoint
DROP TABLE "webhook_fan_out";--> statement-breakpoint
CREATE TABLE "event_positions" (
	"user_id" uuid PRIMARY KEY NOT NULL,
	"position" bigint NOT NULL
);
--> statement-breakpoint
-- Everybody's counter, since every user may have a cursor. Users who come later have none, and start at 1.
INSERT INTO "event_positions" ("user_id", "position")
  SELECT u.id, last.position FROM "users" u, (
    SELECT greatest((SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM "events_positions"),
      (SELECT max(position) FROM "events"), (SELECT max(position) FROM "event_horizons")) AS position) last
  WHERE last.position > 0;--> statement-breakpoint
DROP SEQUENCE "events_positions";--> statement-breakpoint
ALTER TABLE "event_horizons" DROP CONSTRAINT "event_horizons_user_type";--> statement-breakpoint
ALTER TABLE "events" DROP CONSTRAINT "events_position";--> statement-breakpoint
ALTER TABLE "webhook_deliveries" DROP CONSTRAINT "webhook_deliveries_once";--> statement-breakpoint
ALTER TABLE "webhook_deliveries" DROP CONSTRAINT "webhook_deliveries_endpoint_id_webhook_endpoints_id_fk";--> statement-breakpoint
ALTER TABLE "webhook_deliveries" DROP CONSTRAINT "webhook_deliveries_event_id_events_id_fk";--> statement-breakpoint
DROP INDEX "events_user_id_position_index";--> statement-breakpoint
DROP INDEX "webhook_deliveries_endpoint_id_created_at_id_index";--> statement-breakpoint
DROP INDEX "webhook_deliveries_event_id_index";--> statement-breakpoint
DROP INDEX "webhook_endpoints_user_id_index";--> statement-breakpoint
ALTER TABLE "events" DROP CONSTRAINT "events_pkey";--> statement-breakpoint
ALTER TABLE "webhook_deliveries" DROP CONSTRAINT "webhook_deliveries_pkey";--> statement-breakpoint
ALTER TABLE "webhook_endpoints" DROP CONSTRAINT "webhook_endpoints_pkey";--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "subject_user_id" uuid;--> statement-breakpoint
ALTER TABLE "webhook_deliveries" ADD COLUMN "user_id" uuid;--> statement-breakpoint
ALTER TABLE "webhook_endpoints" DROP COLUMN "enabled_at";--> statement-breakpoint
-- What belonged to no user belongs to the operator.
UPDATE "events" SET "user_id" = '00000000-0000-0000-0000-000000000000' WHERE "user_id" IS NULL;--> statement-breakpoint
UPDATE "event_horizons" SET "user_id" = '00000000-0000-0000-0000-000000000000' WHERE "user_id" IS NULL;--> statement-breakpoint
UPDATE "webhook_endpoints" SET "user_id" = '00000000-0000-0000-0000-000000000000' WHERE "user_id" IS NULL;--> statement-breakpoint
UPDATE "webhook_deliveries" d SET "user_id" = p.user_id FROM "webhook_endpoints" p WHERE p.id = d.endpoint_id;--> statement-breakpoint
ALTER TABLE "event_horizons" ALTER COLUMN "user_id" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "event_horizons" ADD CONSTRAINT "event_horizons_user_id_type_pk" PRIMARY KEY("user_id","type");--> statement-breakpoint
-- The operator's copies of the events that the operator could read, at the same positions; the operator's horizon likewise.
INSERT INTO "events" ("user_id", "id", "position", "type", "subject_user_id", "account_id", "tweet_id", "api_token_id", "webhook_endpoint_id", "reason", "occurred_at")
  SELECT '00000000-0000-0000-0000-000000000000', e.id, e.position, e.type, e.user_id, e.account_id, e.tweet_id, e.api_token_id, e.webhook_endpoint_id, e.reason, e.occurred_at
  FROM "events" e JOIN "users" u ON u.id = e.user_id AND u.link_visibility = 'INTEGRATORS'
  WHERE e.type LIKE 'account.%'
    AND NOT EXISTS (SELECT FROM "events" d WHERE d.user_id = e.user_id AND d.position > e.position AND d.type = 'link_visibility.changed');--> statement-breakpoint
INSERT INTO "event_horizons" AS known ("user_id", "type", "position")
  SELECT '00000000-0000-0000-0000-000000000000', h.type, max(h.position)
  FROM "event_horizons" h JOIN "users" u ON u.id = h.user_id AND u.link_visibility = 'INTEGRATORS'
  WHERE h.type LIKE 'account.%' GROUP BY h.type
  ON CONFLICT ("user_id", "type") DO UPDATE SET "position" = greatest(known.position, excluded.position);--> statement-breakpoint
-- Users have hidden their accounts since these were created: the pending ones would have been dropped at the next attempt.
DELETE FROM "webhook_deliveries" d WHERE NOT EXISTS (SELECT FROM "events" e WHERE e.user_id = d.user_id AND e.id = d.event_id);--> statement-breakpoint
ALTER TABLE "events" ALTER COLUMN "id" DROP DEFAULT;--> statement-breakpoint
ALTER TABLE "events" ALTER COLUMN "position" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "events" ALTER COLUMN "user_id" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "webhook_endpoints" ALTER COLUMN "id" DROP DEFAULT;--> statement-breakpoint
ALTER TABLE "webhook_endpoints" ALTER COLUMN "user_id" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "webhook_deliveries" ALTER COLUMN "id" DROP DEFAULT;--> statement-breakpoint
ALTER TABLE "webhook_deliveries" ALTER COLUMN "user_id" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "events" ADD CONSTRAINT "events_user_id_id_pk" PRIMARY KEY("user_id","id");--> statement-breakpoint
ALTER TABLE "webhook_endpoints" ADD CONSTRAINT "webhook_endpoints_user_id_id_pk" PRIMARY KEY("user_id","id");--> statement-breakpoint
ALTER TABLE "webhook_deliveries" ADD CONSTRAINT "webhook_deliveries_user_id_id_pk" PRIMARY KEY("user_id","id");--> statement-breakpoint
ALTER TABLE "events" ADD CONSTRAINT "events_position" UNIQUE("user_id","position");--> statement-breakpoint
ALTER TABLE "webhook_deliveries" ADD CONSTRAINT "webhook_deliveries_once" UNIQUE("user_id","endpoint_id","event_id");--> statement-breakpoint
ALTER TABLE "event_positions" ADD CONSTRAINT "event_positions_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "webhook_deliveries" ADD CONSTRAINT "webhook_deliveries_endpoint" FOREIGN KEY ("user_id","endpoint_id") REFERENCES "public"."webhook_endpoints"("user_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "webhook_deliveries" ADD CONSTRAINT "webhook_deliveries_event" FOREIGN KEY ("user_id","event_id") REFERENCES "public"."events"("user_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "events_copies" ON "events" USING btree ("user_id","subject_user_id") WHERE "events"."subject_user_id" is not null;--> statement-breakpoint
CREATE INDEX "events_occurred_at_index" ON "events" USING btree ("occurred_at");--> statement-breakpoint
CREATE INDEX "webhook_deliveries_user_id_endpoint_id_created_at_id_index" ON "webhook_deliveries" USING btree ("user_id","endpoint_id","created_at","id");--> statement-breakpoint
CREATE INDEX "webhook_deliveries_user_id_event_id_index" ON "webhook_deliveries" USING btree ("user_id","event_id");
--> statement-breakpoint
DROP INDEX "oauth_tokens_last_event_at_index";--> statement-breakpoint
CREATE INDEX "oauth_tokens_conclusive" ON "oauth_tokens" USING btree ("last_event_at") WHERE "oauth_tokens"."last_event" in ('ISSUED', 'REFRESHED', 'RECOVERED', 'X_CREDENTIALS_REJECTED', 'REFUSED');
