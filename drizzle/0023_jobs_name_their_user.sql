-- Jobs name the user of their row. Those that do not are deleted; the maintenance queues them again.
DO $$
BEGIN
	IF to_regclass('pgboss.job') IS NOT NULL THEN
		DELETE FROM "pgboss"."job"
		WHERE "name" IN ('revoke-grant', 'reconcile-tweet', 'deliver-webhook', 'finish-connect', 'check-connection')
			AND "state" <> 'completed' AND NOT coalesce("data" ? 'userId', false);
	END IF;
END $$;
