-- One function creates the partitions of the months ahead and another drops those of past months, each in a transaction of its own: a drop that
-- cannot get its lock undoes no creation.
DROP FUNCTION xconnect_maintain_partitions();--> statement-breakpoint
-- Creates the partition of one month (by UTC) unless it is there, with the rights of its caller: the owner of the tables.
CREATE FUNCTION xconnect_create_month(parent text, month timestamp) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	partition_name constant text := parent || to_char(month, '_YYYY_MM');
BEGIN
	IF to_regclass('public.' || partition_name) IS NULL THEN
		EXECUTE format('CREATE TABLE public.%I PARTITION OF public.%I FOR VALUES FROM (%L) TO (%L)', partition_name, parent,
			to_char(month, 'YYYY-MM-DD 00:00:00+00'), to_char(month + interval '1 month', 'YYYY-MM-DD 00:00:00+00'));
	END IF;
END $$;--> statement-breakpoint
-- Creates the partitions of this month and the next two. Returns false, at once, while another session is creating them. It takes no argument,
-- so anybody may call it: it runs with the rights of the owner of the tables, since the role that serves may not create tables.
CREATE FUNCTION xconnect_create_months_ahead() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Below deadlock_timeout: this gives way to requests, and is tried again a minute later.
SET lock_timeout = '500ms' AS $$
DECLARE
	this_month constant timestamp := date_trunc('month', statement_timestamp() AT TIME ZONE 'UTC');
	is_locked boolean := false;
	parent text;
	moment text;
	month timestamp;
	has_rows boolean;
BEGIN
	-- The first round finds out whether one is missing, which it seldom is. The second creates them under the locks.
	FOR round IN 1..2 LOOP
		FOR parent, moment, month IN
			SELECT name, key, this_month + make_interval(months => ahead)
			FROM (VALUES ('events', 'occurred_at'), ('webhook_deliveries', 'created_at')) AS partitioned (name, key), generate_series(0, 2) AS ahead
			WHERE to_regclass('public.' || name || to_char(this_month + make_interval(months => ahead), '_YYYY_MM')) IS NULL
		LOOP
			-- A month whose rows the default partition has stays there.
			EXECUTE format('SELECT EXISTS (SELECT FROM public.%I WHERE %I >= $1 AND %I < $2)', parent || '_default', moment, moment)
				INTO has_rows USING month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC';
			CONTINUE WHEN has_rows;
			IF NOT is_locked THEN
				IF NOT pg_try_advisory_xact_lock(hashtextextended('xconnect-partitions', 0)) THEN
					RETURN false;
				END IF;
				-- First the tables of the foreign keys, which transactions lock first.
				LOCK TABLE public.users, public.webhook_endpoints IN SHARE ROW EXCLUSIVE MODE;
				-- Not the other months, which a vacuum may have locked.
				LOCK TABLE ONLY public.events, ONLY public.webhook_deliveries IN ACCESS EXCLUSIVE MODE;
				is_locked := true;
				-- Another session may have created or filled it before.
				EXIT;
			END IF;
			PERFORM public.xconnect_create_month(parent, month);
		END LOOP;
		EXIT WHEN NOT is_locked;
	END LOOP;
	RETURN true;
END $$;--> statement-breakpoint
-- Drops past months that have no row that is still needed. Of events the sweep deletes each row, because it stores the highest deleted positions
-- (src/events/sweep.ts). Of deliveries only pending ones are needed after 30 days (src/webhooks/deliveries.ts). It drops only what the retention
-- has ended, so anybody may call it. Returns false, at once, while another session is dropping them.
CREATE FUNCTION xconnect_drop_past_months() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '500ms'
-- A month that has just been swept has nothing but dead rows, and reading its pages would take longer the more there were. Its index has only those
-- that died since the last vacuum, and the first search marks them for the next one.
SET enable_seqscan = off AS $$
DECLARE
	now_utc constant timestamp := statement_timestamp() AT TIME ZONE 'UTC';
	parent text;
	needed text;
	partition_name text;
	last_needed timestamptz;
BEGIN
	IF NOT pg_try_advisory_xact_lock(hashtextextended('xconnect-partitions', 0)) THEN
		RETURN false;
	END IF;
	FOR parent, needed, partition_name IN
		SELECT name, newest, relname::text
		-- The newest event is the last that the sweep deletes, so the search ends at once while there is one.
		FROM (VALUES ('events', interval '90 days', 'SELECT max(occurred_at) FROM public.%I'),
			('webhook_deliveries', interval '30 days', $status$SELECT max(next_attempt_at) FROM public.%I WHERE status = 'PENDING'$status$))
			AS partitioned (name, kept, newest)
		JOIN pg_inherits ON inhparent = ('public.' || name)::regclass
		JOIN pg_class ON pg_class.oid = inhrelid
		CROSS JOIN LATERAL (SELECT CASE WHEN relname ~ ('^' || name || '_\d{4}_\d{2}$') THEN to_date(right(relname, 7), 'YYYY_MM') END
			+ interval '1 month' AS month_end) AS ended
		WHERE month_end < date_trunc('month', now_utc) AND month_end <= now_utc - kept
	LOOP
		EXECUTE format(needed, partition_name) INTO last_needed;
		CONTINUE WHEN last_needed IS NOT NULL;
		EXECUTE format('LOCK TABLE ONLY public.%I IN ACCESS EXCLUSIVE MODE', parent);
		-- Again: a delivery may have been replayed.
		EXECUTE format(needed, partition_name) INTO last_needed;
		CONTINUE WHEN last_needed IS NOT NULL;
		EXECUTE format('DROP TABLE public.%I', partition_name);
	END LOOP;
	RETURN true;
END $$;
