-- The ledger's functions and the rules that the database itself keeps (docs/ledger.md).
-- Refusals of ours carry SQLSTATE XZ001 and their code as message; ledger_post answers them as
-- {"refused": code}, so that the caller's transaction stays usable.

-- Books one movement: transaction, missing accounts, balances, lines, lots, takes. Returns its id, or
-- the id under which the same key and content was booked before. Row by row on purpose: a movement
-- has few lines, and every statement here finds its one row by a unique index, whatever the planner
-- believes about the tables.
CREATE FUNCTION ledger_write(said jsonb) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    mine uuid := said ->> 'id';
    house uuid := said ->> 'hospital_id';
    there record;
    moved record;
    touched uuid;
    all_touched uuid[] := '{}';
BEGIN
    INSERT INTO ledger_transaction (id, hospital_id, key, kind, why, by, at, reverses, content_hash)
    SELECT mine, house, s.key, s.kind, s.why, s.by, s.at, s.reverses, s.content_hash
    FROM jsonb_to_record(said)
        AS s(key text, kind text, why text, by text, at timestamptz, reverses uuid, content_hash text)
    ON CONFLICT (hospital_id, key) DO NOTHING;
    IF NOT FOUND THEN
        SELECT t.id, t.content_hash INTO STRICT there
        FROM ledger_transaction t WHERE t.hospital_id = house AND t.key = said ->> 'key';
        IF there.content_hash <> said ->> 'content_hash' THEN
            RAISE SQLSTATE 'XZ001' USING MESSAGE = 'LEDGER_KEY_REUSED';
        END IF;
        RETURN there.id;
    END IF;

    -- Accounts are made and locked in one order for everybody: two movements over the same accounts
    -- wait for each other, never in a circle.
    FOR moved IN
        SELECT l.kind, l.owner, sum(l.amount_fen)::bigint AS fen,
               (array_agg(l.account_id))[1] AS new_id
        FROM jsonb_to_recordset(said -> 'lines')
            AS l(kind text, owner text, amount_fen bigint, account_id uuid)
        GROUP BY l.kind, l.owner ORDER BY l.kind, l.owner
    LOOP
        touched := ledger_touch(house, moved.kind, moved.owner, moved.fen, moved.new_id);
        all_touched := all_touched || touched;
        INSERT INTO ledger_line (transaction_id, no, hospital_id, account_id, amount_fen)
        SELECT mine, l.no, house, touched, (l.line ->> 'amount_fen')::bigint
        FROM jsonb_array_elements(said -> 'lines') WITH ORDINALITY AS l(line, no)
        WHERE l.line ->> 'kind' = moved.kind AND l.line ->> 'owner' = moved.owner;
    END LOOP;

    INSERT INTO lot (id, hospital_id, account_id, transaction_id, channel, channel_transaction,
                     order_id, paid_at, amount_fen, paid_fen)
    SELECT n.id, house, ledger_account(house, n.kind, n.owner), mine, n.channel,
           n.channel_transaction, n.order_id, n.paid_at, n.amount_fen, n.paid_fen
    FROM jsonb_to_recordset(said -> 'lots')
        AS n(id uuid, kind text, owner text, channel text, channel_transaction text,
             order_id uuid, paid_at timestamptz, amount_fen bigint, paid_fen bigint);
    FOR moved IN
        SELECT t.take, t.no FROM jsonb_array_elements(said -> 'takes') WITH ORDINALITY AS t(take, no)
    LOOP
        PERFORM ledger_take(mine, house, all_touched, moved.take, moved.no,
                            (said ->> 'at')::timestamptz);
    END LOOP;
    RETURN mine;
END $$;

-- The account's row, changed under its lock; made first if it is not there.
CREATE FUNCTION ledger_touch(house uuid, its_kind text, its_owner text, fen bigint, new_id uuid)
RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    touched uuid;
BEGIN
    LOOP
        UPDATE account a SET balance_fen = a.balance_fen + fen
        WHERE a.hospital_id = house AND a.kind = its_kind AND a.owner = its_owner
        RETURNING a.id INTO touched;
        EXIT WHEN touched IS NOT NULL;
        INSERT INTO account (id, hospital_id, kind, owner, balance_fen)
        VALUES (new_id, house, its_kind, its_owner, fen)
        ON CONFLICT (hospital_id, kind, owner) DO NOTHING
        RETURNING id INTO touched;
        EXIT WHEN touched IS NOT NULL;  -- else somebody was faster, and the update finds it now
    END LOOP;
    RETURN touched;
