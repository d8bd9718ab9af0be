-- Charge lines: the months they live in, the rule that nobody edits them, and the one way in.

CREATE TABLE charge_line_default PARTITION OF charge_line DEFAULT;

-- Have a partition for each of some months. Lines that already lie in the default partition move
-- along: PostgreSQL refuses a partition whose rows lie there. The month is filled before it is
-- attached, so that readers and writers wait only for the attaching.
CREATE FUNCTION make_charge_months(first date, months int) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    month_start date := date_trunc('month', first)::date;
    month_end date;
    name text;
    made int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('make_charge_months'));
    FOR nth IN 1 .. months LOOP
        month_end := (month_start + interval '1 month')::date;
        name := 'charge_line_' || to_char(month_start, 'YYYY_MM');
        IF to_regclass(name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE charge_line INCLUDING ALL)', name);
            IF EXISTS (SELECT 1 FROM charge_line_default
                       WHERE occurred_on >= month_start AND occurred_on < month_end) THEN
                LOCK TABLE charge_line_default IN ACCESS EXCLUSIVE MODE;
                PERFORM set_config('xianzhen.moving_months', 'on', true);
                EXECUTE format(
                    'WITH moved AS (DELETE FROM charge_line_default'
                    ' WHERE occurred_on >= %L AND occurred_on < %L RETURNING *)'
                    ' INSERT INTO %I SELECT * FROM moved', month_start, month_end, name);
                PERFORM set_config('xianzhen.moving_months', 'off', true);
            END IF;
            EXECUTE format('ALTER TABLE charge_line ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                           name, month_start, month_end);
            made := made + 1;
        END IF;
        month_start := month_end;
    END LOOP;
    RETURN made;
END $$;

-- What was charged stays as it was reported; a mistake is corrected by a reversing line.
CREATE FUNCTION charge_line_is_final() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('xianzhen.moving_months', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'charge lines are never changed: reverse them' USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER charge_line_is_final BEFORE UPDATE OR DELETE ON charge_line
    FOR EACH ROW EXECUTE FUNCTION charge_line_is_final();
CREATE TRIGGER charge_lines_are_final BEFORE TRUNCATE ON charge_line
    EXECUTE FUNCTION charge_line_is_final();

-- Take a batch of checked lines; one verdict a line. Whoever settles a stay holds the same row lock,
-- so a line either is in the bill that is being settled or finds the stay settled.
CREATE FUNCTION ingest_charges(of_hospital uuid, of_event text, at timestamptz, today date, lines jsonb)
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
