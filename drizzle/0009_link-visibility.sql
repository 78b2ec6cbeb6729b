ALTER TABLE "users" ADD COLUMN "login_lost_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "link_visibility" text DEFAULT 'NOBODY' NOT NULL;--> statement-breakpoint
-- Of several with one login it is not known whose it is now: nobody's, until one of them signs in.
UPDATE "users" SET "login_lost_at" = now() WHERE lower("login") IN (SELECT lower("login") FROM "users" GROUP BY lower("login") HAVING count(*) > 1);--> statement-breakpoint
CREATE UNIQUE INDEX "users_login" ON "users" USING btree (lower("login")) WHERE "users"."login_lost_at" is null;--> statement-breakpoint
ALTER TABLE "users" ADD CONSTRAINT "users_link_visibility" CHECK ("users"."link_visibility" in ('NOBODY', 'INTEGRATORS'));