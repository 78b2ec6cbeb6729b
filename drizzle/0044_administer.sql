-- The operator's acts, and who may sign in. No table is rewritten, and the checks of the tables that exist are not compared with their
-- rows here: all rows meet the narrower checks of before.
CREATE TABLE "invites" (
	"user_id" uuid NOT NULL,
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"secret_hash" text NOT NULL,
	"note" text,
	"created_by" text NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "invites_user_id_secret_hash_pk" PRIMARY KEY("user_id","secret_hash"),
	CONSTRAINT "invites_note" CHECK (length("invites"."note") between 1 and 200),
	CONSTRAINT "invites_created_by" CHECK (length("invites"."created_by") between 1 and 120)
);--> statement-breakpoint
ALTER TABLE "api_tokens" DROP CONSTRAINT "api_tokens_scopes";--> statement-breakpoint
ALTER TABLE "api_tokens" DROP CONSTRAINT "api_tokens_operator_scopes";--> statement-breakpoint
ALTER TABLE "connected_accounts" DROP CONSTRAINT "connected_accounts_status_reason";--> statement-breakpoint
ALTER TABLE "events" DROP CONSTRAINT "events_type";--> statement-breakpoint
ALTER TABLE "webhook_endpoints" DROP CONSTRAINT "webhook_endpoints_event_types";--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "actor" text;--> statement-breakpoint
ALTER TABLE "sign_in_attempts" ADD COLUMN "invite_hash" text;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "blocked_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "invites" ADD CONSTRAINT "invites_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "invites_user_id_created_at_id_index" ON "invites" USING btree ("user_id","created_at","id");--> statement-breakpoint
CREATE INDEX "connected_accounts_username" ON "connected_accounts" USING btree (lower("username" collate "C"));--> statement-breakpoint
ALTER TABLE "api_tokens" ADD CONSTRAINT "api_tokens_scopes" CHECK (cardinality("api_tokens"."scopes") > 0 and "api_tokens"."scopes" <@ array['accounts:read', 'accounts:write', 'tweets:read', 'tweets:write', 'events:read', 'admin:read', 'admin:write']) NOT VALID;--> statement-breakpoint
ALTER TABLE "api_tokens" ADD CONSTRAINT "api_tokens_operator_scopes" CHECK (case when "api_tokens"."user_id" = '00000000-0000-0000-0000-000000000000' then "api_tokens"."scopes" <@ array['accounts:read', 'events:read', 'admin:read', 'admin:write'] else "api_tokens"."scopes" <@ array['accounts:read', 'accounts:write', 'tweets:read', 'tweets:write', 'events:read'] end) NOT VALID;--> statement-breakpoint
ALTER TABLE "connected_accounts" ADD CONSTRAINT "connected_accounts_status_reason" CHECK ("connected_accounts"."status_reason" in ('SCOPES_NOT_GRANTED', 'GRANT_REVOKED', 'REFRESH_LOST', 'DATABASE_RESTORED', 'REFRESH_TOKEN_MISSING', 'TOKENS_UNREADABLE', 'DISCONNECTED_BY_USER', 'DISCONNECTED_BY_OPERATOR')) NOT VALID;--> statement-breakpoint
ALTER TABLE "events" ADD CONSTRAINT "events_actor" CHECK (length("actor") between 1 and 120) NOT VALID;--> statement-breakpoint
ALTER TABLE "events" ADD CONSTRAINT "events_type" CHECK ("type" in ('account.connected', 'account.reconnected', 'account.recovered', 'account.needs_reauth', 'account.disconnected', 'account.profile_changed', 'tweet.posted', 'tweet.failed', 'tweet.unknown', 'tweet.reconciled', 'tweet.deleted', 'session.started', 'session.ended', 'token.created', 'token.revoked', 'link_visibility.changed', 'webhook.disabled', 'webhook.test', 'operator.user_blocked', 'operator.user_unblocked', 'operator.user_signed_out', 'operator.user_deleted', 'operator.account_disconnected', 'operator.tweet_reconciled', 'operator.job_retried', 'operator.invite_created', 'operator.invite_revoked')) NOT VALID;--> statement-breakpoint
ALTER TABLE "webhook_endpoints" ADD CONSTRAINT "webhook_endpoints_event_types" CHECK ("webhook_endpoints"."event_types" <@ array['account.connected', 'account.reconnected', 'account.recovered', 'account.needs_reauth', 'account.disconnected', 'account.profile_changed', 'tweet.posted', 'tweet.failed', 'tweet.unknown', 'tweet.reconciled', 'tweet.deleted', 'session.started', 'session.ended', 'token.created', 'token.revoked', 'link_visibility.changed', 'webhook.disabled', 'webhook.test', 'operator.user_blocked', 'operator.user_unblocked', 'operator.user_signed_out', 'operator.user_deleted', 'operator.account_disconnected', 'operator.tweet_reconciled', 'operator.job_retried', 'operator.invite_created', 'operator.invite_revoked']) NOT VALID;
