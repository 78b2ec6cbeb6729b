CREATE TABLE "hidden_copies" (
	"user_id" uuid NOT NULL,
	"subject_user_id" uuid NOT NULL,
	"position" bigint NOT NULL,
	CONSTRAINT "hidden_copies_user_id_subject_user_id_pk" PRIMARY KEY("user_id","subject_user_id")
);
--> statement-breakpoint
ALTER TABLE "hidden_copies" ADD CONSTRAINT "hidden_copies_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;