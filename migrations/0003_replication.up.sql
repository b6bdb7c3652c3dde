-- Notifications that cannot fail a commit, and tables that logical replication
-- can copy. What takes locks stands last, so that they are held shortly.

-- In SQL and without settings of its own, so that it is inlined: the look costs
-- less than a microsecond.
CREATE FUNCTION notify(channel text) RETURNS void
LANGUAGE sql
RETURN CASE WHEN pg_notification_queue_usage() <= 0.5 THEN pg_notify(channel, '') END;

COMMENT ON FUNCTION notify(text) IS
    'Notifies a channel, unless the server''s queue of notifications is over half full: a full one fails the commits of all who notify. Workers then find out by looking.';

-- Anybody may NOTIFY. Producers do it in a transaction behind their own.
GRANT EXECUTE ON FUNCTION notify(text) TO PUBLIC;

CREATE OR REPLACE FUNCTION insert_jobs(ids bigint[], kinds text[], args jsonb[], queues text[], priorities int[],
    scheduled_ats timestamptz[], max_attempts int[], unique_keys text[], metadata jsonb[]) RETURNS bigint[]
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    inserted bigint[];
BEGIN
    WITH input AS (
        SELECT u.id, u.kind, coalesce(u.args, '{}') AS args, coalesce(u.queue, 'default') AS queue,
               coalesce(u.priority, 1) AS priority, coalesce(u.scheduled_at, now()) AS scheduled_at,
               coalesce(u.max_attempts, 25) AS max_attempts, u.unique_key, coalesce(u.metadata, '{}') AS metadata
        FROM unnest(ids, kinds, args, queues, priorities, scheduled_ats, max_attempts, unique_keys, metadata)
            AS u (id, kind, args, queue, priority, scheduled_at, max_attempts, unique_key, metadata)
    ), new AS (
        INSERT INTO open_jobs (id, queue, kind, args, waiting_state, priority, scheduled_at, max_attempts, unique_key, metadata)
        OVERRIDING SYSTEM VALUE
        SELECT i.id, i.queue, i.kind, i.args, CASE WHEN i.scheduled_at <= now() THEN 'available' ELSE 'scheduled' END,
               i.priority, i.scheduled_at, i.max_attempts, i.unique_key, i.metadata
        FROM input i
        -- Callers that enqueue the same keys take them in one order, so that they do not deadlock.
        ORDER BY i.unique_key, CASE WHEN i.unique_key IS NOT NULL THEN i.kind END, i.id
        ON CONFLICT (kind, unique_key) WHERE unique_key IS NOT NULL DO NOTHING
        RETURNING id, queue, kind, priority, scheduled_at, waiting_state
    ), due AS (
        INSERT INTO ready (queue, kind, priority, run_at, job_id, job_ids, requeues)
        SELECT n.queue, n.kind, n.priority, n.scheduled_at, min(n.id), array_agg(n.id ORDER BY n.id), 0 FROM new n WHERE n.waiting_state = 'available'
        GROUP BY n.queue, n.kind, n.priority, n.scheduled_at, n.id / 32
    ), not_yet AS (
        INSERT INTO later (run_at, job_id, queue, kind, state, priority, requeues)
        SELECT n.scheduled_at, n.id, n.queue, n.kind, n.waiting_state, n.priority, 0 FROM new n WHERE n.waiting_state = 'scheduled'
    )
    SELECT coalesce(array_agg(n.id), '{}') INTO inserted FROM new n;
    RETURN inserted;
END $$;

