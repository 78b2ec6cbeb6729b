-- 0 says that a user has never had a webhook endpoint, and no deliveries are looked for. The endpoints of
-- earlier releases were not counted.
INSERT INTO "event_positions" ("user_id", "position", "endpoints_version")
SELECT DISTINCT "user_id", 0, 1 FROM "webhook_endpoints"
ON CONFLICT ("user_id") DO UPDATE SET "endpoints_version" = "event_positions"."endpoints_version" + 1;