END $$;

CREATE FUNCTION ledger_account(house uuid, its_kind text, its_owner text)
RETURNS uuid LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT a.id FROM account a
            WHERE a.hospital_id = house AND a.kind = its_kind AND a.owner = its_owner);
END $$;

-- Takes from one lot of an account that this transaction has locked, or returns to it (RETURN, with
-- what it undoes in "was"). A moved part becomes a lot of the account that it goes to.
CREATE FUNCTION ledger_take(
    mine uuid, house uuid, touched uuid[], take jsonb, no bigint, moment timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    the_use text := take ->> 'use';
    fen bigint := take ->> 'amount_fen';
    signed bigint := CASE WHEN the_use = 'RETURN' THEN -fen ELSE fen END;
    refunds int := CASE WHEN the_use = 'REFUND' THEN 1 WHEN take ->> 'was' = 'REFUND' THEN -1 ELSE 0 END;
    taken lot;
BEGIN
    UPDATE lot l
    SET spent_fen = l.spent_fen + CASE WHEN refunds = 0 THEN signed ELSE 0 END,
        refunded_fen = l.refunded_fen + CASE WHEN refunds = 0 THEN 0 ELSE signed END,
        parts = l.parts + refunds,
        last_refund_at = CASE WHEN refunds = 1 THEN greatest(l.last_refund_at, moment)
                              ELSE l.last_refund_at END
    WHERE l.id = (take ->> 'lot_id')::uuid AND l.account_id = ANY (touched)
    RETURNING l.* INTO taken;
    IF NOT FOUND THEN
        RAISE SQLSTATE 'XZ001' USING MESSAGE = 'LOT_UNKNOWN';
    END IF;
    INSERT INTO lot_use (transaction_id, no, hospital_id, lot_id, kind, amount_fen)
    VALUES (mine, no, house, taken.id, the_use, fen);
    IF the_use = 'MOVE' THEN
        INSERT INTO lot (id, hospital_id, account_id, transaction_id, channel, channel_transaction,
                         order_id, paid_at, amount_fen, paid_fen)
        VALUES ((take ->> 'new_lot_id')::uuid, house,
                ledger_account(house, take ->> 'to_kind', take ->> 'to_owner'), mine,
                taken.channel, taken.channel_transaction, taken.order_id, taken.paid_at,
                fen, taken.paid_fen);
    END IF;
END $$;

-- Post, with every refusal as an answer instead of an error.
CREATE FUNCTION ledger_post(said jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    broken text;
    refusal text;
BEGIN
    RETURN jsonb_build_object('id', ledger_write(said));
EXCEPTION
    WHEN SQLSTATE 'XZ001' THEN
        RETURN jsonb_build_object('refused', SQLERRM);
    WHEN check_violation OR unique_violation THEN
        GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME;
        refusal := CASE broken
            WHEN 'ck_account_owes' THEN 'BALANCE_TOO_LOW'
            WHEN 'ck_account_is_owed' THEN 'BALANCE_TOO_LOW'
            WHEN 'ck_lot_not_overdrawn' THEN 'LOTS_CHANGED'
            WHEN 'uq_ledger_transaction_reverses' THEN 'LEDGER_ALREADY_REVERSED'
        END;
        IF refusal IS NULL THEN
            RAISE;
        END IF;
        RETURN jsonb_build_object('refused', refusal);
END $$;

-- Reverse: the mirror of the lines, RETURN for each take, VOID for each lot that came in.
CREATE FUNCTION ledger_reverse(said jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    old ledger_transaction;
BEGIN
    SELECT t.* INTO old FROM ledger_transaction t
    WHERE t.id = (said ->> 'reverses')::uuid AND t.hospital_id = (said ->> 'hospital_id')::uuid
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN jsonb_build_object('refused', 'TRANSACTION_UNKNOWN');
    END IF;
    IF old.reverses IS NOT NULL THEN
        RETURN jsonb_build_object('refused', 'REVERSAL_IS_FINAL');
    END IF;
    RETURN ledger_post(said || jsonb_build_object(
        'kind', 'REVERSAL',
        'content_hash', 'reverses ' || old.id,
        'lines', (
            SELECT jsonb_agg(jsonb_build_object('kind', a.kind, 'owner', a.owner,
                             'amount_fen', -l.amount_fen, 'account_id', a.id) ORDER BY l.no)
            FROM ledger_line l JOIN account a ON a.id = l.account_id
            WHERE l.transaction_id = old.id),
        'lots', '[]'::jsonb,
        'takes', (
            SELECT coalesce(jsonb_agg(back.take), '[]'::jsonb) FROM (
                SELECT jsonb_build_object('lot_id', u.lot_id, 'use', 'RETURN', 'was', u.kind,
                                          'amount_fen', u.amount_fen) AS take
                FROM lot_use u WHERE u.transaction_id = old.id
                UNION ALL
                SELECT jsonb_build_object('lot_id', n.id, 'use', 'VOID', 'amount_fen', n.amount_fen)
                FROM lot n WHERE n.transaction_id = old.id
            ) back)));
END $$;

-- What stands, stands: lines, transactions and uses are never changed; accounts and lots keep
-- everything but their running figures.
CREATE FUNCTION ledger_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: the ledger is append-only, book a reversal', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER frozen BEFORE UPDATE OR DELETE ON ledger_transaction
    FOR EACH ROW EXECUTE FUNCTION ledger_frozen();
CREATE TRIGGER frozen BEFORE UPDATE OR DELETE ON ledger_line
    FOR EACH ROW EXECUTE FUNCTION ledger_frozen();
CREATE TRIGGER frozen BEFORE UPDATE OR DELETE ON lot_use
    FOR EACH ROW EXECUTE FUNCTION ledger_frozen();
CREATE TRIGGER frozen BEFORE DELETE OR UPDATE OF id, hospital_id, kind, owner ON account
    FOR EACH ROW EXECUTE FUNCTION ledger_frozen();
CREATE TRIGGER frozen BEFORE DELETE OR UPDATE OF id, hospital_id, account_id, transaction_id, channel,
    channel_transaction, order_id, paid_at, amount_fen, paid_fen ON lot
    FOR EACH ROW EXECUTE FUNCTION ledger_frozen();
CREATE TRIGGER frozen_whole BEFORE TRUNCATE ON ledger_transaction EXECUTE FUNCTION ledger_frozen();
CREATE TRIGGER frozen_whole BEFORE TRUNCATE ON ledger_line EXECUTE FUNCTION ledger_frozen();
CREATE TRIGGER frozen_whole BEFORE TRUNCATE ON lot_use EXECUTE FUNCTION ledger_frozen();
CREATE TRIGGER frozen_whole BEFORE TRUNCATE ON account EXECUTE FUNCTION ledger_frozen();
CREATE TRIGGER frozen_whole BEFORE TRUNCATE ON lot EXECUTE FUNCTION ledger_frozen();

-- At the commit: every transaction has at least two lines and sums to zero.
CREATE FUNCTION ledger_balances() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    subject uuid;
    n bigint;
    total numeric;
BEGIN
    IF TG_TABLE_NAME = 'ledger_line' THEN
        subject := NEW.transaction_id;
    ELSE
        subject := NEW.id;
    END IF;
    SELECT count(*), coalesce(sum(l.amount_fen), 0) INTO n, total
    FROM ledger_line l WHERE l.transaction_id = subject;
    IF n < 2 OR total <> 0 THEN
        RAISE check_violation USING CONSTRAINT = 'ledger_balances', MESSAGE = format(
            'ledger transaction %s does not balance: %s lines, sum %s fen', subject, n, total);
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER balances AFTER INSERT ON ledger_transaction
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_balances();
CREATE CONSTRAINT TRIGGER balances AFTER INSERT ON ledger_line
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_balances();

-- At the commit: what an account of stored money owes is what its lots still hold; other accounts
-- have no lots.
CREATE FUNCTION ledger_lots_agree() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    subject uuid;
    owed bigint;
    in_lots numeric;
BEGIN
    IF TG_TABLE_NAME = 'lot' THEN
        subject := NEW.account_id;
    ELSE
        subject := NEW.id;
    END IF;
    SELECT CASE WHEN a.keeps_lots THEN -a.balance_fen ELSE 0 END INTO owed
    FROM account a WHERE a.id = subject;
    SELECT coalesce(sum(l.amount_fen - l.spent_fen - l.refunded_fen), 0) INTO in_lots
    FROM lot l WHERE l.account_id = subject;
    IF owed <> in_lots THEN
        RAISE check_violation USING CONSTRAINT = 'ledger_lots_agree', MESSAGE = format(
            'account %s owes %s fen, its lots hold %s', subject, owed, in_lots);
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER lots_agree AFTER INSERT OR UPDATE ON account
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.keeps_lots)
    EXECUTE FUNCTION ledger_lots_agree();
CREATE CONSTRAINT TRIGGER lots_agree AFTER INSERT OR UPDATE ON lot
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_lots_agree();

-- The nightly proof: recomputes everything of a hospital from lines and uses; no row, no fault.
CREATE FUNCTION ledger_findings(house uuid)
RETURNS TABLE (code text, subject uuid, expected_fen bigint, found_fen bigint)
LANGUAGE sql STABLE AS $$
    SELECT 'CACHE_DIFFERS', a.id, coalesce(sum(l.amount_fen), 0)::bigint, a.balance_fen
    FROM account a LEFT JOIN ledger_line l ON l.account_id = a.id
    WHERE a.hospital_id = house
    GROUP BY a.id HAVING coalesce(sum(l.amount_fen), 0) <> a.balance_fen
    UNION ALL
    SELECT CASE WHEN count(l.no) < 2 THEN 'TOO_FEW_LINES' ELSE 'NOT_ZERO' END,
           t.id, 0, coalesce(sum(l.amount_fen), 0)::bigint
    FROM ledger_transaction t LEFT JOIN ledger_line l ON l.transaction_id = t.id
    WHERE t.hospital_id = house
    GROUP BY t.id HAVING count(l.no) < 2 OR sum(l.amount_fen) <> 0
    UNION ALL
    SELECT 'LOTS_DIFFER', a.id, CASE WHEN a.keeps_lots THEN -a.balance_fen ELSE 0 END,
           coalesce(sum(l.amount_fen - l.spent_fen - l.refunded_fen), 0)::bigint
    FROM account a LEFT JOIN lot l ON l.account_id = a.id
    WHERE a.hospital_id = house
    GROUP BY a.id
    HAVING coalesce(sum(l.amount_fen - l.spent_fen - l.refunded_fen), 0)
           <> CASE WHEN a.keeps_lots THEN -a.balance_fen ELSE 0 END
    UNION ALL
    SELECT 'LOT_USES_DIFFER', l.id, coalesce(used.fen, 0), l.spent_fen + l.refunded_fen
    FROM lot l
    LEFT JOIN (
        SELECT u.lot_id,
               sum(CASE u.kind WHEN 'RETURN' THEN -u.amount_fen ELSE u.amount_fen END)::bigint AS fen
        FROM lot_use u WHERE u.hospital_id = house GROUP BY u.lot_id
    ) used ON used.lot_id = l.id
    WHERE l.hospital_id = house AND coalesce(used.fen, 0) <> l.spent_fen + l.refunded_fen
    UNION ALL
    SELECT 'REVERSAL_DIFFERS', t.id, 0, sum(l.amount_fen)::bigint
    FROM ledger_transaction t JOIN ledger_line l ON l.transaction_id IN (t.id, t.reverses)
    WHERE t.hospital_id = house AND t.reverses IS NOT NULL
    GROUP BY t.id, l.account_id HAVING sum(l.amount_fen) <> 0
    UNION ALL
    SELECT 'STRANGE_LINE', l.transaction_id, 0, l.amount_fen
    FROM ledger_line l
    JOIN ledger_transaction t ON t.id = l.transaction_id
    JOIN account a ON a.id = l.account_id
    WHERE house IN (l.hospital_id, t.hospital_id, a.hospital_id)
      AND (l.hospital_id <> t.hospital_id OR l.hospital_id <> a.hospital_id)
    UNION ALL
    SELECT 'STRANGE_LOT', l.id, 0, l.amount_fen
    FROM lot l
    JOIN ledger_transaction t ON t.id = l.transaction_id
    JOIN account a ON a.id = l.account_id
    WHERE house IN (l.hospital_id, t.hospital_id, a.hospital_id)
      AND (l.hospital_id <> t.hospital_id OR l.hospital_id <> a.hospital_id OR NOT a.keeps_lots)
$$;
