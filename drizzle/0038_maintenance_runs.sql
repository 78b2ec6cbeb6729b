CREATE TABLE "maintenance_runs" (
	"task" text PRIMARY KEY NOT NULL,
	"succeeded_at" timestamp (3) with time zone,
	"duration_milliseconds" integer,
	"row_count" integer,
	"failure_count" integer NOT NULL,
	"failed_at" timestamp (3) with time zone,
	CONSTRAINT "maintenance_runs_success" CHECK ("maintenance_runs"."succeeded_at" is not null or ("maintenance_runs"."duration_milliseconds" is null and "maintenance_runs"."row_count" is null)),
	CONSTRAINT "maintenance_runs_failure" CHECK (("maintenance_runs"."failure_count" > 0) = ("maintenance_runs"."failed_at" is not null))
);
