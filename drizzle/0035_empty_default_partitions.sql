-- PostgreSQL reads the default partition, under a lock, whenever it creates another. Earlier rows are moved to months of their own, and what is
-- left there later is not read beyond a size.
--
-- Moves the rows of the default partitions to partitions of their months, except finished deliveries beyond the retention
-- (src/webhooks/deliveries.ts), which are deleted. Only the owner of the tables can call it, and requests wait until it has ended.
CREATE FUNCTION xconnect_empty_default_partitions() RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	parent text;
	moment text;
	kept text;
	month timestamp;
	has_rows boolean;
BEGIN
	-- First the tables of the foreign keys, which transactions lock first.
	LOCK TABLE public.users, public.webhook_endpoints IN SHARE ROW EXCLUSIVE MODE;
	LOCK TABLE ONLY public.events, ONLY public.webhook_deliveries IN ACCESS EXCLUSIVE MODE;
	FOR parent, moment, kept IN
		VALUES ('events', 'occurred_at', 'true'),
			('webhook_deliveries', 'created_at', $kept$status = 'PENDING' OR created_at > public.xconnect_now() - interval '30 days'$kept$)
	LOOP
		EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', parent || '_default') INTO has_rows;
		-- With dead rows alone it is replaced too.
		CONTINUE WHEN NOT has_rows AND pg_relation_size(('public.' || parent || '_default')::regclass) = 0;
		EXECUTE format('ALTER TABLE public.%I DETACH PARTITION public.%I', parent, parent || '_default');
		EXECUTE format('ALTER TABLE public.%I RENAME TO %I', parent || '_default', parent || '_before');
		FOR month IN
			EXECUTE format('SELECT DISTINCT date_trunc(''month'', %I AT TIME ZONE ''UTC'') FROM public.%I WHERE %s', moment, parent || '_before', kept)
		LOOP
			PERFORM public.xconnect_create_month(parent, month);
		END LOOP;
		EXECUTE format('INSERT INTO public.%I SELECT * FROM public.%I WHERE %s', parent, parent || '_before', kept);
		EXECUTE format('DROP TABLE public.%I', parent || '_before');
		EXECUTE format('CREATE TABLE public.%I PARTITION OF public.%I DEFAULT', parent || '_default', parent);
	END LOOP;
END $$;--> statement-breakpoint
REVOKE EXECUTE ON FUNCTION xconnect_empty_default_partitions() FROM PUBLIC;--> statement-breakpoint
SELECT xconnect_empty_default_partitions();--> statement-breakpoint
DROP FUNCTION xconnect_create_months_ahead();--> statement-breakpoint
-- Creates the partitions of this month and the next two. `is_elsewhere` is true, at once, while another session is creating them. `too_large` names
-- the default partitions with more than 8 MB, whose table gets none: PostgreSQL would read all of it while every request waits. It takes no
-- argument, so anybody may call it: it runs with the rights of the owner of the tables, since the role that serves may not create tables.
CREATE FUNCTION xconnect_create_months_ahead(OUT is_elsewhere boolean, OUT too_large text[]) LANGUAGE plpgsql SECURITY DEFINER
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
	is_elsewhere := false;
	-- The first round finds out whether one is missing, which it seldom is. The second creates them under the locks.
	FOR round IN 1..2 LOOP
		too_large := '{}';
		FOR parent, moment, month IN
			SELECT name, key, this_month + make_interval(months => ahead)
			FROM (VALUES ('events', 'occurred_at'), ('webhook_deliveries', 'created_at')) AS partitioned (name, key), generate_series(0, 2) AS ahead
			WHERE to_regclass('public.' || name || to_char(this_month + make_interval(months => ahead), '_YYYY_MM')) IS NULL
		LOOP
			-- A month whose rows the default partition has stays there.
			EXECUTE format('SELECT EXISTS (SELECT FROM public.%I WHERE %I >= $1 AND %I < $2)', parent || '_default', moment, moment)
				INTO has_rows USING month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC';
			CONTINUE WHEN has_rows;
			IF pg_relation_size(('public.' || parent || '_default')::regclass) > 8 * 1024 * 1024 THEN
				too_large := array_append(array_remove(too_large, parent || '_default'), parent || '_default');
				CONTINUE;
			END IF;
			IF NOT is_locked THEN
				is_elsewhere := NOT pg_try_advisory_xact_lock(hashtextextended('xconnect-partitions', 0));
				IF is_elsewhere THEN
					RETURN;
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
END $$;
