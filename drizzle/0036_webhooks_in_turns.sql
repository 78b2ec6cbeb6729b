-- Webhook deliveries are taken in turns of their users instead of by jobs. All rows are kept.
CREATE TABLE "webhook_turns" (
	"user_id" uuid PRIMARY KEY NOT NULL,
	"prompt_at" timestamp (3) with time zone,
	"slow_at" timestamp (3) with time zone,
	"last_endpoint_id" uuid
);
--> statement-breakpoint
ALTER TABLE "webhook_deliveries" DROP CONSTRAINT "webhook_deliveries_last_error";--> statement-breakpoint
DROP INDEX "webhook_deliveries_pending";--> statement-breakpoint
ALTER TABLE "event_positions" ADD COLUMN "endpoints_version" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "webhook_endpoints" ADD COLUMN "slow_until" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "webhook_endpoints" ADD COLUMN "deleted_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "webhook_turns" ADD CONSTRAINT "webhook_turns_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "webhook_turns_prompt" ON "webhook_turns" USING btree ("prompt_at") WHERE "webhook_turns"."prompt_at" is not null;--> statement-breakpoint
CREATE INDEX "webhook_turns_slow" ON "webhook_turns" USING btree ("slow_at") WHERE "webhook_turns"."slow_at" is not null;--> statement-breakpoint
CREATE INDEX "webhook_deliveries_pending" ON "webhook_deliveries" USING btree ("user_id","endpoint_id","next_attempt_at") WHERE "webhook_deliveries"."status" = 'PENDING';--> statement-breakpoint
ALTER TABLE "webhook_deliveries" ADD CONSTRAINT "webhook_deliveries_last_error" CHECK ("last_error" in ('STATUS', 'REDIRECT', 'DEADLINE', 'CONNECTION', 'TLS', 'URL_NOT_ALLOWED', 'SECRET_UNREADABLE', 'ENDPOINT_DISABLED', 'TOO_MANY_PENDING'));--> statement-breakpoint
ALTER TABLE "webhook_endpoints" ADD CONSTRAINT "webhook_endpoints_deleted" CHECK ("webhook_endpoints"."deleted_at" is null or "webhook_endpoints"."status" = 'DISABLED');--> statement-breakpoint
INSERT INTO "webhook_turns" ("user_id", "prompt_at")
SELECT "user_id", min("next_attempt_at") FROM "webhook_deliveries" WHERE "status" = 'PENDING' GROUP BY "user_id";--> statement-breakpoint
DO $$
BEGIN
	IF to_regclass('pgboss.job') IS NOT NULL THEN
		DELETE FROM "pgboss"."job" WHERE "name" = 'deliver-webhook';
		DELETE FROM "pgboss"."queue" WHERE "name" = 'deliver-webhook';
	END IF;
END $$;
