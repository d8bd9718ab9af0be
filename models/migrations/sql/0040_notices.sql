-- The inbox of the channels' notices: kept and queued by one statement (journeys/notices.py).

-- One job in the queue, with what the caller's transaction does.
CREATE FUNCTION defer_job(task text, args jsonb) RETURNS void LANGUAGE sql AS $$
    SELECT procrastinate_defer_jobs_v1(
        ARRAY[ROW('default', task, 0, NULL, NULL, args, NULL)::procrastinate_job_to_defer_v1])
$$;

-- Keeps a proven notice and the job that applies it, once for each event. True: it is new. False: a
-- copy. Null: no hospital has this code.
CREATE FUNCTION keep_notice(hospital_code text, said jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    new channel_notice := jsonb_populate_record(NULL::channel_notice, said);
BEGIN
    SELECT id INTO new.hospital_id FROM hospital WHERE code = hospital_code;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO channel_notice SELECT new.* ON CONFLICT (hospital_id, event) DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM defer_job('apply_notice', jsonb_build_object(
        'hospital_id', new.hospital_id, 'notice_id', new.id));
    RETURN true;
END $$;
