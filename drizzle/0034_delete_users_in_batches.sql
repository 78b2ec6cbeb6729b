-- Deletions of users run as a job, in batches. What was deleted before has left nothing, so there are no rows to insert.
CREATE TABLE "user_deletions" (
	"id" uuid PRIMARY KEY NOT NULL,
	"user_id" uuid,
	"requested_at" timestamp (3) with time zone NOT NULL,
	"finished_at" timestamp (3) with time zone,
	CONSTRAINT "user_deletions_finished" CHECK (("user_deletions"."finished_at" is null) = ("user_deletions"."user_id" is not null))
);
--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "deletion_id" uuid;--> statement-breakpoint
CREATE INDEX "user_deletions_open" ON "user_deletions" USING btree ("user_id","id") WHERE "user_deletions"."finished_at" is null;--> statement-breakpoint
CREATE INDEX "user_deletions_finished_at_index" ON "user_deletions" USING btree ("finished_at");