-- The logins of production and of previews, and production's database closed to
-- all that have no business there: previews have a database of their own, which
-- preview-database.sql makes. Run this once, in production's database, before the
-- first migration; as a superuser, or as the owner of the database with CREATEROLE:
--
--     psql --set=ON_ERROR_STOP=1 --single-transaction --file=logins.sql shop
--
-- A login that connects to that database and is neither its owner nor a superuser
-- has to be granted CONNECT from here on: see to those that there are before.
--
-- Then give each login a password, \password understudy_owner, and let the
-- owner migrate. docs/psql.md says more.

CREATE ROLE understudy_owner LOGIN;      -- owns production's schema, and migrates it
CREATE ROLE understudy_production LOGIN; -- works production's jobs
CREATE ROLE understudy_preview LOGIN;    -- works previews' jobs, in a database of its own

-- Who is no superuser acts below for a login that it belongs to only.
GRANT understudy_owner TO CURRENT_USER;

-- Who connects. The owner may CREATE: so its migrations may install those
-- extensions that a preview's may, which owns its database.
DO $$ BEGIN
    EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT, CREATE ON DATABASE %I TO understudy_owner', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO understudy_production', current_database());
    -- Who does not own the database is only warned that nothing was revoked.
    IF has_database_privilege('understudy_preview', current_database(), 'CONNECT') THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('everybody may still connect to database "%s"', current_database()),
            HINT = 'Let the owner of the database, or a superuser, run this file.';
    END IF;
END $$;

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

-- A name without a schema is looked for in public alone, and not first in a
-- schema named like the login, which somebody else might make.
ALTER ROLE understudy_owner SET search_path = public;
ALTER ROLE understudy_production SET search_path = public;

-- Nor does anybody leave things in public for others to find. Databases made
-- by Postgres 15 or later are like this from the start.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
