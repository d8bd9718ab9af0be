-- Money in, by one statement (payments/booking.py). What is booked, said and drawn comes from Python, ready
-- made; here is only what must be looked at under a lock, and the order in which things are done.

-- The money of an order is there: its move, from exactly the state that the caller saw and found drawn, the
-- ledger's booking, the receipt, the word to the patient. The receipt's number.
CREATE FUNCTION order_paid(said jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    moved state_move := jsonb_populate_record(NULL::state_move, said -> 'moved');
    payer uuid;
    number text;
    word jsonb := said #> '{told,words,0}';
BEGIN
    UPDATE payment_order o
    SET state = moved.there, channel_transaction = said ->> 'transaction',
        paid_at = (said ->> 'paid_at')::timestamptz
    WHERE o.id = moved.entity_id AND o.state = moved.here
    RETURNING o.patient_id INTO payer;
    IF NOT FOUND THEN
        RAISE restrict_violation USING MESSAGE = format('order %s is not %s', moved.entity_id, moved.here);
    END IF;
    INSERT INTO state_move SELECT moved.*;
    IF said ->> 'movement' IS NOT NULL THEN  -- else the caller moved stored money
        PERFORM ledger_write(said -> 'movement');
    END IF;
    number := issue_receipt(jsonb_set(said -> 'receipt', '{facts,patient_id}', to_jsonb(payer)));
    IF word IS NOT NULL THEN
        word := word || jsonb_build_object('patient_id', payer);
        word := jsonb_set(word, '{values,receipt}', to_jsonb(number));
        PERFORM tell_patients(jsonb_set(said -> 'told', '{words,0}', word));
    END IF;
    RETURN number;
END $$;

-- Money for a stay is there. The run of its settlement is told to go on. What is over the quota or comes
-- after the bill was closed is kept, and a person must offer it back (GZ-17); what pays a bill that is due
-- is needed.
CREATE FUNCTION deposit_arrived(said jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    of_settlement boolean := said #>> '{receipt,kind}' = 'SETTLEMENT';
    stay admission;
    number text;
BEGIN
    SELECT a.* INTO STRICT stay FROM admission a
    WHERE a.id = (said #>> '{receipt,facts,admission_id}')::uuid FOR UPDATE;
    number := order_paid(said);
    IF of_settlement THEN
        PERFORM defer_job('advance_settlement', jsonb_build_object(
            'hospital_id', stay.hospital_id, 'admission_id', stay.id));
    END IF;
    IF (stay.state IN ('SETTLED', 'CANCELLED') OR NOT of_settlement AND deposit_held(stay) > stay.quota_fen)
        AND NOT EXISTS (SELECT FROM settlement run WHERE run.admission_id = stay.id AND run.state = 'DUE')
    THEN
        PERFORM open_work_item(said -> 'offer_back');
    END IF;
    RETURN number;
END $$;

-- A deposit is wanted: the order that this key began, or a new one while the stay, under its lock, is in the
-- house and has room under its quota; paid at once where the money lies on the counter. "patients" and
-- "wards": whose stays the asker may know of, null for no bound. Answers {"refused": code}, or what is not
-- known before about the order.
CREATE FUNCTION collect_deposit(said jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    wish payment_order := jsonb_populate_record(NULL::payment_order, said -> 'order');
    mine payment_order;
    stay admission;
    room bigint;
    number text;
BEGIN
    SELECT a.* INTO stay FROM admission a
    WHERE a.id = wish.subject_id AND a.hospital_id = wish.hospital_id
      AND (said ->> 'patients' IS NULL OR said -> 'patients' ? a.patient_id::text)
      AND (said ->> 'wards' IS NULL OR said -> 'wards' ? a.ward)
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN jsonb_build_object('refused', 'ADMISSION_UNKNOWN');
    END IF;
    SELECT o.* INTO mine FROM payment_order o
    WHERE o.hospital_id = wish.hospital_id AND o.asked_by = wish.asked_by AND o.client_key = wish.client_key;
    IF FOUND THEN
        IF mine.request_hash <> wish.request_hash THEN
            RETURN jsonb_build_object('refused', 'IDEMPOTENCY_CONFLICT');
        END IF;
        SELECT r.number INTO number FROM receipt r
        WHERE r.hospital_id = mine.hospital_id AND r.kind = mine.purpose AND r.subject_id = mine.id;
        RETURN to_jsonb(mine) || jsonb_build_object('receipt_no', number);
    END IF;
    room := deposit_room(stay);
    IF stay.state <> 'IN_HOUSE' THEN
        RETURN jsonb_build_object('refused', 'ADMISSION_NOT_IN_HOUSE');
    ELSIF room IS NULL THEN
        RETURN jsonb_build_object('refused', 'QUOTA_NOT_SET');
    ELSIF wish.amount_fen > room THEN
        RETURN jsonb_build_object('refused', 'DEPOSIT_CAP_EXCEEDED', 'room_fen', room);
    END IF;
    wish.patient_id := stay.patient_id;
    INSERT INTO payment_order SELECT wish.* ON CONFLICT (hospital_id, asked_by, client_key) DO NOTHING;
    IF NOT FOUND THEN  -- the same key for another stay, at this moment
        RETURN jsonb_build_object('refused', 'IDEMPOTENCY_CONFLICT');
    END IF;
    INSERT INTO state_move SELECT * FROM jsonb_populate_record(NULL::state_move, said -> 'started');
    INSERT INTO admission_step SELECT * FROM jsonb_populate_record(NULL::admission_step, said -> 'step');
    IF said ->> 'paid' IS NOT NULL THEN
        number := order_paid(said -> 'paid');
    END IF;
    SELECT o.* INTO STRICT mine FROM payment_order o WHERE o.id = wish.id;
    RETURN to_jsonb(mine) || jsonb_build_object('receipt_no', number);
END $$;

-- Fen that a stay holds as deposit.
CREATE FUNCTION deposit_held(stay admission) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN coalesce((
        SELECT -a.balance_fen FROM account a
        WHERE a.hospital_id = stay.hospital_id AND a.kind = 'INPATIENT_DEPOSIT' AND a.owner = stay.id::text), 0);
END $$;

-- Fen that may still be collected (GZ-17), on a net basis (D-21): what was given back may be collected
-- again, and open orders count as if paid. Never below zero; null without a quota.
CREATE FUNCTION deposit_room(stay admission) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    pending bigint;
BEGIN
    SELECT coalesce(sum(o.amount_fen), 0) INTO pending FROM payment_order o
    WHERE o.hospital_id = stay.hospital_id AND o.subject_id = stay.id AND o.purpose = 'DEPOSIT'
      AND o.state IN ('CREATED', 'WAITING');
    RETURN CASE WHEN stay.quota_fen IS NOT NULL
                THEN greatest(0, stay.quota_fen - deposit_held(stay) - pending) END;
END $$;
