-- The lines that are good are marked by a boolean: the planner takes half of a set for marked, but one in
-- two hundred for a word, and then joined a thousand lines to a thousand numbers in a nested loop. The
-- argument is json and not jsonb, because it is read once from front to back. What a line belongs to is
-- asked for by the join with the stay, for the whole set: charge_source needs no key to the hospital.

DROP FUNCTION ingest_charges(uuid, text, timestamptz, date, jsonb);

-- Take a batch of checked lines; one verdict a line. Whoever settles a stay holds the same row lock,
-- so a line either is in the bill that is being settled or finds the stay settled.
CREATE FUNCTION ingest_charges(of_hospital uuid, of_event text, at timestamptz, today date, lines json)
RETURNS TABLE (place int, verdict text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    -- In the order of ids: two batches with the same stays wait for, and never block, each other.
    PERFORM 1 FROM admission
        WHERE hospital_id = of_hospital
          AND inpatient_no IN (SELECT line ->> 'inpatient_no' FROM json_array_elements(lines) line)
        ORDER BY id FOR NO KEY UPDATE;
    RETURN QUERY
    WITH given AS MATERIALIZED (
        SELECT * FROM json_to_recordset(lines) AS line (
            place int, inpatient_no text, source_line_id text, content text, occurred_at timestamptz,
            occurred_on date, item_name text, specification text, unit text, quantity numeric,
            unit_price numeric, amount_fen bigint, category text, insurance_level text,
            self_pay_ratio numeric, national_code text, hospital_code text, department_code text,
            department_name text, doctor_code text, doctor_name text, reverses text)
    ), placed AS (
        SELECT given.*, stay.id AS admission_id, CASE
            WHEN known.content = decode(given.content, 'hex') THEN 'DUPLICATE'
            WHEN known.content IS NOT NULL THEN 'CONFLICT'
            WHEN stay.id IS NULL THEN 'UNKNOWN_ADMISSION'
            WHEN stay.state = 'CANCELLED' THEN 'ADMISSION_CANCELLED'
            WHEN stay.state = 'SETTLED' OR run.id IS NOT NULL THEN 'AFTER_SETTLEMENT'
            END AS refused
        FROM given
        LEFT JOIN admission stay
            ON stay.hospital_id = of_hospital AND stay.inpatient_no = given.inpatient_no
        -- From the patient's agreement on, the bill that the insurer settles must not grow.
        LEFT JOIN settlement run
            ON run.admission_id = stay.id AND run.state NOT IN ('TRIAL', 'UNDONE')
        LEFT JOIN charge_source known
            ON known.hospital_id = of_hospital AND known.source_line_id = given.source_line_id
    ), said_twice AS (
        SELECT placed.*,
            row_number() OVER same AS nth,
            first_value(content) OVER same AS first_content
        FROM placed
        WINDOW same AS (PARTITION BY source_line_id, refused ORDER BY place)
    ), judged AS (
        SELECT said_twice.*, refused IS NULL AND nth = 1 AS good, CASE
            WHEN refused IS NOT NULL THEN refused
            WHEN nth > 1 AND content = first_content THEN 'DUPLICATE'
            WHEN nth > 1 THEN 'CONFLICT'
            ELSE 'ACCEPTED' END AS verdict
        FROM said_twice
    ), stored AS (
        INSERT INTO charge_source (hospital_id, source_line_id, content, occurred_on, seq)
        SELECT of_hospital, source_line_id, decode(content, 'hex'), occurred_on,
               nextval('charge_line_seq')
        FROM (SELECT * FROM judged WHERE good ORDER BY place) in_order
        ON CONFLICT DO NOTHING
        RETURNING source_line_id, seq
    ), entered AS (
        INSERT INTO charge_line (
            occurred_on, seq, hospital_id, admission_id, source_line_id, occurred_at, item_name,
            specification, unit, quantity, unit_price, amount_fen, category, insurance_level,
            self_pay_ratio, national_code, hospital_code, department_code, department_name,
            doctor_code, doctor_name, reverses, source_event_id, received_at)
        SELECT occurred_on, stored.seq, of_hospital, admission_id, source_line_id, occurred_at,
            item_name, specification, unit, quantity, unit_price, amount_fen, category,
            insurance_level, self_pay_ratio, national_code, hospital_code, department_code,
            department_name, doctor_code, doctor_name, reverses, of_event, at
        FROM judged JOIN stored USING (source_line_id) WHERE good
        RETURNING admission_id, occurred_on
    ), first AS (
        UPDATE admission stay SET first_charged_on = came.day
        FROM (SELECT admission_id, min(occurred_on) AS day FROM entered GROUP BY 1) came
        WHERE stay.id = came.admission_id AND came.day < coalesce(stay.first_charged_on, 'infinity')
    ), late AS (
        INSERT INTO unbilled_day (hospital_id, admission_id, day, since)
        SELECT DISTINCT of_hospital, admission_id, occurred_on, at
        FROM entered WHERE occurred_on < today
        -- The update locks a row that a correction may be taking away at this moment.
        ON CONFLICT (hospital_id, admission_id, day) DO UPDATE SET since = EXCLUDED.since
    )
    -- Accepted but not stored: another stay's line took the number while we were working.
    SELECT judged.place,
        CASE WHEN judged.good AND stored.seq IS NULL THEN 'CONFLICT'
             ELSE judged.verdict END
    FROM judged LEFT JOIN stored
        ON stored.source_line_id = judged.source_line_id AND judged.good
    ORDER BY judged.place;
END $$;
