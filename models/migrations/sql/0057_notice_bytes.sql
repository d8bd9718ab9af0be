-- A notice is kept as it came, with what proves it; of refused ones the trail has one row an hour.

-- A row of a payment has 2.1 kB, just too many to be left whole: what PostgreSQL puts aside costs a
-- second insert.
ALTER TABLE channel_notice SET (toast_tuple_target = 4080);

DROP FUNCTION keep_notice(text, jsonb);

-- Keeps a proven notice and the job that applies it, once for each event. True: it is new. False: a
-- copy. Null: no hospital has this code.
CREATE FUNCTION keep_notice(hospital_code text, said jsonb, raw bytea)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    new channel_notice := jsonb_populate_record(NULL::channel_notice, said);
BEGIN
    SELECT id INTO new.hospital_id FROM hospital WHERE code = hospital_code;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    new.body := raw;
    INSERT INTO channel_notice SELECT new.* ON CONFLICT (hospital_id, event) DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM procrastinate_defer_jobs_v1(ARRAY[ROW('quick', 'apply_notice', 0, NULL, NULL,
        jsonb_build_object('hospital_id', new.hospital_id, 'notice_id', new.id), NULL)
        ::procrastinate_job_to_defer_v1]);
    RETURN true;
END $$;

-- Writes into the trail that a notice was refused, the first time in an hour that it was for this
-- reason; whoever sends any number of them adds one row. True: it was the first.
CREATE FUNCTION note_refused_notice(hospital_code text, why text, at timestamptz)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    home uuid;
BEGIN
    INSERT INTO refused_notice AS known (hospital_id, reason, hour)
    SELECT id, why, date_trunc('hour', at) FROM hospital WHERE code = hospital_code
    ON CONFLICT (hospital_id, reason) DO UPDATE SET hour = excluded.hour
     WHERE known.hour < excluded.hour
    RETURNING hospital_id INTO home;
    IF home IS NULL THEN
        RETURN false;
    END IF;
    PERFORM audit_append(home, at, 'unknown', 'notice refused', 'channel-notice',
                         jsonb_build_object('reason', why));
    RETURN true;
END $$;
