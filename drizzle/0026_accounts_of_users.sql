-- Accounts, their tokens, connect attempts and tweets are keyed by user. All rows are kept.
CREATE TABLE "account_holders" (
	"provider_account_id" text NOT NULL,
	"provider" text NOT NULL,
	"user_id" uuid NOT NULL,
	CONSTRAINT "account_holders_provider_account_id_provider_pk" PRIMARY KEY("provider_account_id","provider")
);
--> statement-breakpoint
INSERT INTO "account_holders" ("provider_account_id", "provider", "user_id")
SELECT "provider_account_id", "provider", "user_id" FROM "connected_accounts" WHERE "status" <> 'DISCONNECTED';
--> statement-breakpoint
CREATE TABLE "refused_connections" (
	"provider_account_id" text NOT NULL,
	"provider" text NOT NULL,
	"user_id" uuid NOT NULL,
	"attempt_id" uuid NOT NULL,
	"refused_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "refused_connections_provider_account_id_provider_pk" PRIMARY KEY("provider_account_id","provider")
);
--> statement-breakpoint
INSERT INTO "refused_connections" ("provider_account_id", "provider", "user_id", "attempt_id", "refused_at")
SELECT DISTINCT ON ("provider_account_id") "provider_account_id", 'X', "user_id", "id", "finished_at"
FROM "connect_attempts"
WHERE "provider_account_id" IS NOT NULL AND "status" = 'FAILED' AND "finished_at" IS NOT NULL
ORDER BY "provider_account_id", "finished_at" DESC;
--> statement-breakpoint
CREATE INDEX "refused_connections_user_id_index" ON "refused_connections" USING btree ("user_id");--> statement-breakpoint
CREATE INDEX "refused_connections_refused_at_index" ON "refused_connections" USING btree ("refused_at");--> statement-breakpoint
DROP INDEX "connect_attempts_provider_account_id_index";--> statement-breakpoint
ALTER TABLE "connect_attempts"
	DROP CONSTRAINT "connect_attempts_reconnect_account_id_connected_accounts_id_fk",
	DROP CONSTRAINT "connect_attempts_account_id_connected_accounts_id_fk",
	DROP CONSTRAINT "connect_attempts_pkey",
	DROP CONSTRAINT "connect_attempts_state_hash",
	DROP COLUMN "provider_account_id",
	ADD CONSTRAINT "connect_attempts_user_id_id_pk" PRIMARY KEY("user_id","id"),
	ADD CONSTRAINT "connect_attempts_state_hash" UNIQUE("user_id","state_hash");--> statement-breakpoint
ALTER TABLE "oauth_tokens"
	DROP CONSTRAINT "oauth_tokens_account_id_connected_accounts_id_fk",
	DROP CONSTRAINT "oauth_tokens_pkey",
	ADD COLUMN "user_id" uuid;--> statement-breakpoint
ALTER TABLE "orphaned_tokens"
	DROP CONSTRAINT "orphaned_tokens_account_id_connected_accounts_id_fk",
	DROP CONSTRAINT "orphaned_tokens_pkey",
	ADD COLUMN "user_id" uuid;--> statement-breakpoint
ALTER TABLE "tweets"
	DROP CONSTRAINT "tweets_user_id_users_id_fk",
	DROP CONSTRAINT "tweets_account_id_connected_accounts_id_fk",
	DROP CONSTRAINT "tweets_pkey";--> statement-breakpoint
