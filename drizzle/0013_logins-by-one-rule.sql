DROP INDEX "users_login";--> statement-breakpoint
-- Under a Turkish collation lower('I') is no "i": one login could be held twice. Whose it is now is not known: nobody's, until one signs in.
UPDATE "users" SET "login_lost_at" = now() WHERE "login_lost_at" IS NULL AND lower("login" COLLATE "C") IN (SELECT lower("login" COLLATE "C") FROM "users" WHERE "login_lost_at" IS NULL GROUP BY lower("login" COLLATE "C") HAVING count(*) > 1);--> statement-breakpoint
CREATE UNIQUE INDEX "users_login" ON "users" USING btree (lower("login" collate "C")) WHERE "users"."login_lost_at" is null;
