-- A daily bill as it is shown (journeys/bill_reading.py): the stay if the reader may see it, its bill, lines and
-- questions and what it is compared with, in one round trip; no row where the stay is unknown, no `id` where
-- the bill is. The lines leave PostgreSQL as the text that the answer carries: nothing computes, converts or
-- writes a line after this. `->>` of an unknown class or level is NULL.
--
-- The plan is made once: made anew for each bill, it would look at every month that ever was, and a hospital's
-- bills would cost twice as much after two years. At run time only the day's month is opened.
CREATE FUNCTION daily_bill_read(
    of_hospital uuid, of_stay uuid, on_day date, wanted bigint, labels jsonb, other text, patients uuid[],
    wards text[]
) RETURNS TABLE (
    patient_id uuid, inpatient_no text, ward_name text, bed text, id uuid, version bigint, made_at timestamptz,
    opened_at timestamptz, items_hash bytea, line_count bigint, added_count int, total_fen bigint,
    running_total_fen bigint, deposit_held_fen bigint, estimated_personal_fen bigint, before_total_fen bigint,
    insured boolean, name_sealed bytea, lines text, classes json, classes_before json, questions json
) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH stay AS (
        SELECT id, patient_id, inpatient_no, ward_name, bed FROM admission
        WHERE hospital_id = of_hospital AND id = of_stay AND within_reach(admission, patients, wards)
    ), bill AS (
        SELECT * FROM daily_bill
        WHERE hospital_id = of_hospital AND admission_id = (SELECT id FROM stay)
            AND day = on_day AND version = coalesce(wanted, version)
        ORDER BY version DESC LIMIT 1
    ), before AS (
        SELECT * FROM daily_bill
        WHERE hospital_id = of_hospital AND admission_id = (SELECT id FROM stay)
            AND day = on_day - 1
        ORDER BY version DESC LIMIT 1
    ), insured AS (
        SELECT id FROM insurance_encounter
        WHERE hospital_id = of_hospital AND admission_id = (SELECT id FROM stay)
            AND state <> 'CANCELLED'
    ), words AS MATERIALIZED (
        SELECT labels -> 'categories' AS categories,
            labels -> 'levels' AS levels
    ), line AS (
        SELECT line.seq,
            to_char(line.occurred_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS')
                AS occurred_at,
            line.category, line.hospital_code, line.national_code, line.item_name,
            line.specification, line.unit, trim_scale(line.quantity)::text AS quantity,
            trim_scale(line.unit_price)::text AS unit_price, line.amount_fen, line.insurance_level,
            coalesce(
                nullif(fee.verdict ->> 'selfpay_prop', 'None'),
                trim_scale(line.self_pay_ratio)::text
            ) AS self_pay_ratio,
            (fee.verdict ->> 'own_expense')::bigint AS own_expense_fen,
            (fee.verdict ->> 'over_limit')::bigint AS over_limit_fen,
            (fee.verdict ->> 'first_share')::bigint AS first_share_fen,
            (fee.verdict ->> 'in_scope')::bigint AS in_scope_fen,
            line.department_name, line.doctor_name, line.reverses IS NOT NULL AS reversal,
            line.seq = ANY (bill.added_seqs) AS added,
            coalesce(words.categories ->> line.category, words.categories ->> other)
                AS category_name,
            coalesce(words.levels ->> line.insurance_level, '') AS level_words
        FROM bill
        CROSS JOIN words
        JOIN charge_line line ON line.admission_id = of_stay AND line.occurred_on = on_day
            AND line.seq = ANY (bill.line_seqs)
        LEFT JOIN insurance_uploaded_fee fee ON fee.encounter_id = (SELECT id FROM insured)
            AND fee.line = line.source_line_id AND fee.state = 'UPLOADED'
        ORDER BY line.occurred_at, line.seq
    ), class_now AS (
        SELECT category, sum(amount_fen)::bigint AS total_fen FROM line GROUP BY category
    ), class_before AS (
        SELECT line.category, sum(line.amount_fen)::bigint AS total_fen
        FROM before
        JOIN charge_line line ON line.admission_id = of_stay
            AND line.occurred_on = on_day - 1 AND line.seq = ANY (before.line_seqs)
        GROUP BY line.category
    ), question AS (
        SELECT id, line_seq, text, asked_at, answer, answered_at FROM bill_question
        WHERE admission_id = (SELECT id FROM stay) AND day = on_day
        ORDER BY asked_at, id
    )
    SELECT stay.patient_id, stay.inpatient_no, stay.ward_name, stay.bed,
        bill.id, bill.version, bill.made_at, bill.opened_at, bill.items_hash, bill.line_count,
        cardinality(bill.added_seqs) AS added_count, bill.total_fen, bill.running_total_fen,
        bill.deposit_held_fen, bill.estimated_personal_fen, before.total_fen AS before_total_fen,
        EXISTS (SELECT FROM insured) AS insured, patient.name_sealed,
        (SELECT string_agg(row_to_json(line)::text, ',') FROM line) AS lines,
        (SELECT json_object_agg(category, total_fen) FROM class_now) AS classes,
        (SELECT json_object_agg(category, total_fen) FROM class_before) AS classes_before,
        (SELECT json_agg(question) FROM question) AS questions
    FROM stay JOIN patient ON patient.id = stay.patient_id
        LEFT JOIN bill ON true LEFT JOIN before ON true;
END $$;