DROP INDEX "connected_accounts_one_live";--> statement-breakpoint
DROP INDEX "connected_accounts_provider_account_id_index";--> statement-breakpoint
DROP INDEX "orphaned_tokens_account_id_index";--> statement-breakpoint
DROP INDEX "tweets_one_per_post";--> statement-breakpoint
UPDATE "oauth_tokens" SET "user_id" = "account"."user_id"
FROM "connected_accounts" AS "account" WHERE "account"."id" = "oauth_tokens"."account_id";--> statement-breakpoint
UPDATE "orphaned_tokens" SET "user_id" = "account"."user_id"
FROM "connected_accounts" AS "account" WHERE "account"."id" = "orphaned_tokens"."account_id";--> statement-breakpoint
-- With X's id of the account, a revocation is found to be obsolete when another user has connected it since.
UPDATE "grant_revocations" SET "provider_account_id" = "account"."provider_account_id"
FROM "connected_accounts" AS "account"
WHERE "account"."id" = "grant_revocations"."account_id" AND "grant_revocations"."provider_account_id" IS NULL;--> statement-breakpoint
ALTER TABLE "connected_accounts"
	DROP CONSTRAINT "connected_accounts_pkey",
	ADD CONSTRAINT "connected_accounts_user_id_id_pk" PRIMARY KEY("user_id","id");--> statement-breakpoint
CREATE INDEX "connected_accounts_id_index" ON "connected_accounts" USING btree ("id");--> statement-breakpoint
ALTER TABLE "oauth_tokens"
	ALTER COLUMN "user_id" SET NOT NULL,
	ADD CONSTRAINT "oauth_tokens_user_id_account_id_pk" PRIMARY KEY("user_id","account_id"),
	ADD CONSTRAINT "oauth_tokens_account" FOREIGN KEY ("user_id","account_id") REFERENCES "connected_accounts"("user_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "orphaned_tokens"
	ALTER COLUMN "user_id" SET NOT NULL,
	ADD CONSTRAINT "orphaned_tokens_user_id_id_pk" PRIMARY KEY("user_id","id"),
	ADD CONSTRAINT "orphaned_tokens_account" FOREIGN KEY ("user_id","account_id") REFERENCES "connected_accounts"("user_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "orphaned_tokens_user_id_account_id_index" ON "orphaned_tokens" USING btree ("user_id","account_id");--> statement-breakpoint
ALTER TABLE "grant_revocations"
	DROP CONSTRAINT "grant_revocations_pkey",
	ADD CONSTRAINT "grant_revocations_user_id_id_pk" PRIMARY KEY("user_id","id");--> statement-breakpoint
ALTER TABLE "tweets"
	ADD CONSTRAINT "tweets_user_id_id_pk" PRIMARY KEY("user_id","id"),
	ADD CONSTRAINT "tweets_account" FOREIGN KEY ("user_id","account_id") REFERENCES "connected_accounts"("user_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "tweets_one_per_post" ON "tweets" USING btree ("user_id","account_id","x_tweet_id");--> statement-breakpoint
ALTER TABLE "connect_attempts"
	ADD CONSTRAINT "connect_attempts_account" FOREIGN KEY ("user_id","account_id") REFERENCES "connected_accounts"("user_id","id") ON DELETE cascade ON UPDATE no action,
	ADD CONSTRAINT "connect_attempts_reconnect_account" FOREIGN KEY ("user_id","reconnect_account_id") REFERENCES "connected_accounts"("user_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "x_blocks" DROP CONSTRAINT "x_blocks_subject_endpoint_pk", ADD COLUMN "user_id" uuid;--> statement-breakpoint
UPDATE "x_blocks" SET "user_id" = CASE "subject" WHEN 'APP' THEN '00000000-0000-0000-0000-000000000000'
	ELSE coalesce(
		(SELECT "user_id" FROM "connected_accounts" AS "account" WHERE "account"."id"::text = "subject"),
		(SELECT "user_id" FROM "connect_attempts" AS "attempt" WHERE "attempt"."id"::text = "subject")
	) END;--> statement-breakpoint
-- The account was deleted with its user.
DELETE FROM "x_blocks" WHERE "user_id" IS NULL;--> statement-breakpoint
ALTER TABLE "x_blocks"
	ALTER COLUMN "user_id" SET NOT NULL,
	ADD CONSTRAINT "x_blocks_user_id_subject_endpoint_pk" PRIMARY KEY("user_id","subject","endpoint"),
	ADD CONSTRAINT "x_blocks_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE cascade ON UPDATE no action;
