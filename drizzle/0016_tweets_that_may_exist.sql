ALTER TABLE "tweets" ADD COLUMN "may_exist_since" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "tweets" ADD COLUMN "error_detail" text;