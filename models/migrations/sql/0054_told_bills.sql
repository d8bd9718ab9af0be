-- The bills of a night are told where they are made: no bill leaves PostgreSQL for its message, and twenty
-- messages share a job, which tries each of them by itself.

-- A UUIDv7 whose other bits are a hash of what it names. PostgreSQL asks the system for the random bytes of
-- each UUID, which costs ten times as much. since_1970: the milliseconds as 12 hexadecimal digits.
CREATE FUNCTION uuid7_named(since_1970 text, what bytea) RETURNS uuid
LANGUAGE sql IMMUTABLE AS $$
    SELECT overlay(overlay(encode(substring(sha256(what) FOR 16), 'hex')
        PLACING since_1970 || '7' FROM 1 FOR 13) PLACING '8' FROM 17 FOR 1)::uuid
$$;

CREATE FUNCTION since_1970(at timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0')
$$;

-- The jobs that carry these messages: a job for one, or one for twenty.
CREATE FUNCTION queue_messages(house uuid, messages uuid[], priority int) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM procrastinate_defer_jobs_v1(array_agg(
        CASE WHEN cardinality(messages) = 1 THEN
            ROW('default', 'deliver_message', priority, NULL, NULL,
                jsonb_build_object('hospital_id', house, 'message_id', pack.ids[1]), NULL)
            ::procrastinate_job_to_defer_v1
        ELSE
            ROW('default', 'deliver_messages', priority, NULL, NULL,
                jsonb_build_object('hospital_id', house, 'message_ids', pack.ids), NULL)
            ::procrastinate_job_to_defer_v1
        END ORDER BY pack.nth))
    FROM (SELECT (nth - 1) / 20 AS nth, array_agg(id ORDER BY nth) AS ids
          FROM unnest(messages) WITH ORDINALITY AS message (id, nth) GROUP BY 1) pack;
END $$;

-- One word to each of these patients (notifications/many.py): the message, the first row of its trail, as
-- Machine.start leaves it, and its job. The ids of those whose key had not been told before.
CREATE OR REPLACE FUNCTION tell_patients(said jsonb) RETURNS uuid[] LANGUAGE plpgsql AS $$
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
    PERFORM queue_messages(house, told, (said ->> 'priority')::int);
    RETURN told;
END $$;

-- As policies/money.py writes it: 8546 is 85.46.
CREATE FUNCTION yuan(fen bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT round(fen / 100.0, 2)::text
$$;

-- The word to each patient whose bills these are, as tell_patients stores it; how many bills there are.
-- words: what is said of a first version and of a corrected one, all but the day and the total.
CREATE FUNCTION tell_of_bills(house uuid, moment timestamptz, words jsonb, bills uuid[]) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    stamp text := since_1970(moment);
    told uuid[];
BEGIN
    IF bills IS NULL THEN
        RETURN 0;
    END IF;
    WITH said AS MATERIALIZED (
        SELECT first, word ->> 'template' AS template, word ->> 'route' AS route, word -> 'values' AS "values"
        FROM (VALUES (true, words -> 'first'), (false, words -> 'corrected')) AS either (first, word)
    ), stored AS (
        INSERT INTO message (id, hospital_id, key, patient_id, template, "values", state, route,
            attempts, answer, created_at, next_try_at)
        SELECT uuid7_named(stamp, 'message' || uuid_send(bill.id)), house, 'daily-bill:' || bill.id,
            stay.patient_id, said.template,
            said."values" || jsonb_build_object('day', bill.day, 'total', yuan(bill.total_fen)),
            'QUEUED', said.route, 0, '', moment, moment
        FROM unnest(bills) AS made (id)
        JOIN daily_bill bill USING (id)
        JOIN admission stay ON stay.id = bill.admission_id
        JOIN said ON said.first = (bill.version = 1)
        RETURNING id, template
    ), moved AS (
        INSERT INTO state_move (id, hospital_id, machine, entity_id, there, at, by, why)
        SELECT uuid7_named(stamp, 'move' || uuid_send(id)), house, 'Message', id, 'QUEUED', moment,
            'system', template
        FROM stored
    )
    SELECT array_agg(id) INTO told FROM stored;
    PERFORM queue_messages(house, told, (words ->> 'priority')::int);
    RETURN cardinality(bills);
END $$;

-- A bill without added lines is not searched for them.
ALTER TABLE daily_bill DROP CONSTRAINT ck_daily_bill_added_lines_listed;
ALTER TABLE daily_bill ADD CONSTRAINT ck_daily_bill_added_lines_listed
    CHECK (added_seqs = '{}' OR added_seqs <@ line_seqs);

DROP FUNCTION make_daily_bills(uuid, date, timestamptz);
DROP FUNCTION correct_daily_bills(uuid, timestamptz);
DROP FUNCTION write_daily_bills(uuid, uuid[], date[], timestamptz);

-- The next version of the bills of these days of these stays, where their lines are not those of the
-- last version; the first version also without a line.
CREATE FUNCTION write_daily_bills(of_hospital uuid, stays uuid[], days date[], at timestamptz)
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
        coalesce(listed.items_hash, sha256('')), at
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
    RETURNING id
$$;

-- The bills of one day that are still missing. One node at a time in a hospital: the second one waits,
-- then finds nothing to do.
CREATE FUNCTION make_daily_bills(of_hospital uuid, on_day date, at timestamptz)
RETURNS SETOF uuid
LANGUAGE plpgsql SET work_mem = '64MB' AS $$
#variable_conflict use_column
DECLARE
    stamp text := since_1970(at);
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
            sha256(string_agg(line.line_hash, ''::bytea ORDER BY line.occurred_at, line.seq)) AS items_hash
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
    SELECT uuid7_named(stamp, 'bill' || uuid_send(stay.id) || date_send(on_day)),
        stay.hospital_id, stay.id, on_day, 1, coalesce(listed.seqs, '{}'), '{}',
        coalesce(listed.line_count, 0), coalesce(listed.total_fen, 0),
        coalesce(before.total_fen, 0) + coalesce(listed.total_fen, 0),
        coalesce(-deposit.balance_fen, 0),
        (coalesce(insured.settlement, insured.trial) ->> 'personal')::bigint,
        coalesce(listed.items_hash, sha256('')), at
    FROM inside
    FULL JOIN listed ON listed.admission_id = inside.admission_id
    -- Looked up for each bill, and never the other way round: where statistics know only small hospitals, all
    -- lines would be gathered anew for each stay of a big one. LIMIT keeps the planner from turning it.
    CROSS JOIN LATERAL (
        SELECT * FROM admission WHERE id = coalesce(inside.admission_id, listed.admission_id)
            AND hospital_id = of_hospital LIMIT 1
    ) stay
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
    RETURNING id;
END $$;

-- New versions for the days that got lines after they were over. A day that is receiving lines at this
-- moment is left for the next run. The marks are taken away before the lines are read: a line that
-- arrives in between leaves a new mark.
CREATE FUNCTION correct_daily_bills(of_hospital uuid, at timestamptz)
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
    RETURN QUERY SELECT * FROM write_daily_bills(of_hospital, stays, days, at);
END $$;
