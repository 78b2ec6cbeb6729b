-- Columns, a table and stored values that were renamed. No sealed value changes: none names them.
ALTER TABLE "tweets" RENAME COLUMN "settle_reads" TO "timeline_reads";--> statement-breakpoint
ALTER TABLE "tweets" RENAME COLUMN "doubt_since" TO "unknown_since";--> statement-breakpoint
ALTER TABLE "oauth_tokens" RENAME COLUMN "fence" TO "fencing_token";--> statement-breakpoint
ALTER TABLE "rotation_orphans" RENAME TO "orphaned_tokens";--> statement-breakpoint
ALTER TABLE "orphaned_tokens" RENAME COLUMN "fence" TO "fencing_token";--> statement-breakpoint
ALTER TABLE "orphaned_tokens" RENAME CONSTRAINT "rotation_orphans_account_id_connected_accounts_id_fk" TO "orphaned_tokens_account_id_connected_accounts_id_fk";--> statement-breakpoint
ALTER INDEX "rotation_orphans_pkey" RENAME TO "orphaned_tokens_pkey";--> statement-breakpoint
ALTER INDEX "rotation_orphans_account_id_index" RENAME TO "orphaned_tokens_account_id_index";--> statement-breakpoint
ALTER TABLE "oauth_tokens" DROP CONSTRAINT "oauth_tokens_last_event";--> statement-breakpoint
UPDATE "oauth_tokens" SET "last_event" = 'RESPONSE_LOST' WHERE "last_event" = 'ANSWER_LOST';--> statement-breakpoint
UPDATE "oauth_tokens" SET "cause" = 'RESPONSE_LOST' WHERE "cause" = 'ANSWER_LOST';--> statement-breakpoint
ALTER TABLE "oauth_tokens" ADD CONSTRAINT "oauth_tokens_last_event" CHECK ("oauth_tokens"."last_event" in ('ISSUED', 'REFRESHED', 'RECOVERED', 'X_UNAVAILABLE', 'X_CREDENTIALS_REJECTED', 'RESPONSE_LOST', 'REFUSED'));--> statement-breakpoint
ALTER TABLE "events" DROP CONSTRAINT "events_type";--> statement-breakpoint
UPDATE "events" SET "type" = 'tweet.reconciled' WHERE "type" = 'tweet.unknown_settled';--> statement-breakpoint
ALTER TABLE "events" ADD CONSTRAINT "events_type" CHECK ("events"."type" in ('account.connected', 'account.reconnected', 'account.recovered', 'account.needs_reauth', 'account.disconnected', 'account.profile_changed', 'tweet.posted', 'tweet.failed', 'tweet.unknown', 'tweet.reconciled', 'tweet.deleted', 'session.started', 'session.ended', 'token.created', 'token.revoked', 'link_visibility.changed', 'webhook.disabled', 'webhook.test'));--> statement-breakpoint
UPDATE "event_horizons" SET "type" = 'tweet.reconciled' WHERE "type" = 'tweet.unknown_settled';--> statement-breakpoint
ALTER TABLE "webhook_endpoints" DROP CONSTRAINT "webhook_endpoints_event_types";--> statement-breakpoint
UPDATE "webhook_endpoints" SET "event_types" = array_replace("event_types", 'tweet.unknown_settled', 'tweet.reconciled');--> statement-breakpoint
ALTER TABLE "webhook_endpoints" ADD CONSTRAINT "webhook_endpoints_event_types" CHECK ("webhook_endpoints"."event_types" <@ array['account.connected', 'account.reconnected', 'account.recovered', 'account.needs_reauth', 'account.disconnected', 'account.profile_changed', 'tweet.posted', 'tweet.failed', 'tweet.unknown', 'tweet.reconciled', 'tweet.deleted', 'session.started', 'session.ended', 'token.created', 'token.revoked', 'link_visibility.changed', 'webhook.disabled', 'webhook.test']);