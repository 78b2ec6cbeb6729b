-- Idempotency keys get a table of their own, in which they expire. Those of earlier tweets are good for 30 days from now.
CREATE TABLE "idempotency_keys" (
	"user_id" uuid NOT NULL,
	"key_hash" text NOT NULL,
	"request_hash" text NOT NULL,
	"tweet_id" uuid NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "idempotency_keys_user_id_key_hash_pk" PRIMARY KEY("user_id","key_hash")
);
--> statement-breakpoint
INSERT INTO "idempotency_keys" ("user_id", "key_hash", "request_hash", "tweet_id", "expires_at")
SELECT "user_id", "idempotency_key_hash", "request_hash", "id", xconnect_now() + interval '30 days'
FROM "tweets" WHERE "idempotency_key_hash" IS NOT NULL;
--> statement-breakpoint
ALTER TABLE "idempotency_keys" ADD CONSTRAINT "idempotency_keys_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "idempotency_keys_expires_at_index" ON "idempotency_keys" USING btree ("expires_at");--> statement-breakpoint
ALTER TABLE "tweets"
	DROP CONSTRAINT "tweets_idempotency_key",
	DROP COLUMN "idempotency_key_hash",
	DROP COLUMN "request_hash";
