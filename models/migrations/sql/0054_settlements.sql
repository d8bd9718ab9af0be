-- A stay and its settlement (models/settlement_sheet.py): held and read by one statement, written down by one.
-- What is written comes from Python, ready made; here is the order in which it is locked and done.

-- The stay, then its run (the one named, else the one that is alive), locked until the transaction ends, and
-- what is decided by. "patients" and "wards": whose stays the asker may know of, null for no bound. Null when
-- there is no such stay.
CREATE FUNCTION settlement_hold(stay_id uuid, run_id uuid, house uuid, patients uuid[], wards text[])
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    stay admission;
    run settlement;
BEGIN
    SELECT a.* INTO stay FROM admission a
    WHERE a.id = stay_id AND (house IS NULL OR a.hospital_id = house) AND within_reach(a, patients, wards)
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT s.* INTO run FROM settlement s
    WHERE s.admission_id = stay_id AND CASE WHEN run_id IS NULL THEN s.state <> 'UNDONE' ELSE s.id = run_id END
    FOR UPDATE;
    RETURN jsonb_build_object(
        'stay', to_jsonb(stay),
        'run', CASE WHEN FOUND THEN to_jsonb(run) END,
        'claim', (SELECT to_jsonb(c) FROM aid_claim c WHERE c.settlement_id = run.id),
        'rounds', (SELECT coalesce(max(s.round), 0) FROM settlement s
                   WHERE s.hospital_id = stay.hospital_id AND s.admission_id = stay_id),
        'rule_packs', (SELECT to_jsonb(h.rule_packs) FROM hospital h WHERE h.id = stay.hospital_id),
        'aid_agency', (SELECT s.value FROM setting s
                       WHERE s.hospital_id = stay.hospital_id AND s.key = 'payers.medical_aid_agency'));
END $$;

-- What the insurer pays is known: written on the run while it is still as the caller saw it. The run as it
-- stands then.
CREATE FUNCTION settlement_insured(said jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    moved state_move := jsonb_populate_record(NULL::state_move, said -> 'moved');
BEGIN
    UPDATE settlement s SET state = moved.there, amounts = said -> 'amounts'
    WHERE s.id = moved.entity_id AND s.state = moved.here;
    IF FOUND THEN
        INSERT INTO state_move SELECT moved.*;
    END IF;
    RETURN (SELECT to_jsonb(s) FROM settlement s WHERE s.id = moved.entity_id);
END $$;

-- All that was decided about a stay that the caller holds: the run, new or from exactly the state it was in
-- ("was"), the stay, their moves and step, the ledger's movements in their order, the refund of the rest with
-- its legs, receipt, words, task and job. What the ledger refuses is answered as {"refused": code}, and
-- nothing of it is there.
CREATE FUNCTION settlement_write(said jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    run settlement := jsonb_populate_record(NULL::settlement, said -> 'run');
    each jsonb;
    answer jsonb;
BEGIN
    IF said ->> 'was' IS NULL THEN
        INSERT INTO settlement SELECT run.*;
    ELSE
        UPDATE settlement s
        SET (state, total_fen, insured, trial, trial_digest, aid_estimate_fen, personal_fen, applied_fen,
             booking, confirmed_by, confirmed_at, signature_sha256, closed_at, rule_pack)
            = (run.state, run.total_fen, run.insured, run.trial, run.trial_digest, run.aid_estimate_fen,
               run.personal_fen, run.applied_fen, run.booking, run.confirmed_by, run.confirmed_at,
               run.signature_sha256, run.closed_at, run.rule_pack)
        WHERE s.id = run.id AND s.state = said ->> 'was';
        IF NOT FOUND THEN
            RAISE restrict_violation USING MESSAGE = format('settlement %s is not %s', run.id, said ->> 'was');
        END IF;
    END IF;
    UPDATE admission a SET state = said #>> '{stay,state}'
    WHERE a.id = run.admission_id AND a.state <> said #>> '{stay,state}';
    INSERT INTO state_move SELECT * FROM jsonb_populate_recordset(NULL::state_move, said -> 'moves');
    INSERT INTO admission_step SELECT * FROM jsonb_populate_recordset(NULL::admission_step, said -> 'steps');
    INSERT INTO refund SELECT * FROM jsonb_populate_recordset(NULL::refund, said -> 'refunds');
    INSERT INTO refund_leg SELECT * FROM jsonb_populate_recordset(NULL::refund_leg, said -> 'legs');
    FOR each IN SELECT * FROM jsonb_array_elements(said -> 'movements') LOOP
        answer := ledger_post(each);
        IF answer ->> 'refused' IS NOT NULL THEN
            RAISE SQLSTATE 'XZ001' USING MESSAGE = answer ->> 'refused';
        END IF;
    END LOOP;
    PERFORM issue_receipt(paper) FROM jsonb_array_elements(said -> 'receipts') AS paper;
    PERFORM tell_patients(letter) FROM jsonb_array_elements(said -> 'letters') AS letter;
    PERFORM open_work_item(item) FROM jsonb_array_elements(said -> 'tasks') AS item;
    IF said ->> 'go_on_at' IS NOT NULL THEN  -- if this process dies on the way, the queue goes on
        PERFORM procrastinate_defer_jobs_v1(ARRAY[ROW('default', 'advance_settlement', 0, NULL, NULL,
            jsonb_build_object('hospital_id', run.hospital_id, 'admission_id', run.admission_id),
            (said ->> 'go_on_at')::timestamptz)::procrastinate_job_to_defer_v1]);
    END IF;
    RETURN '{}';
EXCEPTION
    WHEN SQLSTATE 'XZ001' THEN
        RETURN jsonb_build_object('refused', SQLERRM);
END $$;
