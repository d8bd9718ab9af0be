-- A batch of charges is one statement. Its lines come as rows of text, the fields apart by tabs, because no
-- text of a line holds a control character (policies/charge_rows.py): they are read at a third of the cost
-- of JSON. A line that was taken before is compared with what is stored, not with a hash of it.

DROP FUNCTION ingest_charges(uuid, text, timestamptz, date, json);
ALTER TABLE charge_source DROP COLUMN content;

-- The rows that row_of (policies/charge_rows.py) writes.
CREATE FUNCTION charge_rows(lines text) RETURNS TABLE (
    place int, occurred_on date, occurred_at timestamptz, amount_fen bigint, reverses text,
    source_line_id text, inpatient_no text, item_name text, specification text, unit text,
    quantity numeric, unit_price numeric, category text, insurance_level text, self_pay_ratio numeric,
    national_code text, hospital_code text, department_code text, department_name text,
    doctor_code text, doctor_name text)
LANGUAGE sql STABLE AS $$
    -- f[5] and f[6] are the moment and the amount as they were said.
    SELECT f[1]::int, left(f[2], 10)::date, f[2]::timestamptz, f[3]::bigint, nullif(f[4], ''),
        f[7], f[8], f[9], f[10], f[11], f[12]::numeric, f[13]::numeric, f[14], f[15],
        nullif(f[16], '')::numeric, f[17], f[18], f[19], f[20], f[21], f[22]
    FROM string_to_table(lines, E'\n') AS line, string_to_array(line, E'\t') AS f
$$;

-- Take the lines of a batch that were found sound: the verdict of each that was not accepted, by its place.
-- Whoever settles a stay holds the same row lock, so a line either is in the bill that is being settled or
-- finds the stay settled; of those a person is told (late_task, the task without its subject and facts).
CREATE FUNCTION ingest_charges(
    of_hospital uuid, of_event text, at timestamptz, today date, stays text[], lines text, late_task jsonb)
RETURNS jsonb
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    others int[];
    why text[];
    verdicts jsonb;
    tasks uuid[];
