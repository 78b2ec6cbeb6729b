-- Reads the tables once, while they are written.
ALTER TABLE "api_tokens" VALIDATE CONSTRAINT "api_tokens_scopes";--> statement-breakpoint
ALTER TABLE "api_tokens" VALIDATE CONSTRAINT "api_tokens_operator_scopes";--> statement-breakpoint
ALTER TABLE "connected_accounts" VALIDATE CONSTRAINT "connected_accounts_status_reason";--> statement-breakpoint
ALTER TABLE "events" VALIDATE CONSTRAINT "events_actor";--> statement-breakpoint
ALTER TABLE "events" VALIDATE CONSTRAINT "events_type";--> statement-breakpoint
ALTER TABLE "webhook_endpoints" VALIDATE CONSTRAINT "webhook_endpoints_event_types";