CREATE OR REPLACE FUNCTION enqueue_many(kinds text[], args jsonb[] DEFAULT NULL, queues text[] DEFAULT NULL, priorities int[] DEFAULT NULL,
    scheduled_ats timestamptz[] DEFAULT NULL, max_attempts int[] DEFAULT NULL, unique_keys text[] DEFAULT NULL,
    metadata jsonb[] DEFAULT NULL, first int DEFAULT 1, wake boolean DEFAULT true) RETURNS bigint[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    wanted int := coalesce(cardinality(kinds), 0);
    ids bigint[];
    inserted bigint[];
    existing bigint;
    problem text;
    job record;
BEGIN
    IF wanted = 0 THEN
        RETURN '{}';
    END IF;
    IF greatest(cardinality(args), cardinality(queues), cardinality(priorities), cardinality(scheduled_ats),
                cardinality(max_attempts), cardinality(unique_keys), cardinality(metadata)) > wanted THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('enqueue_many: an array is longer than kinds, which has %s elements', wanted);
    END IF;
    SELECT array_agg(c.id),
           (array_agg(CASE WHEN wanted > 1 OR first > 1 THEN format('job %s: %s', first - 1 + c.nth, c.problem) ELSE c.problem END)
               FILTER (WHERE c.problem IS NOT NULL))[1]
    INTO ids, problem
    FROM (
        SELECT nextval('open_jobs_id_seq') AS id, u.nth,
               job_problem(u.kind, u.args, u.queue, u.priority, u.scheduled_at, u.max_attempts, u.unique_key, u.metadata) AS problem
        FROM unnest(kinds, args, queues, priorities, scheduled_ats, max_attempts, unique_keys, metadata)
            WITH ORDINALITY AS u (kind, args, queue, priority, scheduled_at, max_attempts, unique_key, metadata, nth)
    ) c;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'enqueue: ' || problem;
    END IF;
    inserted := insert_jobs(ids, kinds, args, queues, priorities, scheduled_ats, max_attempts, unique_keys, metadata);
    IF cardinality(inserted) < wanted THEN
        FOR job IN
            SELECT u.* FROM unnest(ids, kinds, args, queues, priorities, scheduled_ats, max_attempts, unique_keys, metadata)
                WITH ORDINALITY AS u (id, kind, args, queue, priority, scheduled_at, max_attempts, unique_key, metadata, nth)
            WHERE u.id NOT IN (SELECT i.id FROM unnest(inserted) AS i (id)) ORDER BY u.nth
        LOOP
            LOOP
                SELECT o.id INTO existing FROM open_jobs o WHERE o.kind = job.kind AND o.unique_key = job.unique_key;
                IF FOUND THEN
                    ids[job.nth] := existing;
                    EXIT;
                END IF;
                -- The job that held the key has finished since: try again.
                EXIT WHEN cardinality(insert_jobs(ARRAY[job.id], ARRAY[job.kind], ARRAY[job.args], ARRAY[job.queue], ARRAY[job.priority],
                    ARRAY[job.scheduled_at], ARRAY[job.max_attempts], ARRAY[job.unique_key], ARRAY[job.metadata])) = 1;
            END LOOP;
        END LOOP;
    END IF;
    -- ALL is null, and not true, where the array or an element is null: such a job is due.
    IF wake AND (cardinality(scheduled_ats) < wanted OR (now() < ALL (scheduled_ats)) IS NOT TRUE) THEN
        PERFORM notify(wake_channel());
    END IF;
    RETURN ids;
END $$;

CREATE OR REPLACE FUNCTION cancel(id bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    wanted CONSTANT bigint := cancel.id;
    job open_jobs;
    final text;
    others bigint[]; -- what shares a row of ready with the job
BEGIN
    FOR look IN 1..10 LOOP -- the job may be retried between the two halves of a look, and again
        -- The lock keeps the job from being recorded or requeued meanwhile.
        SELECT * INTO job FROM open_jobs o WHERE o.id = wanted FOR UPDATE;
        EXIT WHEN FOUND;
        SELECT f.state INTO final FROM finished_jobs f WHERE f.id = wanted;
        IF FOUND THEN
            RETURN final;
        END IF;
    END LOOP;
    IF job.id IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'no_data_found', MESSAGE = format('cancel: there is no job %s', wanted);
    END IF;
    FOR look IN 1..100 LOOP
        DELETE FROM ready r
        WHERE (r.queue, r.kind, r.priority, r.run_at) = (job.queue, job.kind, job.priority, job.scheduled_at)
            AND r.job_id BETWEEN wanted - wanted % 32 AND wanted AND wanted = ANY (r.job_ids)
        RETURNING array_remove(r.job_ids, wanted) INTO others;
        IF FOUND THEN
            INSERT INTO ready (queue, kind, priority, run_at, job_id, job_ids, requeues)
            SELECT job.queue, job.kind, job.priority, job.scheduled_at, others[1], others, job.requeues WHERE others <> '{}';
            EXIT;
        END IF;
        DELETE FROM later l WHERE l.run_at = job.scheduled_at AND l.job_id = wanted;
        EXIT WHEN FOUND;
        IF EXISTS (SELECT FROM running_jobs r WHERE r.id = wanted AND r.requeues = job.requeues) THEN
            UPDATE open_jobs o SET cancel_requested = true WHERE o.id = wanted;
            PERFORM notify(cancel_channel());
            RETURN 'running';
        END IF;
        -- Between later and ready, or between ready and a claim: look again.
    END LOOP;
    DELETE FROM open_jobs o WHERE o.id = wanted;
    INSERT INTO finished_jobs (slice, id, queue, kind, args, state, priority, scheduled_at, attempt, max_attempts, losses, requeues,
        unique_key, metadata, created_at, attempted_at, past_attempts, last_error)
    VALUES (open_slice(), job.id, job.queue, job.kind, job.args, 'cancelled', job.priority, job.scheduled_at, job.attempt, job.max_attempts,
        job.losses, job.requeues, job.unique_key, job.metadata, job.created_at, job.attempted_at, job.past_attempts, job.last_error);
    INSERT INTO finished_counts VALUES (open_slice(), job.queue, job.kind, 'cancelled', 1);
    RETURN 'cancelled';
END $$;

CREATE OR REPLACE FUNCTION hasten(job open_jobs) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM later l WHERE l.run_at = job.scheduled_at AND l.job_id = job.id;
    IF FOUND THEN
        UPDATE open_jobs o SET scheduled_at = now(), waiting_state = 'available', requeues = o.requeues + 1 WHERE o.id = job.id;
        INSERT INTO ready (queue, kind, priority, run_at, job_id, job_ids, requeues)
        VALUES (job.queue, job.kind, job.priority, now(), job.id, ARRAY[job.id], job.requeues + 1);
    ELSIF EXISTS (SELECT FROM running_jobs r WHERE r.id = job.id AND r.requeues = job.requeues) THEN
        RAISE EXCEPTION USING ERRCODE = 'object_in_use',
            MESSAGE = format('retry: job %s is running: wait until it ends, or cancel it first', job.id);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION reopen(done finished_jobs) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    holder bigint;
BEGIN
    INSERT INTO finished_counts VALUES (done.slice, done.queue, done.kind, done.state, -1);
    INSERT INTO open_jobs (id, queue, kind, args, waiting_state, priority, scheduled_at, attempt, max_attempts, requeues,
        unique_key, metadata, created_at, attempted_at, past_attempts, last_error)
    OVERRIDING SYSTEM VALUE
    VALUES (done.id, done.queue, done.kind, done.args, 'available', done.priority, now(), done.attempt,
        greatest(done.max_attempts, done.attempt + 1), done.requeues + 1,
        done.unique_key, done.metadata, done.created_at, done.attempted_at, attempts_of(done), done.last_error);
    INSERT INTO ready (queue, kind, priority, run_at, job_id, job_ids, requeues)
    VALUES (done.queue, done.kind, done.priority, now(), done.id, ARRAY[done.id], done.requeues + 1);
EXCEPTION WHEN unique_violation THEN
    SELECT o.id INTO holder FROM open_jobs o WHERE o.kind = done.kind AND o.unique_key = done.unique_key;
    RAISE EXCEPTION USING ERRCODE = 'unique_violation',
        MESSAGE = format('retry: the unique key of job %s is taken by %s, which is unfinished', done.id, coalesce('job ' || holder, 'another job'));
END $$;

CREATE OR REPLACE FUNCTION prune(retention interval) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '100ms' AS $$
DECLARE
    old smallint;
    emptied int := 0;
    current slices;
    next smallint;
BEGIN
    SELECT * INTO current FROM slices s WHERE s.opened_at IS NOT NULL AND s.closed_at IS NULL FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0; -- another worker is at it
    END IF;
    -- Where the server's clock was set back, times lie ahead: they count as now.
    UPDATE slices s SET opened_at = now() WHERE s.opened_at > now() + interval '1 minute';
    UPDATE slices s SET closed_at = now() WHERE s.closed_at > now() + interval '1 minute';
    UPDATE workers w SET ended_at = now() WHERE w.ended_at > now() + interval '1 minute';
    FOR old IN SELECT s.slice FROM slices s WHERE s.closed_at < now() - retention ORDER BY s.closed_at LOOP
        BEGIN
            EXECUTE format('TRUNCATE finished_jobs_%s', old);
            DELETE FROM finished_counts c WHERE c.slice = old;
            UPDATE slices s SET opened_at = NULL, closed_at = NULL WHERE s.slice = old;
            emptied := emptied + 1;
        EXCEPTION WHEN lock_not_available THEN
            NULL; -- somebody reads it: the next round empties it
        END;
    END LOOP;
    IF current.opened_at < now() - retention / 6 THEN
        SELECT s.slice INTO next FROM slices s WHERE s.opened_at IS NULL ORDER BY (s.slice - current.slice + 8) % 8 LIMIT 1;
        IF FOUND THEN
            UPDATE slices s SET closed_at = now() WHERE s.slice = current.slice;
            UPDATE slices s SET opened_at = now() WHERE s.slice = next;
        END IF;
    END IF;
    DELETE FROM workers w WHERE w.ended_at < now() - retention AND NOT EXISTS (SELECT FROM claims c WHERE c.worker_id = w.id);
    IF (SELECT count(*) > 1000 + 2 * count(DISTINCT (c.slice, c.queue, c.kind, c.state)) FROM finished_counts c) THEN
        WITH gone AS (DELETE FROM finished_counts RETURNING *)
        INSERT INTO finished_counts SELECT slice, queue, kind, state, sum(jobs) FROM gone GROUP BY slice, queue, kind, state;
    END IF;
    RETURN emptied;
END $$;

-- Logical replication sends no generated columns, and a subscriber finds the row
-- that it deletes by its primary key. So job_id is an ordinary column from here
-- on. Programs from before do not write it: a trigger does it for them, and
-- does not run where it is written.
CREATE FUNCTION write_job_id() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    NEW.job_id := NEW.job_ids[1];
    RETURN NEW;
END $$;

COMMENT ON FUNCTION write_job_id() IS 'Writes job_id of ready for statements that do not.';

-- Takes the locks that the rest needs, all or none. Statements of workers take
-- them in either order: who waited for the second ones while it holds the
-- first would be in a deadlock with them. So it waits for the first alone, which also
-- sends an autovacuum away, and begins again with the others where the second are not free.
DO $$
DECLARE
    tables CONSTANT text[] := ARRAY['finished_jobs, finished_counts', 'ready'];
    patience CONSTANT text := current_setting('lock_timeout');
    waited boolean;
BEGIN
    FOR try IN 0..39 LOOP
        waited := true;
        BEGIN
            PERFORM set_config('lock_timeout', patience, true);
            EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', tables[2 - try % 2]);
            waited := false;
            SET LOCAL lock_timeout = '50ms'; -- less than deadlock_timeout
            EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', tables[1 + try % 2]);
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            IF waited OR try = 39 THEN
                RAISE;
            END IF;
        END;
        PERFORM pg_sleep(0.2);
    END LOOP;
END $$;

ALTER TABLE ready ALTER COLUMN job_id DROP EXPRESSION;

CREATE TRIGGER write_job_id BEFORE INSERT OR UPDATE ON ready
FOR EACH ROW WHEN (NEW.job_id IS DISTINCT FROM NEW.job_ids[1]) EXECUTE FUNCTION write_job_id();

COMMENT ON TRIGGER write_job_id ON ready IS 'For the program before migration 3, which took job_id for a generated column.';

-- Rows of these are deleted, by retry() and prune(), and have no key. A server
-- that replicates nothing writes no more for it.
ALTER TABLE finished_jobs REPLICA IDENTITY FULL;
ALTER TABLE finished_jobs_0 REPLICA IDENTITY FULL;
ALTER TABLE finished_jobs_1 REPLICA IDENTITY FULL;
ALTER TABLE finished_jobs_2 REPLICA IDENTITY FULL;
ALTER TABLE finished_jobs_3 REPLICA IDENTITY FULL;
ALTER TABLE finished_jobs_4 REPLICA IDENTITY FULL;
ALTER TABLE finished_jobs_5 REPLICA IDENTITY FULL;
ALTER TABLE finished_jobs_6 REPLICA IDENTITY FULL;
ALTER TABLE finished_jobs_7 REPLICA IDENTITY FULL;
ALTER TABLE finished_counts REPLICA IDENTITY FULL;
