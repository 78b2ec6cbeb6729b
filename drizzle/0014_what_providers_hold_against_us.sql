CREATE TABLE "provider_problems" (
	"code" text PRIMARY KEY NOT NULL,
	"since" timestamp (3) with time zone NOT NULL,
	"seen_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "provider_problems_code" CHECK ("provider_problems"."code" in ('GITHUB_CREDENTIALS_REJECTED', 'GITHUB_REDIRECT_MISMATCH', 'GITHUB_APP_SUSPENDED', 'GITHUB_API_FORBIDDEN', 'GITHUB_API_NOT_FOUND', 'X_CREDENTIALS_REJECTED', 'X_REDIRECT_MISMATCH', 'X_APP_NOT_ENROLLED', 'X_CREDITS_EXHAUSTED', 'X_USAGE_CAPPED'))
);
