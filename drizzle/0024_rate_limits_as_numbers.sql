-- Numbers instead of times: ON CONFLICT DO UPDATE calculates with them, and the arithmetic of times is not immutable.
ALTER TABLE "rate_limits" DROP CONSTRAINT "rate_limits_name_subject_pk";--> statement-breakpoint
ALTER TABLE "rate_limits" ALTER COLUMN "full_at" SET DATA TYPE double precision USING extract(epoch from "full_at")::double precision;--> statement-breakpoint
ALTER TABLE "rate_limits" ADD CONSTRAINT "rate_limits_subject_name_pk" PRIMARY KEY("subject","name");
