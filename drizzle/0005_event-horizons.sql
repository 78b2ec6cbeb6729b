CREATE TABLE "event_horizons" (
	"user_id" uuid,
	"position" bigint NOT NULL,
	CONSTRAINT "event_horizons_user" UNIQUE NULLS NOT DISTINCT("user_id")
);
--> statement-breakpoint
ALTER TABLE "event_horizons" ADD CONSTRAINT "event_horizons_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;