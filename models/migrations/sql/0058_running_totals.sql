-- A late charge or reversal of one day changes the running totals of all days after it. Their bills are not
-- edited: they get a next version, with the same lines; the patient is told of the day that changed, not of
-- each day after it.

-- The next version of the bills of these days of these stays, where their lines or their running total are
-- not those of the last version; the first version also without a line. Those that the patient is told of:
-- the first ones, and those with other lines.
CREATE OR REPLACE FUNCTION write_daily_bills(of_hospital uuid, stays uuid[], days date[], at timestamptz)
RETURNS SETOF uuid
LANGUAGE sql VOLATILE SET work_mem = '64MB' AS $$
    WITH due AS MATERIALIZED (
        SELECT DISTINCT stay AS admission_id, on_day AS day FROM unnest(stays, days) AS wanted (stay, on_day)
    ), listed AS (
        SELECT due.admission_id, due.day,
            array_agg(line.seq ORDER BY line.occurred_at, line.seq) AS seqs,
            count(*) AS line_count,
            sum(line.amount_fen)::bigint AS total_fen,
            sha256(string_agg(line.line_hash, ''::bytea ORDER BY line.occurred_at, line.seq)) AS items_hash
        FROM due
        JOIN charge_line line ON line.admission_id = due.admission_id AND line.occurred_on = due.day
        WHERE line.occurred_on BETWEEN (SELECT min(day) FROM due) AND (SELECT max(day) FROM due)
        GROUP BY due.admission_id, due.day
    ), charged AS MATERIALIZED (
        SELECT line.admission_id, line.occurred_on AS day, sum(line.amount_fen)::bigint AS total_fen
        FROM (SELECT DISTINCT admission_id FROM due) stay
        JOIN charge_line line ON line.admission_id = stay.admission_id
        -- Both are known before any month is opened.
        WHERE line.occurred_on >= (
                SELECT min(stay.first_charged_on)
                FROM due JOIN admission stay ON stay.id = due.admission_id)
            AND line.occurred_on <= (SELECT max(day) FROM due)
        GROUP BY line.admission_id, line.occurred_on
    ), running AS (
        SELECT due.admission_id, due.day, sum(charged.total_fen)::bigint AS total_fen
        FROM due JOIN charged ON charged.admission_id = due.admission_id AND charged.day <= due.day
        GROUP BY due.admission_id, due.day
    ), last AS (
        SELECT DISTINCT ON (due.admission_id, due.day) bill.*
        FROM due JOIN daily_bill bill
            ON bill.hospital_id = of_hospital AND bill.admission_id = due.admission_id AND bill.day = due.day
        ORDER BY due.admission_id, due.day, bill.version DESC
    ), written AS (
        INSERT INTO daily_bill (
            id, hospital_id, admission_id, day, version, line_seqs, added_seqs, line_count, total_fen,
            running_total_fen, deposit_held_fen, estimated_personal_fen, items_hash, made_at)
        SELECT uuid7_of(at), of_hospital, due.admission_id, due.day, coalesce(last.version, 0) + 1,
            coalesce(listed.seqs, '{}'),
            CASE
                WHEN last.version IS NULL THEN '{}'
                WHEN last.line_seqs = coalesce(listed.seqs, '{}') THEN last.added_seqs
                ELSE ARRAY(SELECT seq FROM unnest(listed.seqs) seq WHERE seq <> ALL (last.line_seqs))
            END,
            coalesce(listed.line_count, 0), coalesce(listed.total_fen, 0), coalesce(running.total_fen, 0),
            coalesce(-deposit.balance_fen, 0),
            (coalesce(insured.settlement, insured.trial) ->> 'personal')::bigint,
            coalesce(listed.items_hash, sha256('')), at
        FROM due
        LEFT JOIN listed USING (admission_id, day)
        LEFT JOIN running USING (admission_id, day)
        LEFT JOIN last USING (admission_id, day)
        LEFT JOIN account deposit
            ON deposit.hospital_id = of_hospital AND deposit.kind = 'INPATIENT_DEPOSIT'
           AND deposit.owner = due.admission_id::text
        LEFT JOIN insurance_encounter insured
            ON insured.hospital_id = of_hospital AND insured.admission_id = due.admission_id
           AND insured.state <> 'CANCELLED'
        WHERE last.version IS NULL OR last.line_seqs <> listed.seqs
            OR last.running_total_fen <> coalesce(running.total_fen, 0)
        ON CONFLICT (hospital_id, admission_id, day, version) DO NOTHING
        RETURNING id, admission_id, day, line_seqs
    )
    SELECT written.id FROM written LEFT JOIN last USING (admission_id, day)
    WHERE last.line_seqs IS DISTINCT FROM written.line_seqs
$$;

-- New versions for the days that got lines after they were over, and for the days after them, whose running
-- totals were made without these lines. A day that is receiving lines at this moment is left for the next
-- run. The marks are taken away before the lines are read: a line that arrives in between leaves a new mark.
CREATE OR REPLACE FUNCTION correct_daily_bills(of_hospital uuid, at timestamptz)
RETURNS SETOF uuid
LANGUAGE plpgsql AS $$
DECLARE
    stays uuid[];
    days date[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('daily_bill'), hashtext(of_hospital::text));
    WITH free AS (
        SELECT admission_id, day FROM unbilled_day
        WHERE hospital_id = of_hospital ORDER BY admission_id, day FOR UPDATE SKIP LOCKED
    ), taken AS (
        DELETE FROM unbilled_day mark USING free
        WHERE mark.hospital_id = of_hospital
          AND mark.admission_id = free.admission_id AND mark.day = free.day
        RETURNING mark.admission_id, mark.day
    )
    SELECT array_agg(admission_id), array_agg(day) INTO stays, days FROM taken;
    RETURN QUERY
    WITH late AS (
        SELECT stay, on_day FROM unnest(stays, days) AS mark (stay, on_day)
    ), due AS (
        SELECT stay, on_day FROM late
        UNION
        SELECT bill.admission_id, bill.day
        FROM (SELECT stay, min(on_day) AS day FROM late GROUP BY stay) first
        JOIN daily_bill bill ON bill.hospital_id = of_hospital AND bill.admission_id = first.stay
            AND bill.day > first.day AND bill.version = 1
    )
    SELECT told.id
    FROM (SELECT array_agg(stay) AS stay, array_agg(on_day) AS on_day FROM due) every
    CROSS JOIN LATERAL write_daily_bills(of_hospital, every.stay, every.on_day, at) AS told (id);
END $$;
