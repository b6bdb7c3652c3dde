-- Functions that any language calls inside its own transaction. They run with
-- their owner's rights and their own search_path, so that a producer needs
-- nothing but EXECUTE and no caller's settings decide what they touch.
-- What every enqueue calls is plpgsql, whose plans last as long as the session:
-- a function in SQL that is not inlined is planned anew by each statement.

CREATE FUNCTION wake_channel() RETURNS text
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
BEGIN
    RETURN 'understudy_' || md5(current_schema());
END $$;

COMMENT ON FUNCTION wake_channel() IS 'Channel that is notified when a job is due. A hint without a payload.';

CREATE FUNCTION cancel_channel() RETURNS text
LANGUAGE sql STABLE SET search_path FROM CURRENT
RETURN 'understudy_cancel_' || md5(current_schema());

COMMENT ON FUNCTION cancel_channel() IS 'Channel that is notified when a running job is to be cancelled. A hint without a payload.';

CREATE FUNCTION json_problem(name text, value jsonb) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE
        WHEN pg_column_size(value) <= 64 THEN NULL -- too little for its text to be long, whatever numbers are in it
        WHEN octet_length(value::text) > 1048576 THEN format('%s has %s bytes, the limit is 1048576', name, octet_length(value::text))
        WHEN octet_length(value::text) > 2000
            AND jsonb_path_exists(value, 'strict $.**{1000} ? (@.type() == "object" || @.type() == "array")')
            THEN format('%s is nested too deep, the limit is 1000 levels', name)
    END;
END;

COMMENT ON FUNCTION json_problem(text, jsonb) IS 'What is wrong with JSON that is to be kept with a job; null where nothing is.';

CREATE FUNCTION job_problem(kind text, args jsonb, queue text, priority int, scheduled_at timestamptz,
    max_attempts int, unique_key text, metadata jsonb) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE
        WHEN kind IS NULL OR kind = '' THEN 'kind is empty: name the handler that is to work the job'
        WHEN octet_length(kind) > 128 THEN format('kind has %s bytes, the limit is 128', octet_length(kind))
        WHEN queue = '' THEN 'queue is empty: leave it out for "default"'
        WHEN octet_length(queue) > 128 THEN format('queue has %s bytes, the limit is 128', octet_length(queue))
        WHEN unique_key = '' THEN 'unique_key is empty: leave it out for a job that is not unique'
        WHEN octet_length(unique_key) > 512 THEN format('unique_key has %s bytes, the limit is 512', octet_length(unique_key))
        WHEN priority NOT BETWEEN 1 AND 4 THEN format('priority is %s: it goes from 1, claimed first, to 4', priority)
        WHEN max_attempts NOT BETWEEN 1 AND 32767 THEN format('max_attempts is %s: it goes from 1 to 32767', max_attempts)
        WHEN NOT isfinite(scheduled_at) OR scheduled_at < '0001-01-01 00:00:00+00'::timestamptz OR scheduled_at >= '10000-01-01 00:00:00+00'::timestamptz
            THEN format('scheduled_at is %s: use a time from year 1 to year 9999', scheduled_at)
        ELSE coalesce(json_problem('args', args), json_problem('metadata', metadata))
    END;
END;

COMMENT ON FUNCTION job_problem(text, jsonb, text, int, timestamptz, int, text, jsonb) IS 'What is wrong with a job that is to be enqueued; null where nothing is.';

CREATE FUNCTION insert_jobs(ids bigint[], kinds text[], args jsonb[], queues text[], priorities int[],
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
        INSERT INTO ready (queue, kind, priority, run_at, job_ids, requeues)
        SELECT n.queue, n.kind, n.priority, n.scheduled_at, array_agg(n.id ORDER BY n.id), 0 FROM new n WHERE n.waiting_state = 'available'
        GROUP BY n.queue, n.kind, n.priority, n.scheduled_at, n.id / 32
    ), not_yet AS (
        INSERT INTO later (run_at, job_id, queue, kind, state, priority, requeues)
        SELECT n.scheduled_at, n.id, n.queue, n.kind, n.waiting_state, n.priority, 0 FROM new n WHERE n.waiting_state = 'scheduled'
    )
    SELECT coalesce(array_agg(n.id), '{}') INTO inserted FROM new n;
    RETURN inserted;
END $$;

COMMENT ON FUNCTION insert_jobs(bigint[], text[], jsonb[], text[], int[], timestamptz[], int[], text[], jsonb[]) IS 'Inserts jobs under the given ids and returns the ids of those whose unique key was free.';

