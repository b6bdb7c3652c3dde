-- Production and previews in one database, for trying things out, in place of
-- preview-database.sql. A preview's login may then create in production's database,
-- and with that install extensions, in production's schema too, and drop those that it
-- has installed with every column that uses them; docs/psql.md names all the limits.
-- Run this once, in that database and after logins.sql; as a superuser, or as the
-- owner of the database:
--
--     psql --set=ON_ERROR_STOP=1 --single-transaction --file=one-database.sql shop

DO $$ BEGIN
    -- CREATE, to make schemas.
    EXECUTE format('GRANT CONNECT, CREATE ON DATABASE %I TO understudy_preview', current_database());
    -- A preview could make a schema named like any other login, where that one would
    -- look first for a name without a schema.
    EXECUTE format('ALTER DATABASE %I SET search_path = public', current_database());
END $$;
