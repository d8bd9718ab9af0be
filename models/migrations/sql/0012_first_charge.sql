-- When a stay was charged first is noted as its charges come in, so that the night opens only the
-- months in which its inpatients have charges: two years of old lines cost it nothing.

-- Take a batch of checked lines; one verdict a line. Whoever settles a stay holds the same row lock,
-- so a line either is in the bill that is being settled or finds the stay settled.
CREATE OR REPLACE FUNCTION ingest_charges(of_hospital uuid, of_event text, at timestamptz, today date, lines jsonb)
RETURNS TABLE (place int, verdict text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    -- In the order of ids: two batches with the same stays wait for, and never block, each other.
    PERFORM 1 FROM admission
        WHERE hospital_id = of_hospital
          AND inpatient_no IN (SELECT line ->> 'inpatient_no' FROM jsonb_array_elements(lines) line)
        ORDER BY id FOR NO KEY UPDATE;
    RETURN QUERY
    WITH given AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(lines) AS line (
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
        SELECT said_twice.*, CASE
            WHEN refused IS NOT NULL THEN refused
            WHEN nth > 1 AND content = first_content THEN 'DUPLICATE'
            WHEN nth > 1 THEN 'CONFLICT'
            ELSE 'ACCEPTED' END AS verdict
        FROM said_twice
    ), stored AS (
        INSERT INTO charge_source (hospital_id, source_line_id, content, occurred_on, seq)
        SELECT of_hospital, source_line_id, decode(content, 'hex'), occurred_on,
               nextval('charge_line_seq')
        FROM (SELECT * FROM judged WHERE verdict = 'ACCEPTED' ORDER BY place) good
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
        FROM judged JOIN stored USING (source_line_id) WHERE verdict = 'ACCEPTED'
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
        CASE WHEN judged.verdict = 'ACCEPTED' AND stored.seq IS NULL THEN 'CONFLICT'
             ELSE judged.verdict END
    FROM judged LEFT JOIN stored
        ON stored.source_line_id = judged.source_line_id AND judged.verdict = 'ACCEPTED'
    ORDER BY judged.place;
END $$;

-- The next version of the bills of these days of these stays, where their lines are not those of the
-- last version; the first version also without a line.
CREATE OR REPLACE FUNCTION write_daily_bills(of_hospital uuid, stays uuid[], days date[], at timestamptz)
RETURNS SETOF daily_bill
LANGUAGE sql VOLATILE SET work_mem = '64MB' AS $$
    WITH due AS MATERIALIZED (
        SELECT DISTINCT stay AS admission_id, on_day AS day FROM unnest(stays, days) AS wanted (stay, on_day)
    ), listed AS (
        SELECT due.admission_id, due.day,
            array_agg(line.seq ORDER BY line.occurred_at, line.seq) AS seqs,
            count(*) AS line_count,
            sum(line.amount_fen)::bigint AS total_fen,
            string_agg(concat_ws('|', line.source_line_id, line.item_name, line.specification, line.unit,
                                 line.quantity, line.unit_price, line.amount_fen),
                       E'\n' ORDER BY line.occurred_at, line.seq) AS items
        FROM due
        JOIN charge_line line ON line.admission_id = due.admission_id AND line.occurred_on = due.day
        WHERE line.occurred_on BETWEEN (SELECT min(day) FROM due) AND (SELECT max(day) FROM due)
        GROUP BY due.admission_id, due.day
    ), before AS (
        SELECT due.admission_id, due.day, sum(line.amount_fen)::bigint AS total_fen
        FROM due
        JOIN charge_line line ON line.admission_id = due.admission_id AND line.occurred_on < due.day
        -- Both are known before any month is opened.
        WHERE line.occurred_on >= (
                SELECT min(stay.first_charged_on)
                FROM due JOIN admission stay ON stay.id = due.admission_id)
            AND line.occurred_on < (SELECT max(day) FROM due)
        GROUP BY due.admission_id, due.day
    ), last AS (
        SELECT DISTINCT ON (due.admission_id, due.day) bill.*
        FROM due JOIN daily_bill bill
            ON bill.hospital_id = of_hospital AND bill.admission_id = due.admission_id AND bill.day = due.day
        ORDER BY due.admission_id, due.day, bill.version DESC
    )
    INSERT INTO daily_bill (
        id, hospital_id, admission_id, day, version, line_seqs, added_seqs, line_count, total_fen,
        running_total_fen, deposit_held_fen, estimated_personal_fen, items_hash, made_at)
    SELECT uuid7_of(at), of_hospital, due.admission_id, due.day, coalesce(last.version, 0) + 1,
        coalesce(listed.seqs, '{}'),
        CASE WHEN last.version IS NULL THEN '{}' ELSE ARRAY(
            SELECT seq FROM unnest(listed.seqs) seq WHERE seq <> ALL (last.line_seqs)) END,
        coalesce(listed.line_count, 0), coalesce(listed.total_fen, 0),
        coalesce(before.total_fen, 0) + coalesce(listed.total_fen, 0),
        coalesce(-deposit.balance_fen, 0),
        (coalesce(insured.settlement, insured.trial) ->> 'personal')::bigint,
        sha256(convert_to(coalesce(listed.items, ''), 'UTF8')), at
    FROM due
    LEFT JOIN listed USING (admission_id, day)
    LEFT JOIN before USING (admission_id, day)
    LEFT JOIN last USING (admission_id, day)
    LEFT JOIN account deposit
        ON deposit.hospital_id = of_hospital AND deposit.kind = 'INPATIENT_DEPOSIT'
       AND deposit.owner = due.admission_id::text
    LEFT JOIN insurance_encounter insured
        ON insured.hospital_id = of_hospital AND insured.admission_id = due.admission_id
       AND insured.state <> 'CANCELLED'
    WHERE last.version IS NULL OR last.line_seqs <> listed.seqs
    ON CONFLICT (hospital_id, admission_id, day, version) DO NOTHING
    RETURNING *
$$;

-- The bills of one day that are still missing. One node at a time in a hospital: the second one waits,
-- then finds nothing to do.
CREATE OR REPLACE FUNCTION make_daily_bills(of_hospital uuid, on_day date, at timestamptz)
RETURNS SETOF daily_bill
LANGUAGE plpgsql SET work_mem = '64MB' AS $$
DECLARE
    stays uuid[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('daily_bill'), hashtext(of_hospital::text));
    SELECT array_agg(inside.admission_id) INTO stays FROM (
        SELECT admission_id FROM in_house_on(of_hospital, on_day)
        UNION
        SELECT DISTINCT admission_id FROM charge_line WHERE hospital_id = of_hospital AND occurred_on = on_day
        EXCEPT
        SELECT admission_id FROM daily_bill WHERE hospital_id = of_hospital AND day = on_day
    ) inside;
    RETURN QUERY SELECT * FROM write_daily_bills(
        of_hospital, stays, array_fill(on_day, ARRAY[coalesce(cardinality(stays), 0)]), at);
END $$;
