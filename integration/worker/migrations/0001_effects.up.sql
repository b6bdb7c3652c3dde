-- Nothing here keeps an effect from being made twice: the worker does.
CREATE TABLE effects (
    job_id  bigint NOT NULL,
    pod     text NOT NULL,
    process int NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE effects IS 'What handlers of kind effect did, in one transaction with the completion of their job.';
