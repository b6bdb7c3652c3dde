-- JSON is limited by what it takes as text, since that is what whoever claims a
-- job gets of it. How much that is, is told without writing it out where a few
-- bytes are many digits: as jsonb, 1e131071 takes eight.

CREATE FUNCTION large_json_problem(name text, value jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    numbers bigint;
    digits bigint;
    bytes bigint;
BEGIN
    IF pg_column_size(value) > 8000 AND jsonb_path_exists(value, 'strict $.**{1000} ? (@.type() == "object" || @.type() == "array")') THEN
        RETURN format('%s is nested too deep, the limit is 1000 levels', name);
    END IF;
    -- A numeric is sent as the count of its groups of four digits, the weight of the first and the sign, in two bytes each, and the
    -- scale: so the digits that are written of it are told to within four, and sign and point are two more.
    SELECT count(*), coalesce(sum(scale(n.number) + 4 * greatest(((get_byte(n.sent, 2) # 128) << 8) + get_byte(n.sent, 3) - 32768, 0)), 0)
    INTO numbers, digits
    FROM (SELECT v::numeric AS number, numeric_send(v::numeric) AS sent
          FROM jsonb_path_query(value, 'strict $.** ? (@.type() == "number")') AS v) n;
    IF digits > 1048576 THEN
        RETURN format('%s has more than 1048576 bytes once its numbers are written out', name);
    END IF;
    -- All else takes six times its bytes at the most, where they are control characters.
    IF digits + 6 * numbers + 6 * pg_column_size(value) <= 1048576 THEN
        RETURN NULL;
    END IF;
    bytes := octet_length(value::text);
    RETURN CASE WHEN bytes > 1048576 THEN format('%s has %s bytes, the limit is 1048576', name, bytes) END;
END $$;

COMMENT ON FUNCTION large_json_problem(text, jsonb) IS 'What is wrong with JSON that may be too long or too deep; null where nothing is.';

CREATE OR REPLACE FUNCTION json_problem(name text, value jsonb) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE
        -- Seven numbers at the most, none of which has more than 147,456 digits.
        WHEN pg_column_size(value) <= 92 THEN NULL
        -- 58 numbers at the most, none of which has more than 40 digits before its point and 16,383 behind it. A thousand levels take 8,000 bytes.
        WHEN pg_column_size(value) <= 8000
            AND NOT jsonb_path_exists(value, 'strict $.** ? (@ >= 1e40 || @ <= -1e40)')
            AND (pg_column_size(value) <= 704
                OR jsonb_array_length(jsonb_path_query_array(value, 'strict $.** ? (@.type() == "number")')) <= 58)
            THEN NULL
        ELSE large_json_problem(name, value)
    END;
END;
