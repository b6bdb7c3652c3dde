-- A job's life, table by table: enqueue writes open_jobs, and ready (due) or
-- later (not yet). A claim moves jobs from ready into one row of claims per
-- batch and leaves open_jobs alone. Finishing moves the job to finished_jobs.
-- So what is searched for work is narrow, a job's own row is written twice,
-- and nothing that is claimed from grows with what is finished. People read
-- the views jobs and job_counts.

CREATE TABLE open_jobs (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue            text COLLATE "C" NOT NULL,
    kind             text COLLATE "C" NOT NULL,
    args             jsonb NOT NULL,
    waiting_state    text COLLATE "C" NOT NULL,
    priority         smallint NOT NULL,
    scheduled_at     timestamptz NOT NULL,
    attempt          int NOT NULL DEFAULT 0,
    max_attempts     int NOT NULL,
    losses           int NOT NULL DEFAULT 0,
    requeues         int NOT NULL DEFAULT 0,
    cancel_requested boolean NOT NULL DEFAULT false,
    unique_key       text COLLATE "C",
    metadata         jsonb NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    attempted_at     timestamptz,
    past_attempts    jsonb,
    last_error       text
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);

CREATE UNIQUE INDEX open_jobs_unique_key ON open_jobs (kind, unique_key) WHERE unique_key IS NOT NULL;
CREATE INDEX open_jobs_cancel_requested ON open_jobs (id) WHERE cancel_requested;

COMMENT ON TABLE open_jobs IS 'Jobs that are not finished: waiting or running. Read the view jobs instead.';
COMMENT ON COLUMN open_jobs.id IS 'Number of the job, in the order of enqueueing.';
COMMENT ON COLUMN open_jobs.queue IS 'Queue that the job waits in.';
COMMENT ON COLUMN open_jobs.kind IS 'Kind of job: names its handler.';
COMMENT ON COLUMN open_jobs.args IS 'Arguments for the handler.';
COMMENT ON COLUMN open_jobs.waiting_state IS 'State while it waits for scheduled_at: available, scheduled (not due yet, or snoozed) or retryable (failed before).';
COMMENT ON COLUMN open_jobs.priority IS '1 to 4; 1 is claimed first.';
COMMENT ON COLUMN open_jobs.scheduled_at IS 'When the job is due, or was.';
COMMENT ON COLUMN open_jobs.attempt IS 'Attempts that have been charged; a running attempt is not in it yet.';
COMMENT ON COLUMN open_jobs.max_attempts IS 'Attempts after which a failing job is discarded.';
COMMENT ON COLUMN open_jobs.losses IS 'Workers that were lost while they ran the job.';
COMMENT ON COLUMN open_jobs.requeues IS 'How often the job went back to its queue; fences the claims before.';
COMMENT ON COLUMN open_jobs.cancel_requested IS 'Somebody asked to cancel the job while it ran.';
COMMENT ON COLUMN open_jobs.unique_key IS 'Unique per kind among unfinished jobs, where it is given.';
COMMENT ON COLUMN open_jobs.metadata IS 'Anything the enqueuer wants kept with the job.';
COMMENT ON COLUMN open_jobs.created_at IS 'When the job was enqueued.';
COMMENT ON COLUMN open_jobs.attempted_at IS 'When the last attempt that is over started.';
COMMENT ON COLUMN open_jobs.past_attempts IS 'Attempts that failed or were lost, oldest first, the last hundred.';
COMMENT ON COLUMN open_jobs.last_error IS 'Error of the last failed attempt.';

