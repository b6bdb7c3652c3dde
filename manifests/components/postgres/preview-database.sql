-- The database of previews, which their login owns: each revision makes a schema
-- in it, and extensions as it needs them. It takes nothing of production's along.
-- Run this once, in any other database of the server that previews work on: on
-- production's, after logins.sql; on one of their own it makes the login too. As a
-- superuser, or as a login with CREATEROLE and CREATEDB; and not in a transaction,
-- which CREATE DATABASE does not stand in:
--
--     psql --set=ON_ERROR_STOP=1 --file=preview-database.sql postgres
--
-- Nobody who has rights elsewhere should look around in it: what it calls, a preview
-- has made. Connect as understudy_preview.

DO $$ BEGIN
    IF to_regrole('understudy_preview') IS NULL THEN
        CREATE ROLE understudy_preview LOGIN;
    END IF;
END $$;

-- Who is no superuser gives a database to a login that it belongs to only.
GRANT understudy_preview TO CURRENT_USER;

CREATE DATABASE understudy_preview OWNER understudy_preview;

REVOKE ALL ON DATABASE understudy_preview FROM PUBLIC;
