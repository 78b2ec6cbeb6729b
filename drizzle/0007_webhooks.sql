CREATE TABLE "webhook_deliveries" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"endpoint_id" uuid NOT NULL,
	"event_id" uuid NOT NULL,
	"status" text DEFAULT 'PENDING' NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"last_attempt_at" timestamp (3) with time zone,
	"last_http_status" integer,
	"last_error" text,
	"next_attempt_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone NOT NULL,
	"delivered_at" timestamp (3) with time zone,
	CONSTRAINT "webhook_deliveries_once" UNIQUE("endpoint_id","event_id"),
	CONSTRAINT "webhook_deliveries_status" CHECK ("webhook_deliveries"."status" in ('PENDING', 'DELIVERED', 'DEAD')),
	CONSTRAINT "webhook_deliveries_last_error" CHECK ("webhook_deliveries"."last_error" in ('STATUS', 'REDIRECT', 'DEADLINE', 'CONNECTION', 'TLS', 'URL_NOT_ALLOWED', 'SECRET_UNREADABLE', 'ENDPOINT_DISABLED')),
	CONSTRAINT "webhook_deliveries_pending" CHECK (("webhook_deliveries"."status" = 'PENDING') = ("webhook_deliveries"."next_attempt_at" is not null)),
	CONSTRAINT "webhook_deliveries_delivered" CHECK (("webhook_deliveries"."status" = 'DELIVERED') = ("webhook_deliveries"."delivered_at" is not null))
);
--> statement-breakpoint
CREATE TABLE "webhook_endpoints" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"user_id" uuid,
	"url" text NOT NULL,
	"description" text,
	"event_types" text[],
	"secret_sealed" text NOT NULL,
	"previous_secret_sealed" text,
	"previous_secret_ends_at" timestamp (3) with time zone,
	"status" text DEFAULT 'ENABLED' NOT NULL,
	"disabled_reason" text,
	"failing_since" timestamp (3) with time zone,
	"enabled_at" timestamp (3) with time zone NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "webhook_endpoints_event_types" CHECK ("webhook_endpoints"."event_types" <@ array['account.connected', 'account.reconnected', 'account.recovered', 'account.needs_reauth', 'account.disconnected', 'account.profile_changed', 'tweet.posted', 'tweet.failed', 'tweet.unknown', 'tweet.unknown_settled', 'tweet.deleted', 'session.started', 'session.ended', 'token.created', 'token.revoked', 'link_visibility.changed', 'webhook.disabled', 'webhook.test']),
	CONSTRAINT "webhook_endpoints_status" CHECK ("webhook_endpoints"."status" in ('ENABLED', 'DISABLED')),
	CONSTRAINT "webhook_endpoints_disabled_reason" CHECK ("webhook_endpoints"."disabled_reason" in ('BY_OWNER', 'FAILING', 'GONE')),
	CONSTRAINT "webhook_endpoints_disabled" CHECK (("webhook_endpoints"."status" = 'DISABLED') = ("webhook_endpoints"."disabled_reason" is not null)),
	CONSTRAINT "webhook_endpoints_previous_secret" CHECK (("webhook_endpoints"."previous_secret_sealed" is null) = ("webhook_endpoints"."previous_secret_ends_at" is null))
);
--> statement-breakpoint
CREATE TABLE "webhook_fan_out" (
	"only_row" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"position" bigint DEFAULT 0 NOT NULL,
	CONSTRAINT "webhook_fan_out_only_row" CHECK ("webhook_fan_out"."only_row")
);
--> statement-breakpoint
ALTER TABLE "events" DROP CONSTRAINT "events_type";--> statement-breakpoint
ALTER TABLE "webhook_deliveries" ADD CONSTRAINT "webhook_deliveries_endpoint_id_webhook_endpoints_id_fk" FOREIGN KEY ("endpoint_id") REFERENCES "public"."webhook_endpoints"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "webhook_deliveries" ADD CONSTRAINT "webhook_deliveries_event_id_events_id_fk" FOREIGN KEY ("event_id") REFERENCES "public"."events"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "webhook_endpoints" ADD CONSTRAINT "webhook_endpoints_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "webhook_deliveries_endpoint_id_created_at_id_index" ON "webhook_deliveries" USING btree ("endpoint_id","created_at","id");--> statement-breakpoint
CREATE INDEX "webhook_deliveries_event_id_index" ON "webhook_deliveries" USING btree ("event_id");--> statement-breakpoint
CREATE INDEX "webhook_deliveries_created_at_index" ON "webhook_deliveries" USING btree ("created_at");--> statement-breakpoint
CREATE INDEX "webhook_endpoints_user_id_index" ON "webhook_endpoints" USING btree ("user_id");--> statement-breakpoint
ALTER TABLE "events" ADD CONSTRAINT "events_type" CHECK ("events"."type" in ('account.connected', 'account.reconnected', 'account.recovered', 'account.needs_reauth', 'account.disconnected', 'account.profile_changed', 'tweet.posted', 'tweet.failed', 'tweet.unknown', 'tweet.unknown_settled', 'tweet.deleted', 'session.started', 'session.ended', 'token.created', 'token.revoked', 'link_visibility.changed', 'webhook.disabled', 'webhook.test'));--> statement-breakpoint
-- Nobody asked for what happened so far.
INSERT INTO "webhook_fan_out" ("position") SELECT coalesce(max("position"), 0) FROM "events";
