CREATE TABLE "api_tokens" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"secret_hash" text NOT NULL,
	"prefix" text NOT NULL,
	"last_four" text NOT NULL,
	"name" text NOT NULL,
	"user_id" uuid,
	"scopes" text[] NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"last_used_at" timestamp (3) with time zone,
	"revoked_at" timestamp (3) with time zone,
	CONSTRAINT "api_tokens_secret_hash" UNIQUE("secret_hash"),
	CONSTRAINT "api_tokens_secret_hash_form" CHECK ("api_tokens"."secret_hash" ~ '^[0-9a-f]{64}$'),
	CONSTRAINT "api_tokens_shown" CHECK (length("api_tokens"."prefix") = 8 and length("api_tokens"."last_four") = 4),
	CONSTRAINT "api_tokens_name" CHECK (length("api_tokens"."name") between 1 and 100),
	CONSTRAINT "api_tokens_scopes" CHECK (cardinality("api_tokens"."scopes") > 0 and "api_tokens"."scopes" <@ array['accounts:read', 'accounts:write', 'tweets:read', 'tweets:write', 'events:read']),
	CONSTRAINT "api_tokens_operator_scopes" CHECK ("api_tokens"."user_id" is not null or "api_tokens"."scopes" <@ array['accounts:read', 'events:read']),
	CONSTRAINT "api_tokens_expires" CHECK ("api_tokens"."expires_at" > "api_tokens"."created_at")
);
--> statement-breakpoint
ALTER TABLE "api_tokens" ADD CONSTRAINT "api_tokens_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "api_tokens_user_id_created_at_index" ON "api_tokens" USING btree ("user_id","created_at");--> statement-breakpoint
CREATE INDEX "api_tokens_ended" ON "api_tokens" USING btree (coalesce("revoked_at", "expires_at"));