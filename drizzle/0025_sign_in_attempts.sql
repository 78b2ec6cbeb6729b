CREATE TABLE "secret_owners" (
	"secret_hash" text PRIMARY KEY NOT NULL,
	"user_id" uuid NOT NULL,
	"ends_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "sign_in_attempts" (
	"state_hash" text PRIMARY KEY NOT NULL,
	"id" uuid NOT NULL,
	"browser_hash" text NOT NULL,
	"verifier_sealed" text,
	"return_to" text,
	"status" text DEFAULT 'PENDING' NOT NULL,
	"error_code" text,
	"user_id" uuid,
	"session_id" text,
	"created_at" timestamp (3) with time zone NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"taken_at" timestamp (3) with time zone,
	"finished_at" timestamp (3) with time zone,
	CONSTRAINT "sign_in_attempts_status" CHECK ("sign_in_attempts"."status" in ('PENDING', 'SUCCEEDED', 'FAILED'))
);
--> statement-breakpoint
-- A sign-in that is under way at GitHub during the migration ends as it began.
INSERT INTO "sign_in_attempts" ("state_hash", "id", "browser_hash", "verifier_sealed", "return_to", "status", "error_code", "user_id", "session_id", "created_at", "expires_at", "taken_at", "finished_at") SELECT "state_hash", "id", "browser_hash", "verifier_sealed", "return_to", "status", "error_code", "user_id", "session_id", "created_at", "expires_at", "taken_at", "finished_at" FROM "connect_attempts" WHERE "kind" = 'GITHUB_SIGN_IN';--> statement-breakpoint
DELETE FROM "connect_attempts" WHERE "kind" = 'GITHUB_SIGN_IN';--> statement-breakpoint
-- From now on the state of a connection names its user. Eight days: the longest that an attempt is kept.
INSERT INTO "secret_owners" ("secret_hash", "user_id", "ends_at") SELECT "state_hash", "user_id", "expires_at" + interval '8 days' FROM "connect_attempts";--> statement-breakpoint
ALTER TABLE "connect_attempts" DROP CONSTRAINT "connect_attempts_kind";--> statement-breakpoint
ALTER TABLE "connect_attempts" DROP CONSTRAINT "connect_attempts_bound";--> statement-breakpoint
ALTER TABLE "connect_attempts" ALTER COLUMN "user_id" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "connect_attempts" ALTER COLUMN "session_id" SET NOT NULL;--> statement-breakpoint
CREATE INDEX "secret_owners_user_id_index" ON "secret_owners" USING btree ("user_id");--> statement-breakpoint
CREATE INDEX "secret_owners_ends_at_index" ON "secret_owners" USING btree ("ends_at");--> statement-breakpoint
CREATE INDEX "sign_in_attempts_expires_at_index" ON "sign_in_attempts" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "sign_in_attempts_user_id_index" ON "sign_in_attempts" USING btree ("user_id") WHERE "sign_in_attempts"."user_id" is not null;--> statement-breakpoint
ALTER TABLE "connect_attempts" DROP COLUMN "kind";--> statement-breakpoint
ALTER TABLE "connect_attempts" DROP COLUMN "browser_hash";