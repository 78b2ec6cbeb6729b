-- Distributes the tables of the gateway over the workers of a Citus cluster: those of users by the user, so that everything of one user is
-- on one node, and the look-up tables by what they look up. docs/scale.md says when and how. Run it once, on the coordinator, after the
-- migrations and while no gateway runs:
--
--   psql "$DATABASE_DIRECT_URL" -f deploy/citus.sql
--
-- The partitions of events and webhook_deliveries are distributed with them, also those that are created later.
--
-- Local, on the coordinator alone, remain activity_stream, deployment, encryption_canaries, generations, maintenance_runs and
-- provider_problems, which have a few rows, and the schemas drizzle (which migrations have run) and pgboss (the job queue).
\set QUIET on
\set ON_ERROR_STOP on
set client_min_messages = warning;
-- The largest number of workers over which the rows can be spread later.
set citus.shard_count = 64;

-- A foreign key can only be created between distributed tables, and a table with one cannot be distributed before the other.
create temp table foreign_keys as
  select conrelid::regclass::text as table_name, conname, pg_get_constraintdef(oid) as definition
  from pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace and conparentid = 0;
select format('alter table %s drop constraint %I', table_name, conname) from foreign_keys \gexec

-- Workers run it in the statements that they get.
select create_distributed_function('xconnect_now()');

select create_distributed_table('users', 'id', colocate_with => 'none');
select create_distributed_table('sessions', 'user_id', colocate_with => 'users');
select create_distributed_table('api_tokens', 'user_id', colocate_with => 'users');
select create_distributed_table('connect_attempts', 'user_id', colocate_with => 'users');
select create_distributed_table('connected_accounts', 'user_id', colocate_with => 'users');
select create_distributed_table('oauth_tokens', 'user_id', colocate_with => 'users');
select create_distributed_table('orphaned_tokens', 'user_id', colocate_with => 'users');
select create_distributed_table('grant_revocations', 'user_id', colocate_with => 'users');
select create_distributed_table('restored_timelines', 'user_id', colocate_with => 'users');
select create_distributed_table('x_blocks', 'user_id', colocate_with => 'users');
select create_distributed_table('tweets', 'user_id', colocate_with => 'users');
select create_distributed_table('idempotency_keys', 'user_id', colocate_with => 'users');
select create_distributed_table('event_positions', 'user_id', colocate_with => 'users');
select create_distributed_table('events', 'user_id', colocate_with => 'users');
select create_distributed_table('event_horizons', 'user_id', colocate_with => 'users');
select create_distributed_table('hidden_copies', 'user_id', colocate_with => 'users');
select create_distributed_table('webhook_endpoints', 'user_id', colocate_with => 'users');
select create_distributed_table('webhook_deliveries', 'user_id', colocate_with => 'users');
select create_distributed_table('webhook_turns', 'user_id', colocate_with => 'users');
select create_distributed_table('invites', 'user_id', colocate_with => 'users');

select create_distributed_table('user_identities', 'github_id', colocate_with => 'none');
select create_distributed_table('user_logins', 'login', colocate_with => 'none');
select create_distributed_table('user_deletions', 'id', colocate_with => 'none');
select create_distributed_table('account_holders', 'provider_account_id', colocate_with => 'none');
select create_distributed_table('refused_connections', 'provider_account_id', colocate_with => 'none');
select create_distributed_table('sign_in_attempts', 'state_hash', colocate_with => 'none');
select create_distributed_table('secret_owners', 'secret_hash', colocate_with => 'none');
select create_distributed_table('rate_limits', 'subject', colocate_with => 'none');

select format('alter table %s add constraint %I %s', table_name, conname, definition) from foreign_keys order by table_name \gexec
select table_name, citus_table_type, distribution_column, colocation_id from citus_tables order by colocation_id, table_name;
