-- The audit trail: one chain a hospital. A row's hash covers the hash before it, its number and all it says.

CREATE FUNCTION audit_hash(prev bytea, hospital uuid, no bigint, at timestamptz, by text, what text,
                           subject text, facts jsonb) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(prev || convert_to(
        jsonb_build_array(hospital, no, extract(epoch FROM at), by, what, subject, facts)::text,
        'UTF8'))
$$;

CREATE FUNCTION audit_append(hospital uuid, at timestamptz, by text, what text, subject text,
                             facts jsonb) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    last audit_entry;
    number bigint;
    prev bytea;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('audit ' || hospital, 0));
    SELECT * INTO last FROM audit_entry e WHERE e.hospital_id = hospital ORDER BY e.no DESC LIMIT 1;
    number := coalesce(last.no, 0) + 1;
    prev := coalesce(last.hash, '\x'::bytea);
    INSERT INTO audit_entry (hospital_id, no, at, by, what, subject, facts, prev_hash, hash)
    VALUES (hospital, number, at, by, what, subject, facts, prev,
            audit_hash(prev, hospital, number, at, by, what, subject, facts));
    RETURN number;
END
$$;

CREATE FUNCTION audit_first_broken(hospital uuid) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT min(coalesce(before, 0) + 1) FILTER (WHERE no <> coalesce(before, 0) + 1
               OR prev_hash <> expected_prev
               OR hash <> audit_hash(expected_prev, hospital_id, no, at, by, what, subject, facts))
      FROM (SELECT e.*, lag(no) OVER w AS before,
                   coalesce(lag(hash) OVER w, '\x'::bytea) AS expected_prev
              FROM audit_entry e WHERE e.hospital_id = hospital
            WINDOW w AS (ORDER BY no)) chain
$$;

CREATE FUNCTION audit_keeps() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is only ever appended to';
END
$$;

CREATE TRIGGER audit_entry_keeps BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION audit_keeps();
