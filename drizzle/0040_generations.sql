CREATE TABLE "generations" (
	"generation" integer PRIMARY KEY NOT NULL,
	"lineage" text NOT NULL,
	"restored_at" timestamp (3) with time zone,
	"lost_since" timestamp (3) with time zone,
	"probe_id" uuid,
	"probe_until" timestamp (3) with time zone,
	"probes_accepted" integer DEFAULT 0 NOT NULL,
	"probes_refused" integer DEFAULT 0 NOT NULL,
	"next_probe_at" timestamp (3) with time zone,
	"positions_moved" boolean DEFAULT false NOT NULL,
	CONSTRAINT "generations_restored" CHECK (("generations"."restored_at" is null) = ("generations"."lost_since" is null)),
	CONSTRAINT "generations_probe" CHECK (("generations"."probe_id" is null) = ("generations"."probe_until" is null))
);
--> statement-breakpoint
CREATE TABLE "restored_timelines" (
	"user_id" uuid NOT NULL,
	"account_id" uuid NOT NULL,
	"generation" integer NOT NULL,
	"posts" text NOT NULL,
	"is_whole" boolean NOT NULL,
	CONSTRAINT "restored_timelines_user_id_account_id_pk" PRIMARY KEY("user_id","account_id")
);
--> statement-breakpoint
ALTER TABLE "connected_accounts" DROP CONSTRAINT "connected_accounts_status_reason";--> statement-breakpoint
ALTER TABLE "event_positions" ADD COLUMN "restored_position" bigint;--> statement-breakpoint
ALTER TABLE "restored_timelines" ADD CONSTRAINT "restored_timelines_account" FOREIGN KEY ("user_id","account_id") REFERENCES "public"."connected_accounts"("user_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "connected_accounts" ADD CONSTRAINT "connected_accounts_status_reason" CHECK ("connected_accounts"."status_reason" in ('SCOPES_NOT_GRANTED', 'GRANT_REVOKED', 'REFRESH_LOST', 'DATABASE_RESTORED', 'REFRESH_TOKEN_MISSING', 'TOKENS_UNREADABLE', 'DISCONNECTED_BY_USER'));