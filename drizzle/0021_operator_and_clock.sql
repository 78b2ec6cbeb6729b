-- The time of statements, the same wherever a statement names it. STABLE, so that a time bound can use an index, and so that it is allowed
-- wherever a volatile function is not.
CREATE FUNCTION "xconnect_now"() RETURNS timestamp with time zone LANGUAGE sql STABLE AS $$ SELECT statement_timestamp() $$;--> statement-breakpoint
-- The operator, to whom belongs what belongs to no person. The login is nobody's: a person may have this one at GitHub.
INSERT INTO "users" ("id", "github_id", "login", "login_lost_at", "link_visibility", "created_at") VALUES ('00000000-0000-0000-0000-000000000000', 0, 'operator', now(), 'NOBODY', now());
