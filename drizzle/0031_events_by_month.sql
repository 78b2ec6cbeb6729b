-- Events and deliveries in partitions, one for each month by UTC. All rows are kept.
ALTER TABLE "webhook_deliveries" DROP CONSTRAINT "webhook_deliveries_event";--> statement-breakpoint
ALTER TABLE "events" RENAME TO "events_before";--> statement-breakpoint
ALTER TABLE "webhook_deliveries" RENAME TO "webhook_deliveries_before";--> statement-breakpoint
CREATE TABLE "events" (LIKE "events_before" INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY RANGE ("occurred_at");--> statement-breakpoint
CREATE TABLE "webhook_deliveries" (LIKE "webhook_deliveries_before" INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY RANGE ("created_at");--> statement-breakpoint
-- Takes the rows of a month without a partition, so that no write fails.
CREATE TABLE "events_default" PARTITION OF "events" DEFAULT;--> statement-breakpoint
CREATE TABLE "webhook_deliveries_default" PARTITION OF "webhook_deliveries" DEFAULT;--> statement-breakpoint
-- The maintenance and the start call it, with the rights of the owner of the tables: the role that serves may not create tables. It takes no
-- argument and drops only what the retention has ended, so anybody may call it.
CREATE FUNCTION xconnect_maintain_partitions() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Below deadlock_timeout: this gives way to requests, and is tried again a minute later.
SET lock_timeout = '500ms' AS $$
DECLARE
	this_month constant timestamp := date_trunc('month', statement_timestamp() AT TIME ZONE 'UTC');
	parent text;
	referenced text;
	moment text;
	kept interval;
	needed text;
	month timestamp;
	partition_name text;
	has_rows boolean;
BEGIN
	-- Past months are dropped once they have no row that is still needed. Of events the sweep deletes each row, because it stores the highest
	-- deleted positions (src/events/sweep.ts). Of deliveries only pending ones are needed after 30 days (src/webhooks/deliveries.ts).
	FOR parent, referenced, moment, kept, needed IN
		VALUES ('events', 'users', 'occurred_at', interval '90 days', 'true'),
			('webhook_deliveries', 'webhook_endpoints', 'created_at', interval '30 days', $status$status = 'PENDING'$status$)
	LOOP
		-- This month and the next two.
		FOR month IN SELECT this_month + make_interval(months => ahead) FROM generate_series(0, 2) AS ahead LOOP
			partition_name := parent || to_char(month, '_YYYY_MM');
			CONTINUE WHEN to_regclass('public.' || partition_name) IS NOT NULL;
			-- A month whose rows the default partition has stays there.
			EXECUTE format('SELECT EXISTS (SELECT FROM public.%I WHERE %I >= $1 AND %I < $2)', parent || '_default', moment, moment)
				INTO has_rows USING month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC';
			CONTINUE WHEN has_rows;
			-- First the table of the foreign key, which transactions lock first.
			EXECUTE format('LOCK TABLE public.%I IN SHARE ROW EXCLUSIVE MODE', referenced);
			EXECUTE format('LOCK TABLE public.%I IN ACCESS EXCLUSIVE MODE', parent);
			CONTINUE WHEN to_regclass('public.' || partition_name) IS NOT NULL;
			EXECUTE format('CREATE TABLE public.%I PARTITION OF public.%I FOR VALUES FROM (%L) TO (%L)', partition_name, parent,
				to_char(month, 'YYYY-MM-DD 00:00:00+00'), to_char(month + interval '1 month', 'YYYY-MM-DD 00:00:00+00'));
		END LOOP;
		-- Past months of which the retention has ended.
		FOR partition_name IN
			SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
			WHERE inhparent = ('public.' || parent)::regclass AND relname ~ ('^' || parent || '_\d{4}_\d{2}$')
				AND to_date(right(relname, 7), 'YYYY_MM') + interval '1 month' < this_month
				AND to_date(right(relname, 7), 'YYYY_MM') + interval '1 month' <= statement_timestamp() AT TIME ZONE 'UTC' - kept
		LOOP
			EXECUTE format('SELECT EXISTS (SELECT FROM public.%I WHERE %s)', partition_name, needed) INTO has_rows;
			CONTINUE WHEN has_rows;
			EXECUTE format('LOCK TABLE public.%I IN SHARE ROW EXCLUSIVE MODE', referenced);
			EXECUTE format('LOCK TABLE public.%I IN ACCESS EXCLUSIVE MODE', parent);
			EXECUTE format('SELECT EXISTS (SELECT FROM public.%I WHERE %s)', partition_name, needed) INTO has_rows;
			CONTINUE WHEN has_rows;
			EXECUTE format('DROP TABLE public.%I', partition_name);
		END LOOP;
	END LOOP;
END $$;--> statement-breakpoint
-- The months of the rows that there are; older rows than the retention go to the default partition.
DO $$
DECLARE
	month timestamp;
BEGIN
	FOR month IN
		SELECT DISTINCT date_trunc('month', "occurred_at" AT TIME ZONE 'UTC') FROM "events_before"
		WHERE "occurred_at" BETWEEN xconnect_now() - interval '120 days' AND xconnect_now()
	LOOP
		EXECUTE format('CREATE TABLE %I PARTITION OF "events" FOR VALUES FROM (%L) TO (%L)', 'events_' || to_char(month, 'YYYY_MM'),
			to_char(month, 'YYYY-MM-DD 00:00:00+00'), to_char(month + interval '1 month', 'YYYY-MM-DD 00:00:00+00'));
	END LOOP;
	FOR month IN
		SELECT DISTINCT date_trunc('month', "created_at" AT TIME ZONE 'UTC') FROM "webhook_deliveries_before"
		WHERE "created_at" BETWEEN xconnect_now() - interval '60 days' AND xconnect_now()
	LOOP
		EXECUTE format('CREATE TABLE %I PARTITION OF "webhook_deliveries" FOR VALUES FROM (%L) TO (%L)', 'webhook_deliveries_' || to_char(month, 'YYYY_MM'),
			to_char(month, 'YYYY-MM-DD 00:00:00+00'), to_char(month + interval '1 month', 'YYYY-MM-DD 00:00:00+00'));
	END LOOP;
END $$;--> statement-breakpoint
SELECT xconnect_maintain_partitions();--> statement-breakpoint
INSERT INTO "events" SELECT * FROM "events_before";--> statement-breakpoint
INSERT INTO "webhook_deliveries" SELECT * FROM "webhook_deliveries_before";--> statement-breakpoint
DROP TABLE "webhook_deliveries_before";--> statement-breakpoint
DROP TABLE "events_before";--> statement-breakpoint
ALTER TABLE "events"
	ADD CONSTRAINT "events_user_id_id_occurred_at_pk" PRIMARY KEY("user_id","id","occurred_at"),
	ADD CONSTRAINT "events_position" UNIQUE("user_id","position","occurred_at"),
	ADD CONSTRAINT "events_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "events_copies" ON "events" USING btree ("user_id","subject_user_id") WHERE "events"."subject_user_id" is not null;--> statement-breakpoint
CREATE INDEX "events_occurred_at_index" ON "events" USING btree ("occurred_at");--> statement-breakpoint
ALTER TABLE "webhook_deliveries"
	ADD CONSTRAINT "webhook_deliveries_user_id_id_created_at_pk" PRIMARY KEY("user_id","id","created_at"),
	ADD CONSTRAINT "webhook_deliveries_once" UNIQUE("user_id","endpoint_id","event_id","created_at"),
	ADD CONSTRAINT "webhook_deliveries_endpoint" FOREIGN KEY ("user_id","endpoint_id") REFERENCES "webhook_endpoints"("user_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "webhook_deliveries_user_id_endpoint_id_created_at_id_index" ON "webhook_deliveries" USING btree ("user_id","endpoint_id","created_at","id");--> statement-breakpoint
CREATE INDEX "webhook_deliveries_user_id_event_id_index" ON "webhook_deliveries" USING btree ("user_id","event_id");--> statement-breakpoint
CREATE INDEX "webhook_deliveries_created_at_index" ON "webhook_deliveries" USING btree ("created_at");--> statement-breakpoint
CREATE INDEX "webhook_deliveries_pending" ON "webhook_deliveries" USING btree ("next_attempt_at") WHERE "webhook_deliveries"."status" = 'PENDING';
