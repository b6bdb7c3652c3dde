-- A job that is completed stays so: what kept its result from being stored is a
-- warning, and it runs again only by a call that says so.

-- Takes the locks that the change of the table and of the view needs, both or none.
-- Whoever reads the view locks it before the table, and who completes a job and
-- then looks, the other way round: so it waits for one of them alone, and begins
-- again with the other where the second is not free. What is done to the view
-- changes nothing: it locks the view without what stands behind.
DO $$
DECLARE
    locks CONSTANT text[] := ARRAY['ALTER VIEW jobs ALTER COLUMN id DROP DEFAULT', 'LOCK TABLE finished_jobs IN ACCESS EXCLUSIVE MODE'];
    patience CONSTANT text := current_setting('lock_timeout');
    waited boolean;
BEGIN
    FOR try IN 0..39 LOOP
        waited := true;
        BEGIN
            PERFORM set_config('lock_timeout', patience, true);
            EXECUTE locks[1 + try % 2];
            waited := false;
            SET LOCAL lock_timeout = '50ms'; -- less than deadlock_timeout
            EXECUTE locks[2 - try % 2];
            PERFORM set_config('lock_timeout', patience, true);
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            IF waited OR try = 39 THEN
                RAISE;
            END IF;
        END;
        PERFORM pg_sleep(0.2);
    END LOOP;
END $$;

ALTER TABLE finished_jobs ADD COLUMN warning text;

COMMENT ON COLUMN finished_jobs.warning IS 'Why a completed job has no result though its handler set one.';

CREATE OR REPLACE VIEW jobs AS
SELECT j.id, j.queue, j.kind, j.args,
       CASE WHEN r.worker_id IS NOT NULL THEN 'running'
            WHEN j.scheduled_at > now() THEN j.waiting_state
            ELSE 'available' END AS state,
       j.priority, j.scheduled_at,
       j.attempt + CASE WHEN r.worker_id IS NULL THEN 0 ELSE 1 END AS attempt,
       j.max_attempts, j.losses, j.unique_key, j.metadata, j.created_at,
       coalesce(r.claimed_at, j.attempted_at) AS attempted_at,
       NULL::timestamptz AS finalized_at,
       r.worker_id, r.worker_version, r.worker_role,
       coalesce(j.past_attempts, '[]') AS attempts,
       NULL::jsonb AS result, j.last_error, j.cancel_requested, NULL::text AS warning
FROM open_jobs j
LEFT JOIN running_jobs r ON r.id = j.id AND r.requeues = j.requeues
UNION ALL
SELECT f.id, f.queue, f.kind, f.args, f.state, f.priority, f.scheduled_at, f.attempt,
       f.max_attempts, f.losses, f.unique_key, f.metadata, f.created_at, f.attempted_at, f.finalized_at,
       f.worker_id, f.worker_version, f.worker_role,
       attempts_of(f),
       f.result, f.last_error, false, f.warning
FROM finished_jobs f;

COMMENT ON COLUMN jobs.warning IS 'Why a completed job has no result though its handler set one.';

CREATE FUNCTION retry_job(id bigint, completed_too boolean) RETURNS text
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    wanted CONSTANT bigint := retry_job.id;
    job open_jobs;
    done finished_jobs;
BEGIN
    FOR look IN 1..10 LOOP -- another may retry the job between the two halves of a look, and again
        SELECT * INTO job FROM open_jobs o WHERE o.id = wanted FOR UPDATE;
        IF FOUND THEN
            PERFORM hasten(job);
            EXIT;
        END IF;
        -- One alone, where an id was given twice.
        DELETE FROM finished_jobs f
        WHERE (f.tableoid, f.ctid) = (SELECT o.tableoid, o.ctid FROM finished_jobs o WHERE o.id = wanted ORDER BY o.finalized_at DESC LIMIT 1)
            AND (completed_too OR f.state <> 'completed')
        RETURNING * INTO done;
        IF FOUND THEN
            PERFORM reopen(done);
            EXIT;
        END IF;
        IF NOT completed_too AND (SELECT f.state FROM finished_jobs f WHERE f.id = wanted ORDER BY f.finalized_at DESC LIMIT 1) = 'completed' THEN
            RAISE EXCEPTION USING ERRCODE = 'object_in_use',
                MESSAGE = format('retry: job %s is completed: what it did would be done again. retry_completed() does that', wanted),
                HINT = format('If that is what you want: SELECT %I.retry_completed(%s)', current_schema(), wanted);
        END IF;
    END LOOP;
    IF job.id IS NULL AND done.id IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'no_data_found', MESSAGE = format('retry: there is no job %s', wanted);
    END IF;
    PERFORM notify(wake_channel());
    RETURN 'available';
END $$;

COMMENT ON FUNCTION retry_job(bigint, boolean) IS 'What retry() and retry_completed() do.';

CREATE OR REPLACE FUNCTION retry(id bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    RETURN retry_job(retry.id, false);
END $$;

COMMENT ON FUNCTION retry(bigint) IS
    'Makes a job that is neither running nor completed due now and returns its new state. A job without attempts left gets one more.';

CREATE FUNCTION retry_completed(id bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    RETURN retry_job(retry_completed.id, true);
END $$;

COMMENT ON FUNCTION retry_completed(bigint) IS
    'Does what retry() does, to a completed job too: what that did is done again.';

REVOKE ALL ON FUNCTION retry_job(bigint, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION retry_completed(bigint) FROM PUBLIC;

-- Whose retry() is, theirs are these. Who was granted it could run completed
-- jobs again, and still may.
DO $$
DECLARE
    owner regrole := (SELECT p.proowner FROM pg_proc p WHERE p.oid = 'retry(bigint)'::regprocedure);
    allowed record;
BEGIN
    IF owner <> current_user::regrole THEN
        EXECUTE format('ALTER FUNCTION retry_job(bigint, boolean) OWNER TO %s', owner);
        EXECUTE format('ALTER FUNCTION retry_completed(bigint) OWNER TO %s', owner);
    END IF;
    FOR allowed IN
        SELECT acl.grantee::regrole AS login, CASE WHEN acl.is_grantable THEN 'WITH GRANT OPTION' END AS further
        FROM pg_proc p, aclexplode(p.proacl) acl
        WHERE p.oid = 'retry(bigint)'::regprocedure AND acl.privilege_type = 'EXECUTE' AND acl.grantee NOT IN (0, p.proowner)
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION retry_completed(bigint) TO %s %s', allowed.login, allowed.further);
    END LOOP;
END $$;
