DROP INDEX "tweets_one_per_post";--> statement-breakpoint
CREATE UNIQUE INDEX "tweets_one_per_post" ON "tweets" USING btree ("account_id","x_tweet_id");