-- A budget that is lost in a crash is a full one. Logged, each request would wait for the disk: 2.1 ms in place of 0.24.
ALTER TABLE "rate_limits" SET UNLOGGED;
