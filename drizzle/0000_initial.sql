CREATE TABLE "connect_attempts" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"kind" text NOT NULL,
	"state_hash" text NOT NULL,
	"user_id" uuid,
	"session_id" text,
	"browser_hash" text,
	"verifier_sealed" text,
	"scopes" text[] NOT NULL,
	"return_to" text,
	"expected_username" text,
	"reconnect_account_id" uuid,
	"status" text DEFAULT 'PENDING' NOT NULL,
	"error_code" text,
	"account_id" uuid,
	"created_at" timestamp (3) with time zone NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"taken_at" timestamp (3) with time zone,
	"finished_at" timestamp (3) with time zone,
	CONSTRAINT "connect_attempts_state_hash" UNIQUE("state_hash"),
	CONSTRAINT "connect_attempts_kind" CHECK ("connect_attempts"."kind" in ('GITHUB_SIGN_IN', 'X_CONNECT')),
	CONSTRAINT "connect_attempts_status" CHECK ("connect_attempts"."status" in ('PENDING', 'SUCCEEDED', 'FAILED')),
	CONSTRAINT "connect_attempts_bound" CHECK (("connect_attempts"."kind" = 'X_CONNECT' and "connect_attempts"."user_id" is not null and "connect_attempts"."session_id" is not null) or ("connect_attempts"."kind" = 'GITHUB_SIGN_IN' and "connect_attempts"."browser_hash" is not null))
);
--> statement-breakpoint
CREATE TABLE "connected_accounts" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"user_id" uuid NOT NULL,
	"provider" text NOT NULL,
	"provider_account_id" text NOT NULL,
	"username" text NOT NULL,
	"display_name" text,
	"avatar_url" text,
	"subscription_type" text,
	"scopes" text[] NOT NULL,
	"status" text NOT NULL,
	"status_reason" text,
	"status_since" timestamp (3) with time zone NOT NULL,
	"connected_at" timestamp (3) with time zone NOT NULL,
	"last_used_at" timestamp (3) with time zone,
	"disconnected_at" timestamp (3) with time zone,
	CONSTRAINT "connected_accounts_one_per_user" UNIQUE("user_id","provider","provider_account_id"),
	CONSTRAINT "connected_accounts_status" CHECK ("connected_accounts"."status" in ('ACTIVE', 'LIMITED', 'NEEDS_REAUTH', 'DISCONNECTED')),
	CONSTRAINT "connected_accounts_status_reason" CHECK ("connected_accounts"."status_reason" in ('SCOPES_NOT_GRANTED', 'GRANT_REVOKED', 'ROTATION_LOST', 'REFRESH_TOKEN_MISSING', 'TOKENS_UNREADABLE', 'DISCONNECTED_BY_USER')),
	CONSTRAINT "connected_accounts_disconnected" CHECK (("connected_accounts"."status" = 'DISCONNECTED') = ("connected_accounts"."disconnected_at" is not null))
);
--> statement-breakpoint
CREATE TABLE "deployment" (
	"only_row" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"providers" text NOT NULL,
	CONSTRAINT "deployment_only_row" CHECK ("deployment"."only_row")
);
--> statement-breakpoint
CREATE TABLE "encryption_canaries" (
	"key_id" text PRIMARY KEY NOT NULL,
	"sealed" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "grant_revocations" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"account_id" uuid NOT NULL,
	"user_id" uuid NOT NULL,
	"token_sealed" text NOT NULL,
	"token_type_hint" text NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "oauth_tokens" (
	"account_id" uuid PRIMARY KEY NOT NULL,
	"access_token_sealed" text NOT NULL,
	"refresh_token_sealed" text,
	"access_expires_at" timestamp (3) with time zone NOT NULL,
	"grant_id" uuid NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"state" text DEFAULT 'ACTIVE' NOT NULL,
	"lease_id" uuid,
	"lease_until" timestamp (3) with time zone,
	"fence" integer DEFAULT 0 NOT NULL,
	"sent_at" timestamp (3) with time zone,
	"cause" text,
	"next_try_at" timestamp (3) with time zone,
	"fail_count" integer DEFAULT 0 NOT NULL,
	"refresh_issued_at" timestamp (3) with time zone NOT NULL,
	"last_event" text NOT NULL,
	"last_event_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "oauth_tokens_last_event" CHECK ("oauth_tokens"."last_event" in ('ISSUED', 'REFRESHED', 'RECOVERED', 'X_UNAVAILABLE', 'X_CREDENTIALS_REJECTED', 'ANSWER_LOST', 'REFUSED')),
	CONSTRAINT "oauth_tokens_state" CHECK ("oauth_tokens"."state" in ('ACTIVE', 'UNCERTAIN', 'DEAD')),
	CONSTRAINT "oauth_tokens_lease" CHECK (("oauth_tokens"."lease_id" is null) = ("oauth_tokens"."lease_until" is null))
);
--> statement-breakpoint
CREATE TABLE "rotation_orphans" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"account_id" uuid NOT NULL,
	"from_version" integer NOT NULL,
	"fence" integer NOT NULL,
	"access_token_sealed" text NOT NULL,
	"refresh_token_sealed" text,
	"access_expires_at" timestamp (3) with time zone NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "sessions" (
	"id" text PRIMARY KEY NOT NULL,
	"user_id" uuid NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "tweets" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"user_id" uuid NOT NULL,
	"account_id" uuid NOT NULL,
	"idempotency_key_hash" text,
	"request_hash" text NOT NULL,
	"text" text NOT NULL,
	"reply_to_x_tweet_id" text,
	"reply_settings" text,
	"made_with_ai" boolean DEFAULT false NOT NULL,
	"status" text NOT NULL,
	"attempt" integer DEFAULT 1 NOT NULL,
	"claimed_until" timestamp (3) with time zone NOT NULL,
	"sent_at" timestamp (3) with time zone,
	"doubt_since" timestamp (3) with time zone,
	"settle_reads" integer DEFAULT 0 NOT NULL,
	"x_tweet_id" text,
	"error_code" text,
	"retry_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone NOT NULL,
	"posted_at" timestamp (3) with time zone,
	CONSTRAINT "tweets_idempotency_key" UNIQUE("user_id","idempotency_key_hash"),
	CONSTRAINT "tweets_status" CHECK ("tweets"."status" in ('PENDING', 'POSTED', 'FAILED', 'UNKNOWN', 'DELETED')),
	CONSTRAINT "tweets_posted" CHECK ("tweets"."status" not in ('POSTED', 'DELETED') or "tweets"."x_tweet_id" is not null),
	CONSTRAINT "tweets_failed" CHECK (("tweets"."status" in ('FAILED', 'UNKNOWN')) = ("tweets"."error_code" is not null))
);
--> statement-breakpoint
CREATE TABLE "users" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"github_id" bigint NOT NULL,
	"login" text NOT NULL,
	"name" text,
	"avatar_url" text,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "users_github_id" UNIQUE("github_id")
);
--> statement-breakpoint
CREATE TABLE "x_blocks" (
	"subject" text NOT NULL,
	"endpoint" text NOT NULL,
	"error_code" text NOT NULL,
	"until" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "x_blocks_subject_endpoint_pk" PRIMARY KEY("subject","endpoint"),
	CONSTRAINT "x_blocks_endpoint" CHECK ("x_blocks"."endpoint" in ('POST_TWEET', 'DELETE_TWEET', 'READ_TIMELINE'))
);
--> statement-breakpoint
ALTER TABLE "connect_attempts" ADD CONSTRAINT "connect_attempts_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "connect_attempts" ADD CONSTRAINT "connect_attempts_reconnect_account_id_connected_accounts_id_fk" FOREIGN KEY ("reconnect_account_id") REFERENCES "public"."connected_accounts"("id") ON DELETE set null ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "connect_attempts" ADD CONSTRAINT "connect_attempts_account_id_connected_accounts_id_fk" FOREIGN KEY ("account_id") REFERENCES "public"."connected_accounts"("id") ON DELETE set null ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "connected_accounts" ADD CONSTRAINT "connected_accounts_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "oauth_tokens" ADD CONSTRAINT "oauth_tokens_account_id_connected_accounts_id_fk" FOREIGN KEY ("account_id") REFERENCES "public"."connected_accounts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "rotation_orphans" ADD CONSTRAINT "rotation_orphans_account_id_connected_accounts_id_fk" FOREIGN KEY ("account_id") REFERENCES "public"."connected_accounts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sessions" ADD CONSTRAINT "sessions_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "tweets" ADD CONSTRAINT "tweets_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "tweets" ADD CONSTRAINT "tweets_account_id_connected_accounts_id_fk" FOREIGN KEY ("account_id") REFERENCES "public"."connected_accounts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "connect_attempts_expires_at_index" ON "connect_attempts" USING btree ("expires_at");--> statement-breakpoint
CREATE UNIQUE INDEX "connected_accounts_one_live" ON "connected_accounts" USING btree ("provider","provider_account_id") WHERE "connected_accounts"."status" <> 'DISCONNECTED';--> statement-breakpoint
CREATE INDEX "connected_accounts_user_id_connected_at_index" ON "connected_accounts" USING btree ("user_id","connected_at");--> statement-breakpoint
CREATE INDEX "connected_accounts_provider_account_id_index" ON "connected_accounts" USING btree ("provider_account_id");--> statement-breakpoint
CREATE INDEX "oauth_tokens_refresh_issued_at_index" ON "oauth_tokens" USING btree ("refresh_issued_at");--> statement-breakpoint
CREATE INDEX "oauth_tokens_last_event_at_index" ON "oauth_tokens" USING btree ("last_event_at");--> statement-breakpoint
CREATE INDEX "rotation_orphans_account_id_index" ON "rotation_orphans" USING btree ("account_id");--> statement-breakpoint
CREATE INDEX "sessions_user_id_index" ON "sessions" USING btree ("user_id");--> statement-breakpoint
CREATE INDEX "sessions_expires_at_index" ON "sessions" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "tweets_user_id_created_at_id_index" ON "tweets" USING btree ("user_id","created_at","id");--> statement-breakpoint
CREATE INDEX "tweets_account_id_x_tweet_id_index" ON "tweets" USING btree ("account_id","x_tweet_id");--> statement-breakpoint
CREATE INDEX "tweets_open" ON "tweets" USING btree ("claimed_until") WHERE "tweets"."status" = 'PENDING';