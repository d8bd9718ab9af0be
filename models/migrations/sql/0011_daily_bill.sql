-- The daily bill of a whole hospital as set operations (CQ-5.3).

-- A UUIDv7 of this moment: 48 bits of milliseconds, then the random rest of a version 4.
CREATE FUNCTION uuid7_of(at timestamptz) RETURNS uuid
LANGUAGE sql VOLATILE AS $$
    SELECT encode(
        substring(int8send(floor(extract(epoch FROM at) * 1000)::bigint) FROM 3)
            || set_byte(random.bits, 0, get_byte(random.bits, 0) & 15 | 112), 'hex')::uuid
    FROM (SELECT substring(uuid_send(gen_random_uuid()) FROM 7) AS bits) random
$$;

-- Who was in the house on a Shanghai day: registered, came not later, left not earlier. The day of
-- leaving counts. Somebody who left without the bed's release being reported left when it was ordered.
CREATE FUNCTION in_house_on(of_hospital uuid, on_day date) RETURNS TABLE (admission_id uuid)
LANGUAGE sql STABLE AS $$
    SELECT id FROM admission
    WHERE hospital_id = of_hospital
      AND state IN ('IN_HOUSE', 'LEAVING', 'SETTLED')
      AND (admitted_at AT TIME ZONE 'Asia/Shanghai')::date <= on_day
      AND (coalesce(left_at, CASE WHEN state = 'SETTLED' THEN ordered_at END, 'infinity')
           AT TIME ZONE 'Asia/Shanghai')::date >= on_day
$$;

-- The next version of the bills of these days of these stays, where their lines are not those of the
-- last version; the first version also without a line.
CREATE FUNCTION write_daily_bills(of_hospital uuid, stays uuid[], days date[], at timestamptz)
RETURNS SETOF daily_bill
LANGUAGE sql VOLATILE AS $$
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
        WHERE line.occurred_on = ANY (days)
        GROUP BY due.admission_id, due.day
    ), so_far AS (
        SELECT due.admission_id, due.day, sum(line.amount_fen)::bigint AS total_fen
        FROM due
        JOIN charge_line line ON line.admission_id = due.admission_id AND line.occurred_on <= due.day
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
        coalesce(listed.line_count, 0), coalesce(listed.total_fen, 0), coalesce(so_far.total_fen, 0),
        coalesce(-deposit.balance_fen, 0),
        (coalesce(insured.settlement, insured.trial) ->> 'personal')::bigint,
        sha256(convert_to(coalesce(listed.items, ''), 'UTF8')), at
    FROM due
    LEFT JOIN listed USING (admission_id, day)
    LEFT JOIN so_far USING (admission_id, day)
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
CREATE FUNCTION make_daily_bills(of_hospital uuid, on_day date, at timestamptz)
RETURNS SETOF daily_bill
LANGUAGE plpgsql AS $$
DECLARE
    stays uuid[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('daily_bill'), hashtext(of_hospital::text));
    SELECT array_agg(inside.admission_id) INTO stays FROM (
        SELECT admission_id FROM in_house_on(of_hospital, on_day)
        UNION
        SELECT admission_id FROM charge_line WHERE hospital_id = of_hospital AND occurred_on = on_day
        EXCEPT
        SELECT admission_id FROM daily_bill WHERE hospital_id = of_hospital AND day = on_day
    ) inside;
    RETURN QUERY SELECT * FROM write_daily_bills(
        of_hospital, stays, array_fill(on_day, ARRAY[coalesce(cardinality(stays), 0)]), at);
END $$;

-- New versions for the days that got lines after they were over. A day that is receiving lines at this
-- moment is left for the next run. The marks are taken away before the lines are read: a line that
-- arrives in between leaves a new mark.
CREATE FUNCTION correct_daily_bills(of_hospital uuid, at timestamptz)
RETURNS SETOF daily_bill
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
    RETURN QUERY SELECT * FROM write_daily_bills(of_hospital, stays, days, at);
END $$;

-- A version is never edited; who opened it first is noted once.
CREATE FUNCTION daily_bill_is_final() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.opened_at IS NULL
        AND to_jsonb(NEW) - 'opened_at' - 'opened_by' = to_jsonb(OLD) - 'opened_at' - 'opened_by' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a daily bill is never edited: make the next version' USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER daily_bill_is_final BEFORE UPDATE OR DELETE ON daily_bill
    FOR EACH ROW EXECUTE FUNCTION daily_bill_is_final();
CREATE TRIGGER daily_bills_are_final BEFORE TRUNCATE ON daily_bill
    EXECUTE FUNCTION daily_bill_is_final();
