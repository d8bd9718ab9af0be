-- Jobs that ask nobody outside have slots of their own in every worker (jobs.py).

CREATE OR REPLACE FUNCTION keep_notice(hospital_code text, said jsonb)
RETURNS boolean LANGUAGE plpgsql AS $$
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
    PERFORM procrastinate_defer_jobs_v1(ARRAY[ROW('quick', 'apply_notice', 0, NULL, NULL,
        jsonb_build_object('hospital_id', new.hospital_id, 'notice_id', new.id), NULL)
        ::procrastinate_job_to_defer_v1]);
    RETURN true;
END $$;
