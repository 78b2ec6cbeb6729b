CREATE TABLE "events" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"position" bigint,
	"type" text NOT NULL,
	"user_id" uuid,
	"account_id" uuid,
	"tweet_id" uuid,
	"api_token_id" uuid,
	"webhook_endpoint_id" uuid,
	"reason" text,
	"occurred_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "events_position" UNIQUE("position"),
	CONSTRAINT "events_type" CHECK ("events"."type" in ('account.connected', 'account.reconnected', 'account.recovered', 'account.needs_reauth', 'account.disconnected', 'account.profile_changed', 'tweet.posted', 'tweet.failed', 'tweet.unknown', 'tweet.unknown_settled', 'tweet.deleted', 'session.started', 'session.ended', 'token.created', 'token.revoked', 'link_visibility.changed', 'webhook.disabled')),
	CONSTRAINT "events_reason" CHECK ("events"."reason" ~ '^[A-Z][A-Z0-9_]*$')
);
--> statement-breakpoint
ALTER TABLE "events" ADD CONSTRAINT "events_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "events_user_id_position_index" ON "events" USING btree ("user_id","position");