-- Run with the target's schema first in the search path.
CREATE TABLE orders (
    id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cents int NOT NULL
);

-- An order is charged once, whatever happens: two jobs may be enqueued for it, or
-- a completed one run again. That the worker charges once for each completion of
-- a job does not rule that out; this key does.
CREATE TABLE charges (
    order_id   bigint PRIMARY KEY REFERENCES orders (id),
    cents      int NOT NULL,
    charged_at timestamptz NOT NULL DEFAULT now()
);
