-- The logins of an installation that was made when previews had no database of
-- their own.
CREATE ROLE understudy_owner LOGIN;      -- owns production's schema, and migrates it
CREATE ROLE understudy_production LOGIN; -- works production's jobs
CREATE ROLE understudy_preview LOGIN;    -- works a preview's jobs, in schemas that it makes itself

-- Who is no superuser acts below for a login that it belongs to only.
GRANT understudy_owner TO CURRENT_USER;

-- Production: one login makes what is in the schema, another works with it.
CREATE SCHEMA production AUTHORIZATION understudy_owner;
GRANT USAGE ON SCHEMA production TO understudy_production;
ALTER DEFAULT PRIVILEGES FOR ROLE understudy_owner IN SCHEMA production
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO understudy_production;
ALTER DEFAULT PRIVILEGES FOR ROLE understudy_owner IN SCHEMA production
    GRANT USAGE ON SEQUENCES TO understudy_production;
ALTER DEFAULT PRIVILEGES FOR ROLE understudy_owner IN SCHEMA production
    GRANT EXECUTE ON FUNCTIONS TO understudy_production;
-- A new function is everybody's to call, where nothing else is said.
ALTER DEFAULT PRIVILEGES FOR ROLE understudy_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- Previews: CREATE on the database, to make schemas, and nothing in production.
DO $$ BEGIN
    EXECUTE format('GRANT CREATE ON DATABASE %I TO understudy_preview', current_database());
END $$;

-- A preview could also make a schema named like one of the others, where that
-- one looks first for a name without a schema, if it is not told otherwise.
ALTER ROLE understudy_owner SET search_path = public;
ALTER ROLE understudy_production SET search_path = public;

-- Nor does anybody leave things in public for others to find. Databases made
-- by Postgres 15 or later are like this from the start.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