CREATE FUNCTION enqueue_many(kinds text[], args jsonb[] DEFAULT NULL, queues text[] DEFAULT NULL, priorities int[] DEFAULT NULL,
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
        PERFORM pg_notify(wake_channel(), '');
    END IF;
    RETURN ids;
END $$;

COMMENT ON FUNCTION enqueue_many(text[], jsonb[], text[], int[], timestamptz[], int[], text[], jsonb[], int, boolean) IS
    'Enqueues a job per element of kinds and returns their ids in that order. A null element or array means the default, as in enqueue(). Where a unique key is taken, the id is that of the job that has it. Errors number the jobs from first. Without wake, no worker is told of them.';

CREATE FUNCTION enqueue(kind text, args jsonb DEFAULT '{}', queue text DEFAULT 'default', priority int DEFAULT 1,
    scheduled_at timestamptz DEFAULT now(), max_attempts int DEFAULT 25, unique_key text DEFAULT NULL,
    metadata jsonb DEFAULT '{}') RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    ids bigint[];
BEGIN
    ids := enqueue_many(ARRAY[kind], ARRAY[args], ARRAY[queue], ARRAY[priority], ARRAY[scheduled_at], ARRAY[max_attempts], ARRAY[unique_key], ARRAY[metadata]);
    RETURN ids[1];
END $$;

COMMENT ON FUNCTION enqueue(text, jsonb, text, int, timestamptz, int, text, jsonb) IS
    'Enqueues a job and returns its id, or the id of the unfinished job of that kind that has the unique key. A null means the default.';

CREATE FUNCTION open_slice() RETURNS smallint
LANGUAGE sql STABLE SET search_path FROM CURRENT
BEGIN ATOMIC
    SELECT s.slice FROM slices s WHERE s.opened_at IS NOT NULL AND s.closed_at IS NULL;
END;

COMMENT ON FUNCTION open_slice() IS 'Slice that finished jobs are written to now.';

CREATE FUNCTION cancel(id bigint) RETURNS text
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
            INSERT INTO ready (queue, kind, priority, run_at, job_ids, requeues)
            SELECT job.queue, job.kind, job.priority, job.scheduled_at, others, job.requeues WHERE others <> '{}';
            EXIT;
        END IF;
        DELETE FROM later l WHERE l.run_at = job.scheduled_at AND l.job_id = wanted;
        EXIT WHEN FOUND;
        IF EXISTS (SELECT FROM running_jobs r WHERE r.id = wanted AND r.requeues = job.requeues) THEN
            UPDATE open_jobs o SET cancel_requested = true WHERE o.id = wanted;
            PERFORM pg_notify(cancel_channel(), '');
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

COMMENT ON FUNCTION cancel(bigint) IS
    'Cancels a job and returns its state: a waiting job is cancelled at once, a running one when its handler returns, and a finished one is left as it is.';

CREATE FUNCTION hasten(job open_jobs) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM later l WHERE l.run_at = job.scheduled_at AND l.job_id = job.id;
    IF FOUND THEN
        UPDATE open_jobs o SET scheduled_at = now(), waiting_state = 'available', requeues = o.requeues + 1 WHERE o.id = job.id;
        INSERT INTO ready (queue, kind, priority, run_at, job_ids, requeues)
        VALUES (job.queue, job.kind, job.priority, now(), ARRAY[job.id], job.requeues + 1);
    ELSIF EXISTS (SELECT FROM running_jobs r WHERE r.id = job.id AND r.requeues = job.requeues) THEN
        RAISE EXCEPTION USING ERRCODE = 'object_in_use',
            MESSAGE = format('retry: job %s is running: wait until it ends, or cancel it first', job.id);
    END IF;
END $$;

COMMENT ON FUNCTION hasten(open_jobs) IS 'Makes an unfinished job due now, unless it runs.';

CREATE FUNCTION reopen(done finished_jobs) RETURNS void
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
    INSERT INTO ready (queue, kind, priority, run_at, job_ids, requeues)
    VALUES (done.queue, done.kind, done.priority, now(), ARRAY[done.id], done.requeues + 1);
EXCEPTION WHEN unique_violation THEN
    SELECT o.id INTO holder FROM open_jobs o WHERE o.kind = done.kind AND o.unique_key = done.unique_key;
    RAISE EXCEPTION USING ERRCODE = 'unique_violation',
        MESSAGE = format('retry: the unique key of job %s is taken by %s, which is unfinished', done.id, coalesce('job ' || holder, 'another job'));
END $$;

COMMENT ON FUNCTION reopen(finished_jobs) IS 'Makes a job that was finished due now. One without attempts left gets one more.';

CREATE FUNCTION retry(id bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    wanted CONSTANT bigint := retry.id;
    job open_jobs;
    done finished_jobs;
BEGIN
    FOR look IN 1..10 LOOP -- another may retry the job between the two halves of a look, and again
        SELECT * INTO job FROM open_jobs o WHERE o.id = wanted FOR UPDATE;
        IF FOUND THEN
            PERFORM hasten(job);
            EXIT;
        END IF;
        DELETE FROM finished_jobs f WHERE f.id = wanted RETURNING * INTO done;
        IF FOUND THEN
            PERFORM reopen(done);
            EXIT;
        END IF;
    END LOOP;
    IF job.id IS NULL AND done.id IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'no_data_found', MESSAGE = format('retry: there is no job %s', wanted);
    END IF;
    PERFORM pg_notify(wake_channel(), '');
    RETURN 'available';
END $$;

COMMENT ON FUNCTION retry(bigint) IS
    'Makes a job that is not running due now and returns its new state. A job without attempts left gets one more.';

CREATE FUNCTION prune(retention interval) RETURNS int
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

COMMENT ON FUNCTION prune(interval) IS
    'Drops finished jobs and ended workers older than the retention, a slice at a time, and returns how many slices it emptied. Workers call it.';

REVOKE ALL ON FUNCTION insert_jobs(bigint[], text[], jsonb[], text[], int[], timestamptz[], int[], text[], jsonb[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION enqueue_many(text[], jsonb[], text[], int[], timestamptz[], int[], text[], jsonb[], int, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION enqueue(text, jsonb, text, int, timestamptz, int, text, jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION cancel(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION hasten(open_jobs) FROM PUBLIC;
REVOKE ALL ON FUNCTION reopen(finished_jobs) FROM PUBLIC;
REVOKE ALL ON FUNCTION retry(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION prune(interval) FROM PUBLIC;
