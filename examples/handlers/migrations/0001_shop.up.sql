-- Run with the target's schema first in the search path.
CREATE TABLE orders (
    id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cents int NOT NULL
);

-- Nothing here keeps an order from being charged twice: the worker does.
CREATE TABLE charges (
    order_id   bigint NOT NULL REFERENCES orders (id),
    cents      int NOT NULL,
    charged_at timestamptz NOT NULL DEFAULT now()
);
