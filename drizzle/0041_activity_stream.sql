CREATE TABLE "activity_stream" (
	"only_row" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"holder_id" uuid NOT NULL,
	"held_until" timestamp (3) with time zone NOT NULL,
	"state" text NOT NULL,
	"state_since" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "activity_stream_only_row" CHECK ("activity_stream"."only_row"),
	CONSTRAINT "activity_stream_state" CHECK ("activity_stream"."state" in ('CONNECTING', 'CONNECTED', 'REFUSED'))
);
