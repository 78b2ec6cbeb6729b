CREATE TABLE "user_identities" (
	"github_id" bigint PRIMARY KEY NOT NULL,
	"user_id" uuid NOT NULL
);
--> statement-breakpoint
CREATE TABLE "user_logins" (
	"login" text PRIMARY KEY NOT NULL,
	"user_id" uuid NOT NULL
);
--> statement-breakpoint
INSERT INTO "user_identities" ("github_id", "user_id") SELECT "github_id", "id" FROM "users" WHERE "github_id" <> 0;--> statement-breakpoint
INSERT INTO "user_logins" ("login", "user_id") SELECT lower("login" COLLATE "C"), "id" FROM "users" WHERE "login_lost_at" IS NULL;--> statement-breakpoint
ALTER TABLE "users" DROP CONSTRAINT "users_github_id";--> statement-breakpoint
DROP INDEX "users_login";--> statement-breakpoint
ALTER TABLE "users" DROP COLUMN "login_lost_at";