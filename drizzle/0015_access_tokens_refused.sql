ALTER TABLE "oauth_tokens" ADD COLUMN "access_unproven" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "oauth_tokens" ADD COLUMN "access_refused_at" timestamp (3) with time zone;--> statement-breakpoint
CREATE INDEX "oauth_tokens_refused" ON "oauth_tokens" USING btree ("access_refused_at") WHERE "oauth_tokens"."access_refused_at" is not null;