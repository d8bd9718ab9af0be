-- What goes with money that moves: the receipt, the word to the patient, the task for a person. Each is a
-- function, so that one statement can do all of it with the money; Python calls the same functions.

-- The next number of the hospital's year, without gaps; what has its receipt keeps it. The counter's row
-- stays locked until the end of the transaction.
CREATE FUNCTION issue_receipt(said jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    paper receipt := jsonb_populate_record(NULL::receipt, said);
    year_of bigint := said ->> 'year';
    there text;
BEGIN
    SELECT r.number INTO there FROM receipt r
    WHERE r.hospital_id = paper.hospital_id AND r.kind = paper.kind AND r.subject_id = paper.subject_id;
    IF FOUND THEN
        RETURN there;
    END IF;
    INSERT INTO receipt_counter AS counter (id, hospital_id, year, last)
    VALUES ((said ->> 'counter_id')::uuid, paper.hospital_id, year_of, 1)
    ON CONFLICT (hospital_id, year) DO UPDATE SET last = counter.last + 1
    RETURNING year_of || lpad(counter.last::text, 10, '0') INTO paper.number;
    INSERT INTO receipt SELECT paper.*;
    RETURN paper.number;
END $$;

-- One word to each of these patients (notifications/many.py): the message, the first row of its trail, as
-- Machine.start leaves it, and its job. The ids of those whose key had not been told before.
CREATE FUNCTION tell_patients(said jsonb) RETURNS uuid[] LANGUAGE plpgsql AS $$
DECLARE
    house uuid := said ->> 'hospital_id';
    moment timestamptz := said ->> 'at';
    told uuid[];
BEGIN
    WITH word AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(said -> 'words')
            AS word (id uuid, move_id uuid, key text, patient_id uuid, "values" jsonb)
    ), stored AS (
        INSERT INTO message (id, hospital_id, key, patient_id, template, "values", state, route,
            attempts, answer, created_at, next_try_at)
        SELECT id, house, key, patient_id, said ->> 'template', "values", 'QUEUED', said ->> 'route',
            0, '', moment, moment
        FROM word
        ON CONFLICT (hospital_id, key) DO NOTHING
        RETURNING id
    ), moved AS (
        INSERT INTO state_move (id, hospital_id, machine, entity_id, there, at, by, why)
        SELECT move_id, house, 'Message', id, 'QUEUED', moment, 'system', said ->> 'template'
        FROM stored JOIN word USING (id)
    )
    SELECT array_agg(id) INTO told FROM stored;
    IF told IS NULL THEN
        RETURN '{}';
    END IF;
    PERFORM procrastinate_defer_jobs_v1(array_agg(
        ROW('default', 'deliver_message', (said ->> 'priority')::int, NULL, NULL,
            jsonb_build_object('hospital_id', house, 'message_id', id), NULL)
        ::procrastinate_job_to_defer_v1))
    FROM unnest(told) AS id;
    RETURN told;
END $$;

-- Opens the task, or adds these facts to the one already open for the same kind and subject.
CREATE FUNCTION open_work_item(said jsonb) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    item work_item := jsonb_populate_record(NULL::work_item, said);
BEGIN
    INSERT INTO work_item AS there SELECT item.*
    ON CONFLICT (hospital_id, kind, subject) WHERE closed_at IS NULL
    DO UPDATE SET facts = there.facts || excluded.facts
    RETURNING there.id INTO item.id;
    RETURN item.id;
END $$;
