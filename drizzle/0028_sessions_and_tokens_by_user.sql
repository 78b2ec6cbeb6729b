-- From now on session tokens and API tokens name their user. Those given out before are found by these rows until they end.
INSERT INTO "secret_owners" ("secret_hash", "user_id", "ends_at") SELECT "id", "user_id", "created_at" + interval '90 days' FROM "sessions";--> statement-breakpoint
UPDATE "api_tokens" SET "user_id" = '00000000-0000-0000-0000-000000000000' WHERE "user_id" IS NULL;--> statement-breakpoint
INSERT INTO "secret_owners" ("secret_hash", "user_id", "ends_at") SELECT "secret_hash", "user_id", "expires_at" FROM "api_tokens" WHERE "revoked_at" IS NULL;--> statement-breakpoint
ALTER TABLE "api_tokens" DROP CONSTRAINT "api_tokens_secret_hash";--> statement-breakpoint
ALTER TABLE "sessions" DROP CONSTRAINT "sessions_public_id";--> statement-breakpoint
ALTER TABLE "api_tokens" DROP CONSTRAINT "api_tokens_operator_scopes";--> statement-breakpoint
DROP INDEX "sessions_user_id_index";--> statement-breakpoint
ALTER TABLE "api_tokens" DROP CONSTRAINT "api_tokens_pkey";--> statement-breakpoint
ALTER TABLE "api_tokens" ALTER COLUMN "user_id" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "sessions" DROP CONSTRAINT "sessions_pkey";--> statement-breakpoint
ALTER TABLE "api_tokens" ADD CONSTRAINT "api_tokens_user_id_id_pk" PRIMARY KEY("user_id","id");--> statement-breakpoint
ALTER TABLE "sessions" ADD CONSTRAINT "sessions_user_id_id_pk" PRIMARY KEY("user_id","id");--> statement-breakpoint
ALTER TABLE "api_tokens" ADD CONSTRAINT "api_tokens_secret_hash" UNIQUE("user_id","secret_hash");--> statement-breakpoint
ALTER TABLE "sessions" ADD CONSTRAINT "sessions_public_id" UNIQUE("user_id","public_id");--> statement-breakpoint
ALTER TABLE "api_tokens" ADD CONSTRAINT "api_tokens_operator_scopes" CHECK ("api_tokens"."user_id" <> '00000000-0000-0000-0000-000000000000' or "api_tokens"."scopes" <@ array['accounts:read', 'events:read']);