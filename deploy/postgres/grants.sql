-- Gives each role of roles.sql its rights on the registry's own tables, views and functions, and on
-- nothing else in their schema; what a role has there beyond those is taken back. Which rights these
-- are: migrations/functions/rights.sql.
--
-- `beamline-registry migrate` does the same by itself in a database that roles.sql has handed to
-- beamline_owner. So this is for a database that was migrated before roles.sql was run, and for
-- rights that were changed by hand. Run in psql as beamline_owner, as the role that ran roles.sql,
-- or as a superuser:
--
--   psql -d beamline -U beamline_owner -f deploy/postgres/grants.sql
--
-- All or nothing: psql stops at the first error, and exits 3.

\set ON_ERROR_STOP on

BEGIN;
SELECT registry_grant();
COMMIT;
