-- The night reads the lines of its day once, as one set: they say who was charged, and what. A bill that is
-- made here is the first of its day, so nothing of an earlier version is looked at; corrections keep
-- write_daily_bills.

-- A UUIDv7 of this moment: two bits make version 7 of a random UUID's version 4. One expression without a
-- sub-query, so that the planner puts it into the statement that asks for it.
CREATE OR REPLACE FUNCTION uuid7_of(at timestamptz) RETURNS uuid
LANGUAGE sql VOLATILE AS $$
    SELECT encode(set_bit(set_bit(
        overlay(uuid_send(gen_random_uuid())
            PLACING substring(int8send(floor(extract(epoch FROM at) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
        52, 1), 53, 1), 'hex')::uuid
$$;

-- The bills of one day that are still missing. One node at a time in a hospital: the second one waits,
-- then finds nothing to do.
CREATE OR REPLACE FUNCTION make_daily_bills(of_hospital uuid, on_day date, at timestamptz)
RETURNS SETOF daily_bill
LANGUAGE plpgsql SET work_mem = '64MB' AS $$
#variable_conflict use_column
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('daily_bill'), hashtext(of_hospital::text));
    RETURN QUERY
    WITH billed AS MATERIALIZED (
        SELECT admission_id FROM daily_bill WHERE hospital_id = of_hospital AND day = on_day
    ), listed AS (
        SELECT line.admission_id,
            array_agg(line.seq ORDER BY line.occurred_at, line.seq) AS seqs,
            count(*) AS line_count,
            sum(line.amount_fen)::bigint AS total_fen,
            sha256(convert_to(string_agg(
                concat_ws('|', line.source_line_id, line.item_name, line.specification, line.unit,
                          line.quantity, line.unit_price, line.amount_fen),
                E'\n' ORDER BY line.occurred_at, line.seq), 'UTF8')) AS items_hash
        FROM charge_line line
        WHERE line.hospital_id = of_hospital AND line.occurred_on = on_day
            AND line.admission_id NOT IN (SELECT admission_id FROM billed)
        GROUP BY line.admission_id
    ), inside AS (
        SELECT admission_id FROM in_house_on(of_hospital, on_day)
        WHERE admission_id NOT IN (SELECT admission_id FROM billed)
    )
    INSERT INTO daily_bill (
        id, hospital_id, admission_id, day, version, line_seqs, added_seqs, line_count, total_fen,
        running_total_fen, deposit_held_fen, estimated_personal_fen, items_hash, made_at)
    SELECT uuid7_of(at), stay.hospital_id, stay.id, on_day, 1, coalesce(listed.seqs, '{}'), '{}',
        coalesce(listed.line_count, 0), coalesce(listed.total_fen, 0),
        coalesce(before.total_fen, 0) + coalesce(listed.total_fen, 0),
        coalesce(-deposit.balance_fen, 0),
        (coalesce(insured.settlement, insured.trial) ->> 'personal')::bigint,
        coalesce(listed.items_hash, sha256('')), at
    FROM inside
    FULL JOIN listed ON listed.admission_id = inside.admission_id
    JOIN admission stay ON stay.id = coalesce(inside.admission_id, listed.admission_id)
        AND stay.hospital_id = of_hospital
    -- Stay by stay over the stay's own days: lines of others cost nothing, however many are stored.
    CROSS JOIN LATERAL (
        SELECT sum(line.amount_fen)::bigint AS total_fen FROM charge_line line
        WHERE line.admission_id = stay.id AND line.occurred_on >= stay.first_charged_on
            AND line.occurred_on < on_day AND stay.first_charged_on < on_day
    ) before
    LEFT JOIN account deposit
        ON deposit.hospital_id = of_hospital AND deposit.kind = 'INPATIENT_DEPOSIT'
       AND deposit.owner = stay.id::text
    LEFT JOIN insurance_encounter insured
        ON insured.hospital_id = of_hospital AND insured.admission_id = stay.id
       AND insured.state <> 'CANCELLED'
    ON CONFLICT (hospital_id, admission_id, day, version) DO NOTHING
    RETURNING *;
END $$;
