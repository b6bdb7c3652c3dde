-- The login that KEDA counts jobs with. It may read production, and nothing else:
-- what the owner's migrations make there is readable for it from the start.
CREATE ROLE understudy_scaler LOGIN;
DO $$ BEGIN
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO understudy_scaler', current_database());
END $$;
GRANT USAGE ON SCHEMA production TO understudy_scaler;
ALTER DEFAULT PRIVILEGES FOR ROLE understudy_owner IN SCHEMA production
    GRANT SELECT ON TABLES TO understudy_scaler;
ALTER ROLE understudy_scaler SET default_transaction_read_only = on;
ALTER ROLE understudy_scaler SET search_path = public;