BEGIN
    -- In the order of ids: two batches with the same stays wait for, and never block, each other.
    PERFORM 1 FROM admission WHERE hospital_id = of_hospital AND inpatient_no = ANY (stays)
        ORDER BY id FOR NO KEY UPDATE;
    WITH stay AS MATERIALIZED (
        SELECT stay.id, stay.inpatient_no, stay.first_charged_on, CASE
            WHEN stay.state = 'CANCELLED' THEN 'ADMISSION_CANCELLED'
            -- From the patient's agreement on, the bill that the insurer settles must not grow.
            WHEN stay.state = 'SETTLED' OR EXISTS (
                SELECT FROM settlement run
                WHERE run.admission_id = stay.id AND run.state NOT IN ('TRIAL', 'UNDONE'))
            THEN 'AFTER_SETTLEMENT' END AS refused
        FROM admission stay WHERE stay.hospital_id = of_hospital AND stay.inpatient_no = ANY (stays)
    ), given AS MATERIALIZED (
        SELECT nextval('charge_line_seq') AS seq, * FROM charge_rows(lines)
    ), placed AS MATERIALIZED (
        SELECT given.*, stay.id AS admission_id,
            CASE WHEN stay.id IS NULL THEN 'UNKNOWN_ADMISSION' ELSE stay.refused END AS refused
        FROM given LEFT JOIN stay USING (inpatient_no)
    ), stored AS (
        -- The first of two lines with one number, and none whose number is known. In the order of numbers: two
        -- batches that give the same ones to different stays wait for, and never block, each other.
        INSERT INTO charge_source (hospital_id, source_line_id, occurred_on, seq)
        SELECT of_hospital, source_line_id, occurred_on, seq FROM placed WHERE refused IS NULL
        ORDER BY source_line_id COLLATE "C", seq
        ON CONFLICT DO NOTHING
        RETURNING seq
    ), entered AS (
        INSERT INTO charge_line (
            occurred_on, seq, hospital_id, admission_id, source_line_id, occurred_at, item_name,
            specification, unit, quantity, unit_price, amount_fen, category, insurance_level,
            self_pay_ratio, national_code, hospital_code, department_code, department_name,
            doctor_code, doctor_name, reverses, source_event_id, received_at)
        SELECT occurred_on, seq, of_hospital, admission_id, source_line_id, occurred_at, item_name,
            specification, unit, quantity, unit_price, amount_fen, category, insurance_level,
            self_pay_ratio, national_code, hospital_code, department_code, department_name,
            doctor_code, doctor_name, reverses, of_event, at
        FROM placed JOIN stored USING (seq)
        RETURNING admission_id, occurred_on
    ), days AS MATERIALIZED (
        SELECT DISTINCT admission_id, occurred_on AS day FROM entered
    ), first AS (
        UPDATE admission SET first_charged_on = came.day
        FROM (SELECT admission_id, min(day) AS day FROM days GROUP BY 1) came
        WHERE admission.id = came.admission_id
          AND came.day < coalesce(admission.first_charged_on, 'infinity')
    ), late AS (
        INSERT INTO unbilled_day (hospital_id, admission_id, day, since)
        SELECT of_hospital, admission_id, day, at FROM days WHERE day < today
        -- The update locks a row that a correction may be taking away at this moment.
        ON CONFLICT (hospital_id, admission_id, day) DO UPDATE SET since = EXCLUDED.since
    )
    SELECT array_agg(place), array_agg(refused) INTO others, why
    FROM placed WHERE seq NOT IN (SELECT seq FROM stored);
    IF others IS NULL THEN
        RETURN '{}';
    END IF;
    -- A statement of its own, which sees what was stored above and by others while that waited for them.
    WITH judged AS MATERIALIZED (
        SELECT given.place, stay.id AS admission_id, given.amount_fen, CASE
            WHEN known.seq IS NULL THEN other.refused
            WHEN (stay.id, given.occurred_at, given.item_name, given.specification, given.unit,
                given.quantity, given.unit_price, given.amount_fen, given.category,
                given.insurance_level, given.self_pay_ratio, given.national_code, given.hospital_code,
                given.department_code, given.department_name, given.doctor_code, given.doctor_name,
                given.reverses)
              IS NOT DISTINCT FROM (line.admission_id, line.occurred_at, line.item_name,
                line.specification, line.unit, line.quantity, line.unit_price, line.amount_fen,
                line.category, line.insurance_level, line.self_pay_ratio, line.national_code,
                line.hospital_code, line.department_code, line.department_name, line.doctor_code,
                line.doctor_name, line.reverses)
            THEN 'DUPLICATE' ELSE 'CONFLICT' END AS verdict
        FROM unnest(others, why) AS other (place, refused)
        JOIN charge_rows(lines) given USING (place)
        LEFT JOIN admission stay
            ON stay.hospital_id = of_hospital AND stay.inpatient_no = given.inpatient_no
        LEFT JOIN charge_source known
            ON known.hospital_id = of_hospital AND known.source_line_id = given.source_line_id
        LEFT JOIN charge_line line ON line.occurred_on = known.occurred_on AND line.seq = known.seq
    ), late AS (
        SELECT admission_id, count(*) AS lines, sum(amount_fen) AS total_fen
        FROM judged WHERE verdict = 'AFTER_SETTLEMENT' GROUP BY admission_id ORDER BY admission_id
    )
    SELECT (SELECT jsonb_object_agg(place, jsonb_build_array(verdict, '')) FROM judged),
        (SELECT array_agg(open_work_item(late_task || jsonb_build_object(
            'id', uuid7_of(at), 'subject', 'admission:' || admission_id,
            'facts', jsonb_build_object(of_event,
                jsonb_build_object('lines', late.lines, 'total_fen', total_fen))))) FROM late)
    INTO verdicts, tasks;
    RETURN verdicts;
END $$;

-- One event of the HIS with its batch: what became of the lines that were not accepted, the same when the
-- event is said again. NULL when its number was used for something else. said: the row of the event; its
-- answer holds the lines that were not even sound.
CREATE FUNCTION take_charge_batch(said jsonb, today date, stays text[], lines text, late_task jsonb)
RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    event his_event := jsonb_populate_record(NULL::his_event, said);
    there his_event;
    verdicts jsonb;
BEGIN
    INSERT INTO his_event SELECT event.* ON CONFLICT (hospital_id, source_event_id) DO NOTHING;
    IF NOT FOUND THEN
        SELECT * INTO there FROM his_event
        WHERE hospital_id = event.hospital_id AND source_event_id = event.source_event_id;
        IF there.kind <> event.kind OR there.body_hash <> event.body_hash THEN
            RETURN NULL;
        END IF;
        RETURN there.answer;
    END IF;
    IF lines = '' THEN
        RETURN event.answer;
    END IF;
    verdicts := event.answer::jsonb || ingest_charges(
        event.hospital_id, event.source_event_id, event.received_at, today, stays, lines, late_task);
    UPDATE his_event SET answer = verdicts::json WHERE id = event.id;
    RETURN verdicts;
END $$;
