ALTER TABLE "event_horizons" DROP CONSTRAINT "event_horizons_user";--> statement-breakpoint
ALTER TABLE "event_horizons" ADD COLUMN "type" text NOT NULL;--> statement-breakpoint
ALTER TABLE "event_horizons" ADD CONSTRAINT "event_horizons_user_type" UNIQUE NULLS NOT DISTINCT("user_id","type");