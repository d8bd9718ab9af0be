-- A question to the insurance platform, written down (models/insurance_calls.py): held, claimed and answered
-- by one statement each. What is written comes from Python, ready made; here is only what must be looked at
-- under a lock, and the order in which it is locked: the stay's encounter, then the call.

-- The encounter, locked until the transaction ends, whether a call holds it, what of the stay surely lies at the
-- platform (parts: the four of I6 over all lines, null when a line came without a verdict), whose it is, and
-- when the settlement that waits for the insurer was agreed to.
-- Several statements: each sees what was committed while the first waited. The lock leaves the key alone, or a
-- new call that refers to this row would wait for it.
CREATE FUNCTION insurance_hold(encounter_id uuid) RETURNS TABLE (
    encounter insurance_encounter, taken boolean, lines bigint, fen bigint, parts bigint[],
    name_sealed bytea, id_no_sealed bytea, agreed timestamptz)
LANGUAGE plpgsql AS $$
BEGIN
    SELECT e.* INTO encounter FROM insurance_encounter e WHERE e.id = insurance_hold.encounter_id
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    taken := EXISTS (SELECT FROM insurance_call c WHERE c.encounter_id = insurance_hold.encounter_id
                     AND c.holds AND c.state IN ('ASKED', 'UNKNOWN', 'HUMAN'));
    SELECT count(*), coalesce(sum(f.amount_fen), 0),
        CASE WHEN bool_and(f.verdict ? 'in_scope') IS NOT false THEN ARRAY[
            coalesce(sum((f.verdict ->> 'own_expense')::bigint), 0),
            coalesce(sum((f.verdict ->> 'over_limit')::bigint), 0),
            coalesce(sum((f.verdict ->> 'first_share')::bigint), 0),
            coalesce(sum((f.verdict ->> 'in_scope')::bigint), 0)] END
    INTO lines, fen, parts
    FROM insurance_uploaded_fee f
    WHERE f.encounter_id = insurance_hold.encounter_id AND f.state = 'UPLOADED';
    SELECT p.name_sealed, p.id_no_sealed INTO name_sealed, id_no_sealed
    FROM patient p WHERE p.id = encounter.patient_id;
    SELECT s.confirmed_at INTO agreed FROM settlement s
    WHERE s.admission_id = encounter.admission_id AND s.state <> 'UNDONE' AND s.state = 'CONFIRMED';
    RETURN NEXT;
END $$;

-- The call before it is sent, with the lines that it carries and the serials that they used up. Its msgid,
-- which gets its last four digits here.
CREATE FUNCTION insurance_claim(said jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    mine insurance_call := jsonb_populate_record(NULL::insurance_call, said -> 'call');
BEGIN
    mine.msgid := mine.msgid || lpad(nextval('insurance_message_number')::text, 4, '0');
    INSERT INTO insurance_call SELECT mine.*;
    INSERT INTO state_move SELECT * FROM jsonb_populate_record(NULL::state_move, said -> 'started');
    IF said ->> 'fees' IS NOT NULL THEN
        INSERT INTO insurance_uploaded_fee
            (id, hospital_id, encounter_id, call_id, line, feedetl_sn, amount_fen, state, verdict)
        SELECT f.id, mine.hospital_id, mine.encounter_id, mine.id, f.line, f.serial, f.amount_fen, 'CLAIMED', '{}'
        FROM jsonb_to_recordset(said -> 'fees') AS f(id uuid, line text, serial bigint, amount_fen bigint);
        UPDATE insurance_encounter e SET fee_serial = greatest(e.fee_serial,
            (SELECT max(f.serial) FROM jsonb_to_recordset(said -> 'fees') AS f(serial bigint)))
        WHERE e.id = mine.encounter_id;
    END IF;
    RETURN mine.msgid;
END $$;

-- What became of a call: its end, the moves of call and stay, what it changes on the stay and its fees. All of
-- it or nothing, and only while the call is still as the caller saw it ("was"); null: it is not, somebody else
-- finds out or did. False: the stay has gone on, and nothing of it was changed; that cannot be while the
-- call holds it.
CREATE FUNCTION insurance_answered(said jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    mine insurance_call;
    kept boolean := true;
BEGIN
    PERFORM FROM insurance_encounter e WHERE e.id = (said #>> '{call,encounter_id}')::uuid FOR NO KEY UPDATE;
    UPDATE insurance_call c
    SET (state, answered_at, settled_at, quiet_until, refmsgid, err_msg, task, facts) = (
        SELECT n.state, n.answered_at, n.settled_at, n.quiet_until, n.refmsgid, n.err_msg, n.task, n.facts
        FROM jsonb_populate_record(c, said -> 'call') n)
    WHERE c.id = (said #>> '{call,id}')::uuid AND c.state = said ->> 'was'
    RETURNING c.* INTO mine;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO state_move SELECT * FROM jsonb_populate_recordset(NULL::state_move, said -> 'moves');
    IF said ->> 'stay' IS NOT NULL THEN
        UPDATE insurance_encounter e
        SET (state, mdtrt_id, setl_id, trial, settlement) = (
            SELECT n.state, n.mdtrt_id, n.setl_id, n.trial, n.settlement
            FROM jsonb_populate_record(e, said -> 'stay') n)
        WHERE e.id = mine.encounter_id AND said -> 'stood' ? e.state;
        kept := FOUND;
        IF mine.holds AND NOT kept THEN
            RAISE restrict_violation USING MESSAGE = format('the stay of call %s has gone on', mine.id);
        END IF;
    END IF;
    IF said ->> 'batch' IS NOT NULL THEN  -- the lines of one 2301 share its fate
        UPDATE insurance_uploaded_fee f
        SET state = said ->> 'batch', verdict = coalesce(said -> 'verdicts' -> f.feedetl_sn::text, f.verdict)
        WHERE f.call_id = mine.id AND f.state <> 'WITHDRAWN';
    END IF;
    IF said ->> 'withdrawn' IS NOT NULL THEN  -- nothing of this stay lies at the platform any more
        UPDATE insurance_uploaded_fee f SET state = 'WITHDRAWN'
        WHERE f.encounter_id = mine.encounter_id AND f.state = 'UPLOADED';
    END IF;
    RETURN kept;
END $$;
