-- name: hidden_tables
-- Tables of ours of which row-level security may hide rows: from the login, or from an owner with whose rights our functions and
-- views act. A policy by which all rows pass hides none.
WITH role AS (
    SELECT oid, true AS own FROM pg_roles WHERE rolname = current_user
    UNION
    SELECT proowner, false FROM pg_proc WHERE pronamespace = to_regnamespace($1) AND prosecdef AND proname = ANY ($2::text[])
    UNION
    SELECT relowner, false FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'v' AND relname IN ('jobs', 'job_counts', 'running_jobs')
)
SELECT r.own, a.rolname::text, c.relname::text
FROM role r JOIN pg_roles a ON a.oid = r.oid
JOIN pg_class c ON c.relnamespace = to_regnamespace($1)
    AND c.relname IN ('claims', 'finished_counts', 'finished_jobs', 'later', 'open_jobs', 'ready', 'slices', 'workers')
CROSS JOIN LATERAL (
    SELECT coalesce(bool_or(p.polpermissive AND p.polcmd = '*' AND pg_get_expr(p.polqual, p.polrelid) = 'true'
               AND coalesce(pg_get_expr(p.polwithcheck, p.polrelid), 'true') = 'true'), false)
           AND coalesce(bool_and(p.polpermissive), true) AS all_pass
    FROM pg_policy p
    WHERE p.polrelid = c.oid
      AND EXISTS (SELECT FROM unnest(p.polroles) AS t (oid) WHERE CASE WHEN t.oid = 0 THEN true ELSE pg_has_role(a.oid, t.oid, 'USAGE') END)
) policies
WHERE NOT policies.all_pass AND CASE
    WHEN r.own THEN row_security_active(c.oid)
    ELSE c.relrowsecurity AND NOT a.rolsuper AND NOT a.rolbypassrls
        AND (c.relforcerowsecurity OR NOT pg_has_role(a.oid, c.relowner, 'USAGE'))
    END
ORDER BY r.own DESC, a.rolname, c.relname;

-- name: rewriting
-- What makes statements on tables of ours do other things than they say: rules, and triggers that may leave a row out.
SELECT format('rule %I on table %s', w.rulename, c.relname) AS what, true AS certain
FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class
WHERE c.relnamespace = to_regnamespace($1) AND c.relkind IN ('r', 'p') AND w.ev_enabled <> 'D'
    AND c.relname ~ '^(claims|finished_counts|finished_jobs(_[0-7])?|later|open_jobs|ready|slices|workers)$'
UNION ALL
SELECT format('trigger %I on table %s', t.tgname, c.relname), false
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = to_regnamespace($1) AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 3 = 3 -- before, for each row
    AND c.relname ~ '^(claims|finished_counts|finished_jobs(_[0-7])?|later|open_jobs|ready|slices|workers)$'
    AND (c.relname, t.tgname) <> ('ready', 'write_job_id') -- is ours
ORDER BY 1;

-- name: bound_elsewhere
-- Functions of ours that name another schema in their search_path: it stays text when the schema is renamed, or restored as another.
SELECT p.oid::regprocedure::text AS function, regexp_replace(setting, '^search_path=(.*), pg_temp$', '\1') AS schema
FROM pg_proc p CROSS JOIN LATERAL unnest(p.proconfig) AS setting
WHERE p.pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND p.proname = ANY ($2::text[])
    AND setting ~ '^search_path=("([^"]|"")+"|[^",]+), pg_temp$'
    AND setting NOT IN ('search_path=' || quote_ident($1) || ', pg_temp', 'search_path="' || replace($1, '"', '""') || '", pg_temp')
ORDER BY 1;
