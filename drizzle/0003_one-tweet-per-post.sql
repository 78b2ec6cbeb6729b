DROP INDEX "tweets_account_id_x_tweet_id_index";--> statement-breakpoint
-- Two tweets that were taken for one post: the one that X answered to keeps it, or the earliest; the others are in doubt again.
UPDATE "tweets" SET "status" = 'UNKNOWN', "error_code" = 'OUTCOME_UNKNOWN', "x_tweet_id" = NULL, "posted_at" = NULL
WHERE "id" IN (
	SELECT "id" FROM (
		SELECT "id", row_number() OVER (PARTITION BY "account_id", "x_tweet_id" ORDER BY "doubt_since" NULLS FIRST, "created_at", "id") AS "place"
		FROM "tweets" WHERE "x_tweet_id" IS NOT NULL
	) AS "sharing" WHERE "place" > 1
);--> statement-breakpoint
CREATE UNIQUE INDEX "tweets_one_per_post" ON "tweets" USING btree ("account_id","x_tweet_id") WHERE "tweets"."x_tweet_id" is not null;
