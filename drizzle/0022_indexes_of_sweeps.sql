DROP INDEX "oauth_tokens_refresh_issued_at_index";--> statement-breakpoint
CREATE INDEX "connect_attempts_taken" ON "connect_attempts" USING btree ("taken_at") WHERE "connect_attempts"."status" = 'PENDING' and "connect_attempts"."tokens_sealed" is null;--> statement-breakpoint
CREATE INDEX "oauth_tokens_idle" ON "oauth_tokens" USING btree ("refresh_issued_at") WHERE "oauth_tokens"."state" <> 'DEAD' and "oauth_tokens"."refresh_token_sealed" is not null;--> statement-breakpoint
CREATE INDEX "oauth_tokens_uncertain" ON "oauth_tokens" USING btree ("next_try_at") WHERE "oauth_tokens"."state" = 'UNCERTAIN';--> statement-breakpoint
CREATE INDEX "tweets_unknown" ON "tweets" USING btree ("timeline_reads") WHERE "tweets"."status" = 'UNKNOWN';--> statement-breakpoint
CREATE INDEX "users_visible" ON "users" USING btree ("id") WHERE "users"."link_visibility" = 'INTEGRATORS';--> statement-breakpoint
CREATE INDEX "webhook_deliveries_pending" ON "webhook_deliveries" USING btree ("next_attempt_at") WHERE "webhook_deliveries"."status" = 'PENDING';