CREATE TABLE ready (
    queue    text COLLATE "C" NOT NULL,
    kind     text COLLATE "C" NOT NULL,
    priority smallint NOT NULL,
    run_at   timestamptz NOT NULL,
    job_ids  bigint[] NOT NULL,
    job_id   bigint GENERATED ALWAYS AS (job_ids[1]) STORED,
    requeues int NOT NULL,
    PRIMARY KEY (queue, kind, priority, run_at, job_id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);

COMMENT ON TABLE ready IS 'Jobs that are due and wait for a worker: what claims are made from. A row holds up to 32 that were enqueued together.';
COMMENT ON COLUMN ready.queue IS 'Queue of the jobs.';
COMMENT ON COLUMN ready.kind IS 'Kind of the jobs.';
COMMENT ON COLUMN ready.priority IS 'Priority of the jobs.';
COMMENT ON COLUMN ready.run_at IS 'scheduled_at of the jobs.';
COMMENT ON COLUMN ready.job_ids IS 'The jobs, in open_jobs, in ascending order: all have the same id / 32. Claims take them from the front.';
COMMENT ON COLUMN ready.job_id IS 'The first of them.';
COMMENT ON COLUMN ready.requeues IS 'requeues of the jobs.';

CREATE TABLE later (
    run_at   timestamptz NOT NULL,
    job_id   bigint NOT NULL,
    queue    text COLLATE "C" NOT NULL,
    kind     text COLLATE "C" NOT NULL,
    state    text COLLATE "C" NOT NULL,
    priority smallint NOT NULL,
    requeues int NOT NULL,
    PRIMARY KEY (run_at, job_id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);

COMMENT ON TABLE later IS 'Jobs that are not due yet; workers move them to ready when they are.';
COMMENT ON COLUMN later.run_at IS 'scheduled_at of the job.';
COMMENT ON COLUMN later.job_id IS 'The job, in open_jobs.';
COMMENT ON COLUMN later.queue IS 'Queue of the job.';
COMMENT ON COLUMN later.kind IS 'Kind of the job.';
COMMENT ON COLUMN later.state IS 'waiting_state of the job.';
COMMENT ON COLUMN later.priority IS 'Priority of the job.';
COMMENT ON COLUMN later.requeues IS 'requeues of the job.';

CREATE TABLE workers (
    id            uuid PRIMARY KEY,
    pod           text NOT NULL,
    version       text NOT NULL,
    role          text NOT NULL,
    template_hash text NOT NULL,
    state         text COLLATE "C" NOT NULL CHECK (state IN ('serving', 'draining', 'ended', 'lost')),
    started_at    timestamptz NOT NULL DEFAULT now(),
    heartbeat_at  timestamptz NOT NULL DEFAULT now(),
    lease_until   timestamptz NOT NULL,
    ended_at      timestamptz
) WITH (fillfactor = 50);

COMMENT ON TABLE workers IS 'Epochs: one unbroken stretch of one worker process in one role on this schema.';
COMMENT ON COLUMN workers.id IS 'Random id of the epoch; part of every claim.';
COMMENT ON COLUMN workers.pod IS 'Name of the pod, or of the host.';
COMMENT ON COLUMN workers.version IS 'Version of the worker.';
COMMENT ON COLUMN workers.role IS 'Role of the pod during the epoch.';
COMMENT ON COLUMN workers.template_hash IS 'Pod template hash of the revision; empty outside Argo Rollouts.';
COMMENT ON COLUMN workers.state IS 'serving, draining, ended (by itself) or lost (its lease ran out).';
COMMENT ON COLUMN workers.started_at IS 'When the epoch began.';
COMMENT ON COLUMN workers.heartbeat_at IS 'When the worker last renewed its lease.';
COMMENT ON COLUMN workers.lease_until IS 'The worker holds its jobs until then, by the clock of the database.';
COMMENT ON COLUMN workers.ended_at IS 'When the epoch ended or was found lost.';

CREATE TABLE claims (
    worker_id  uuid NOT NULL,
    number     bigint NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    job_ids    bigint[] NOT NULL,
    requeues   int[] NOT NULL,
    PRIMARY KEY (worker_id, number)
);

-- A batch's ids are written once and soon gone: not worth compressing.
ALTER TABLE claims ALTER COLUMN job_ids SET STORAGE EXTERNAL;

COMMENT ON TABLE claims IS 'Batches of jobs that workers have claimed; gone when every job of the batch is recorded.';
COMMENT ON COLUMN claims.worker_id IS 'The epoch, in workers.';
COMMENT ON COLUMN claims.number IS 'Number of the claim within the epoch, counted by the worker.';
COMMENT ON COLUMN claims.claimed_at IS 'When the batch was claimed.';
COMMENT ON COLUMN claims.job_ids IS 'Jobs of the batch, in open_jobs.';
COMMENT ON COLUMN claims.requeues IS 'requeues of each job when it was claimed: a job with another value is no longer held by this claim.';

CREATE TABLE finished_jobs (
    slice          smallint NOT NULL,
    id             bigint NOT NULL,
    queue          text COLLATE "C" NOT NULL,
    kind           text COLLATE "C" NOT NULL,
    args           jsonb NOT NULL,
    state          text COLLATE "C" NOT NULL CHECK (state IN ('completed', 'discarded', 'cancelled')),
    priority       smallint NOT NULL,
    scheduled_at   timestamptz NOT NULL,
    attempt        int NOT NULL,
    max_attempts   int NOT NULL,
    losses         int NOT NULL,
    requeues       int NOT NULL,
    unique_key     text COLLATE "C",
    metadata       jsonb NOT NULL,
    created_at     timestamptz NOT NULL,
    attempted_at   timestamptz,
    finalized_at   timestamptz NOT NULL DEFAULT now(),
    worker_id      uuid,
    worker_version text,
    worker_role    text,
    past_attempts  jsonb,
    result         jsonb,
    last_error     text
) PARTITION BY LIST (slice);

CREATE INDEX finished_jobs_id ON finished_jobs (id);

CREATE TABLE finished_jobs_0 PARTITION OF finished_jobs FOR VALUES IN (0);
CREATE TABLE finished_jobs_1 PARTITION OF finished_jobs FOR VALUES IN (1);
CREATE TABLE finished_jobs_2 PARTITION OF finished_jobs FOR VALUES IN (2);
CREATE TABLE finished_jobs_3 PARTITION OF finished_jobs FOR VALUES IN (3);
CREATE TABLE finished_jobs_4 PARTITION OF finished_jobs FOR VALUES IN (4);
CREATE TABLE finished_jobs_5 PARTITION OF finished_jobs FOR VALUES IN (5);
CREATE TABLE finished_jobs_6 PARTITION OF finished_jobs FOR VALUES IN (6);
CREATE TABLE finished_jobs_7 PARTITION OF finished_jobs FOR VALUES IN (7);

COMMENT ON TABLE finished_jobs_0 IS 'Slice 0 of finished_jobs.';
COMMENT ON TABLE finished_jobs_1 IS 'Slice 1 of finished_jobs.';
COMMENT ON TABLE finished_jobs_2 IS 'Slice 2 of finished_jobs.';
COMMENT ON TABLE finished_jobs_3 IS 'Slice 3 of finished_jobs.';
COMMENT ON TABLE finished_jobs_4 IS 'Slice 4 of finished_jobs.';
COMMENT ON TABLE finished_jobs_5 IS 'Slice 5 of finished_jobs.';
COMMENT ON TABLE finished_jobs_6 IS 'Slice 6 of finished_jobs.';
COMMENT ON TABLE finished_jobs_7 IS 'Slice 7 of finished_jobs.';
COMMENT ON TABLE finished_jobs IS 'Jobs that are completed, discarded or cancelled, by slice of time. Read the view jobs instead.';
COMMENT ON COLUMN finished_jobs.slice IS 'Slice of time, in slices: emptied whole when it is older than the retention.';
COMMENT ON COLUMN finished_jobs.id IS 'Number of the job.';
COMMENT ON COLUMN finished_jobs.queue IS 'Queue that the job waited in.';
COMMENT ON COLUMN finished_jobs.kind IS 'Kind of job.';
COMMENT ON COLUMN finished_jobs.args IS 'Arguments for the handler.';
COMMENT ON COLUMN finished_jobs.state IS 'completed, discarded or cancelled.';
COMMENT ON COLUMN finished_jobs.priority IS '1 to 4.';
COMMENT ON COLUMN finished_jobs.scheduled_at IS 'When the last attempt was due.';
COMMENT ON COLUMN finished_jobs.attempt IS 'Attempts that were charged.';
COMMENT ON COLUMN finished_jobs.max_attempts IS 'Attempts that it had.';
COMMENT ON COLUMN finished_jobs.losses IS 'Workers that were lost while they ran the job.';
COMMENT ON COLUMN finished_jobs.requeues IS 'How often the job went back to its queue.';
COMMENT ON COLUMN finished_jobs.unique_key IS 'The unique key it had while unfinished.';
COMMENT ON COLUMN finished_jobs.metadata IS 'What the enqueuer kept with the job.';
COMMENT ON COLUMN finished_jobs.created_at IS 'When the job was enqueued.';
COMMENT ON COLUMN finished_jobs.attempted_at IS 'When the last attempt started.';
COMMENT ON COLUMN finished_jobs.finalized_at IS 'When the job was finished.';
COMMENT ON COLUMN finished_jobs.worker_id IS 'Epoch that ran the last attempt; null where no attempt finished the job.';
COMMENT ON COLUMN finished_jobs.worker_version IS 'Version of that worker.';
COMMENT ON COLUMN finished_jobs.worker_role IS 'Role of that worker.';
COMMENT ON COLUMN finished_jobs.past_attempts IS 'Attempts before the last, oldest first.';
COMMENT ON COLUMN finished_jobs.result IS 'What the handler set as the result.';
COMMENT ON COLUMN finished_jobs.last_error IS 'Error of the last failed attempt.';

CREATE TABLE slices (
    slice     smallint PRIMARY KEY,
    opened_at timestamptz,
    closed_at timestamptz
);

INSERT INTO slices (slice, opened_at) SELECT n, CASE WHEN n = 0 THEN now() END FROM generate_series(0, 7) n;

COMMENT ON TABLE slices IS 'Slices of finished_jobs: one is open and written to, some are closed and kept for the retention, the rest are empty.';
COMMENT ON COLUMN slices.slice IS 'Number of the slice.';
COMMENT ON COLUMN slices.opened_at IS 'When it was opened; null while it is empty.';
COMMENT ON COLUMN slices.closed_at IS 'When it was closed; null while it is open or empty.';

CREATE TABLE finished_counts (
    slice smallint NOT NULL,
    queue text COLLATE "C" NOT NULL,
    kind  text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    jobs  bigint NOT NULL
) WITH (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

COMMENT ON TABLE finished_counts IS 'Finished jobs counted as they come; several rows add up. Read the view job_counts instead.';
COMMENT ON COLUMN finished_counts.slice IS 'Slice of the jobs.';
COMMENT ON COLUMN finished_counts.queue IS 'Queue of the jobs.';
COMMENT ON COLUMN finished_counts.kind IS 'Kind of the jobs.';
COMMENT ON COLUMN finished_counts.state IS 'State of the jobs.';
COMMENT ON COLUMN finished_counts.jobs IS 'How many; negative where jobs were retried.';

CREATE VIEW running_jobs AS
SELECT u.job_id AS id, u.requeues, c.worker_id, c.number AS claim_number, c.claimed_at,
       w.version AS worker_version, w.role AS worker_role, w.pod
FROM claims c
CROSS JOIN LATERAL unnest(c.job_ids, c.requeues) AS u (job_id, requeues)
LEFT JOIN workers w ON w.id = c.worker_id;

COMMENT ON VIEW running_jobs IS 'Jobs as claimed, by worker. A row whose requeues is not its job''s, or whose job is finished, is over.';
COMMENT ON COLUMN running_jobs.id IS 'The job, in open_jobs.';
COMMENT ON COLUMN running_jobs.requeues IS 'requeues of the job when it was claimed.';
COMMENT ON COLUMN running_jobs.worker_id IS 'The epoch, in workers.';
COMMENT ON COLUMN running_jobs.claim_number IS 'Number of the claim within the epoch.';
COMMENT ON COLUMN running_jobs.claimed_at IS 'When it was claimed.';
COMMENT ON COLUMN running_jobs.worker_version IS 'Version of the worker.';
COMMENT ON COLUMN running_jobs.worker_role IS 'Role of the worker.';
COMMENT ON COLUMN running_jobs.pod IS 'Pod of the worker.';

CREATE FUNCTION add_attempt(past jsonb, number int, worker uuid, version text, role text,
    started_at timestamptz, finished_at timestamptz, error text) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE WHEN jsonb_array_length(past) >= 100 THEN past - 0 ELSE coalesce(past, '[]') END
        || jsonb_build_object('number', number, 'worker', worker, 'version', version, 'role', role,
               'started_at', started_at, 'finished_at', finished_at, 'error', error);
END;

COMMENT ON FUNCTION add_attempt(jsonb, int, uuid, text, text, timestamptz, timestamptz, text) IS 'The list of attempts with one more, and no more than a hundred.';

CREATE FUNCTION attempts_of(job finished_jobs) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE
        WHEN (job).worker_id IS NULL THEN coalesce((job).past_attempts, '[]')
        ELSE add_attempt((job).past_attempts, (job).attempt, (job).worker_id, (job).worker_version, (job).worker_role,
                 (job).attempted_at, (job).finalized_at, CASE WHEN (job).state <> 'completed' THEN (job).last_error END)
    END;
END;

COMMENT ON FUNCTION attempts_of(finished_jobs) IS 'Every attempt of a finished job: the last stands in its own columns.';

CREATE VIEW jobs AS
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
       NULL::jsonb AS result, j.last_error, j.cancel_requested
FROM open_jobs j
LEFT JOIN running_jobs r ON r.id = j.id AND r.requeues = j.requeues
UNION ALL
SELECT f.id, f.queue, f.kind, f.args, f.state, f.priority, f.scheduled_at, f.attempt,
       f.max_attempts, f.losses, f.unique_key, f.metadata, f.created_at, f.attempted_at, f.finalized_at,
       f.worker_id, f.worker_version, f.worker_role,
       attempts_of(f),
       f.result, f.last_error, false
FROM finished_jobs f;

COMMENT ON VIEW jobs IS 'Every job, from enqueueing until the retention ends. Change jobs with enqueue(), cancel() and retry().';
COMMENT ON COLUMN jobs.id IS 'Number of the job, in the order of enqueueing.';
COMMENT ON COLUMN jobs.queue IS 'Queue of the job.';
COMMENT ON COLUMN jobs.kind IS 'Kind of job: names its handler.';
COMMENT ON COLUMN jobs.args IS 'Arguments for the handler.';
COMMENT ON COLUMN jobs.state IS 'scheduled, available, running, retryable, completed, discarded or cancelled.';
COMMENT ON COLUMN jobs.priority IS '1 to 4; 1 is claimed first.';
COMMENT ON COLUMN jobs.scheduled_at IS 'When the job is due, or was.';
COMMENT ON COLUMN jobs.attempt IS 'Number of the running attempt, or of the last one.';
COMMENT ON COLUMN jobs.max_attempts IS 'Attempts after which a failing job is discarded.';
COMMENT ON COLUMN jobs.losses IS 'Workers that were lost while they ran the job.';
COMMENT ON COLUMN jobs.unique_key IS 'Unique per kind among unfinished jobs.';
COMMENT ON COLUMN jobs.metadata IS 'What the enqueuer kept with the job.';
COMMENT ON COLUMN jobs.created_at IS 'When the job was enqueued.';
COMMENT ON COLUMN jobs.attempted_at IS 'When the running attempt was claimed, or the last one started.';
COMMENT ON COLUMN jobs.finalized_at IS 'When the job was finished.';
COMMENT ON COLUMN jobs.worker_id IS 'Epoch that runs the job, or that finished it; in workers.';
COMMENT ON COLUMN jobs.worker_version IS 'Version of that worker.';
COMMENT ON COLUMN jobs.worker_role IS 'Role of that worker.';
COMMENT ON COLUMN jobs.attempts IS 'List of the attempts that are over: number, worker, version, role, started_at, finished_at, error.';
COMMENT ON COLUMN jobs.result IS 'What the handler set as the result.';
COMMENT ON COLUMN jobs.last_error IS 'Error of the last failed attempt.';
COMMENT ON COLUMN jobs.cancel_requested IS 'Somebody asked to cancel the job while it runs.';

CREATE VIEW job_counts AS
SELECT c.queue, c.kind, c.state, sum(c.jobs)::bigint AS count, sum(c.due)::bigint AS due
FROM (
    SELECT queue, kind, 'available' AS state, sum(cardinality(job_ids)) AS jobs, sum(cardinality(job_ids)) AS due FROM ready GROUP BY queue, kind
    UNION ALL
    SELECT queue, kind, CASE WHEN run_at > now() THEN state ELSE 'available' END, count(*), count(*) FILTER (WHERE run_at <= now())
    FROM later GROUP BY 1, 2, 3
    UNION ALL
    SELECT j.queue, j.kind, 'running', count(*), 0
    FROM running_jobs r JOIN open_jobs j ON j.id = r.id AND j.requeues = r.requeues GROUP BY j.queue, j.kind
    UNION ALL
    SELECT queue, kind, state, sum(jobs), 0 FROM finished_counts GROUP BY queue, kind, state
) c
GROUP BY c.queue, c.kind, c.state
HAVING sum(c.jobs) > 0;

COMMENT ON VIEW job_counts IS 'Jobs counted by queue, kind and state; cheap however many are finished.';
COMMENT ON COLUMN job_counts.queue IS 'Queue of the jobs.';
COMMENT ON COLUMN job_counts.kind IS 'Kind of the jobs.';
COMMENT ON COLUMN job_counts.state IS 'State of the jobs.';
COMMENT ON COLUMN job_counts.count IS 'How many there are.';
COMMENT ON COLUMN job_counts.due IS 'How many of them are due and wait for a worker.';
