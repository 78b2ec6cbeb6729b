ALTER TABLE "connect_attempts" DROP CONSTRAINT "connect_attempts_status";--> statement-breakpoint
ALTER TABLE "x_blocks" DROP CONSTRAINT "x_blocks_endpoint";--> statement-breakpoint
ALTER TABLE "connect_attempts" ADD COLUMN "error_detail" text;--> statement-breakpoint
ALTER TABLE "connect_attempts" ADD COLUMN "retry_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "connect_attempts" ADD COLUMN "provider_account_id" text;--> statement-breakpoint
ALTER TABLE "connect_attempts" ADD COLUMN "tokens_sealed" text;--> statement-breakpoint
ALTER TABLE "connect_attempts" ADD COLUMN "access_expires_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "connect_attempts" ADD COLUMN "next_try_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "connect_attempts" ADD COLUMN "tries" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "grant_revocations" ADD COLUMN "provider_account_id" text;--> statement-breakpoint
CREATE INDEX "connect_attempts_kept" ON "connect_attempts" USING btree ("next_try_at") WHERE "connect_attempts"."tokens_sealed" is not null;--> statement-breakpoint
CREATE INDEX "connect_attempts_provider_account_id_index" ON "connect_attempts" USING btree ("provider_account_id");--> statement-breakpoint
ALTER TABLE "connect_attempts" ADD CONSTRAINT "connect_attempts_kept_tokens" CHECK (("connect_attempts"."tokens_sealed" is null) = ("connect_attempts"."next_try_at" is null) and ("connect_attempts"."tokens_sealed" is not null or "connect_attempts"."status" <> 'WAITING'));--> statement-breakpoint
ALTER TABLE "connect_attempts" ADD CONSTRAINT "connect_attempts_status" CHECK ("connect_attempts"."status" in ('PENDING', 'WAITING', 'SUCCEEDED', 'FAILED'));--> statement-breakpoint
ALTER TABLE "x_blocks" ADD CONSTRAINT "x_blocks_endpoint" CHECK ("x_blocks"."endpoint" in ('POST_TWEET', 'DELETE_TWEET', 'READ_TIMELINE', 'READ_PROFILE'));