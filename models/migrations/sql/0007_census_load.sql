-- The census of old cards, loading: what was checked becomes patients, accounts, facts and opening
-- entries, whole tables at once. The ledger's deferred rules look at row after row; while this
-- transaction's setting xianzhen.loading_census is on they are not queued, and census_prove looks at the
-- same rules over the whole set before the setting goes off again (docs/ledger.md).

CREATE FUNCTION ledger_is_loaded() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(current_setting('xianzhen.loading_census', true), '') = 'on'
$$;

DROP TRIGGER balances ON ledger_transaction;
DROP TRIGGER balances ON ledger_line;
DROP TRIGGER lots_agree ON account;
DROP TRIGGER lots_agree ON lot;
CREATE CONSTRAINT TRIGGER balances AFTER INSERT ON ledger_transaction
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NOT ledger_is_loaded())
    EXECUTE FUNCTION ledger_balances();
CREATE CONSTRAINT TRIGGER balances AFTER INSERT ON ledger_line
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NOT ledger_is_loaded())
    EXECUTE FUNCTION ledger_balances();
CREATE CONSTRAINT TRIGGER lots_agree AFTER INSERT OR UPDATE ON account
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.keeps_lots AND NOT ledger_is_loaded())
    EXECUTE FUNCTION ledger_lots_agree();
CREATE CONSTRAINT TRIGGER lots_agree AFTER INSERT OR UPDATE ON lot
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NOT ledger_is_loaded())
    EXECUTE FUNCTION ledger_lots_agree();

-- What is still unused of each top-up: earlier refunds come off their own, spends off the oldest.
CREATE FUNCTION census_make_lots() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMP TABLE census_lot ON COMMIT DROP AS
    SELECT s.row_no, s.card_no, s.channel, s.channel_transaction, s.paid_at, s.paid_fen, s.parts,
           s.last_refund_at,
           s.room - greatest(0, least(s.room, s.taken_oldest_first - s.before)) AS left_fen
    FROM (SELECT t.row_no, t.card_no, c.ours AS channel, t.channel_transaction,
                 t.moment AT TIME ZONE 'Asia/Shanghai' AS paid_at, t.fen AS paid_fen,
                 coalesce(b.parts, 0) AS parts, b.last_at AT TIME ZONE 'Asia/Shanghai' AS last_refund_at,
                 t.fen - coalesce(b.fen, 0) AS room, a.taken_oldest_first,
                 sum(t.fen - coalesce(b.fen, 0)) OVER (PARTITION BY a.row_no ORDER BY t.moment, t.row_no)
                     - (t.fen - coalesce(b.fen, 0)) AS before
          FROM raw_top_up t
          JOIN census_card a ON a.card_no = t.card_no AND a.stated > 0
          JOIN census_channel c ON c.theirs = t.channel
          LEFT JOIN census_returned b ON b.top_up_no = t.top_up_no) s
    WHERE s.room - greatest(0, least(s.room, s.taken_oldest_first - s.before)) > 0;
    ANALYZE census_lot;
END $$;

CREATE FUNCTION census_load(mine uuid, house uuid, its_source text, base text, its_by text, moment timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('xianzhen.loading_census', 'on', true);
    PERFORM census_load_accounts(mine, house, base, moment);
    PERFORM census_load_facts(mine, house);
    PERFORM census_open(mine, house, its_source, base, its_by, moment);
    PERFORM census_prove(mine, house);
    PERFORM set_config('xianzhen.loading_census', 'off', true);
END $$;

-- Patients whom nobody knew, and an account for each card; a card that was here keeps its account.
CREATE FUNCTION census_load_accounts(mine uuid, house uuid, base text, moment timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMP TABLE census_owned ON COMMIT DROP AS
    SELECT c.row_no, c.card_no, c.stated, c.content, p.holder_id, p.verified_id,
           coalesce(o.id, census_id(base, 1, c.row_no)) AS account_id, o.id IS NULL AS is_new,
           coalesce(p.verified_id, q.id, p.holder_id, census_id(base, 2, c.row_no)) AS patient_id,
           c.opened_on, coalesce(c.last_activity_on, (moment AT TIME ZONE 'Asia/Shanghai')::date)
               AS last_activity_on
    FROM census_card c
    LEFT JOIN census_place p ON p.card_no = c.card_no
    LEFT JOIN prepay_account o ON o.hospital_id = house AND o.card_no = c.card_no
    LEFT JOIN patient q ON q.id = o.patient_id AND q.id_no_index IS NULL;
    CREATE UNIQUE INDEX ON census_owned (card_no);
    ANALYZE census_owned;

    INSERT INTO patient (id, hospital_id, his_patient_no, name_sealed, id_no_sealed, id_no_index,
                         phone_sealed, phone_index, born_on, sex, id_type)
    SELECT o.patient_id, house, 'census:' || o.patient_id, h.name_sealed,
           CASE WHEN o.verified_id IS NOT NULL THEN h.id_no_sealed END,
           CASE WHEN o.verified_id IS NOT NULL THEN h.id_no_index END,
           h.phone_sealed, h.phone_index, h.born_on, coalesce(h.sex, ''),
           CASE WHEN o.verified_id IS NOT NULL THEN '01' ELSE '99' END
    FROM census_owned o LEFT JOIN raw_holder h ON h.card_no = o.card_no
    WHERE o.patient_id = o.holder_id OR o.holder_id IS NULL
    ON CONFLICT (id) DO NOTHING;

    INSERT INTO prepay_account (id, hospital_id, patient_id, source, card_no, opened_on, last_activity_on)
    SELECT o.account_id, house, o.patient_id, 'CENSUS', o.card_no, o.opened_on, o.last_activity_on
    FROM census_owned o WHERE o.is_new;
    UPDATE prepay_account a
    SET patient_id = o.patient_id, opened_on = o.opened_on, last_activity_on = o.last_activity_on
    FROM census_owned o WHERE NOT o.is_new AND a.id = o.account_id;
END $$;

CREATE FUNCTION census_load_facts(mine uuid, house uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO census_account (import_id, row_no, hospital_id, account_id, balance_fen, content)
    SELECT mine, o.row_no, house, o.account_id, o.stated, o.content FROM census_owned o;
    INSERT INTO old_top_up (import_id, row_no, hospital_id, account_id, number, channel,
                            channel_transaction, paid_at, amount_fen)
    SELECT mine, t.row_no, house, o.account_id, t.top_up_no, c.ours, t.channel_transaction,
           t.moment AT TIME ZONE 'Asia/Shanghai', t.fen
    FROM raw_top_up t JOIN census_owned o ON o.card_no = t.card_no
    JOIN census_channel c ON c.theirs = t.channel;
    INSERT INTO old_spend (import_id, row_no, hospital_id, account_id, spent_at, amount_fen, note)
    SELECT mine, s.row_no, house, o.account_id, s.moment AT TIME ZONE 'Asia/Shanghai', s.fen, s.note
    FROM raw_spend s JOIN census_owned o ON o.card_no = s.card_no;
    INSERT INTO old_refund (import_id, row_no, hospital_id, account_id, top_up_row_no, refunded_at,
                            amount_fen)
    SELECT mine, r.row_no, house, o.account_id, t.row_no, r.moment AT TIME ZONE 'Asia/Shanghai', r.fen
    FROM raw_refund r JOIN census_owned o ON o.card_no = r.card_no
    LEFT JOIN raw_top_up t ON t.top_up_no = r.top_up_no;
END $$;

-- The opening entries: one transaction for each account with money, debit the channels' cash, credit
-- the account, a lot for each top-up that is not used up. Cash is touched last: tills wait for it.
CREATE FUNCTION census_open(mine uuid, house uuid, its_source text, base text, its_by text, moment timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    cash record;
BEGIN
    CREATE TEMP TABLE census_opening ON COMMIT DROP AS
    SELECT o.row_no, o.card_no, o.account_id, o.stated,
           census_id(base, 3, o.row_no) AS transaction_id,
           coalesce(l.id, census_id(base, 4, o.row_no)) AS ledger_id, l.id IS NULL AS is_new
    FROM census_owned o
    LEFT JOIN account l ON NOT o.is_new AND l.hospital_id = house AND l.kind = 'OUTPATIENT_PREPAY'
        AND l.owner = o.account_id::text
    WHERE o.stated > 0;
    CREATE UNIQUE INDEX ON census_opening (card_no);
    ANALYZE census_opening;

    INSERT INTO account (id, hospital_id, kind, owner, balance_fen)
    SELECT o.ledger_id, house, 'OUTPATIENT_PREPAY', o.account_id::text, -o.stated
    FROM census_opening o WHERE o.is_new;
    UPDATE account a SET balance_fen = a.balance_fen - o.stated
    FROM census_opening o WHERE NOT o.is_new AND a.id = o.ledger_id;
    INSERT INTO account (id, hospital_id, kind, owner)
    SELECT census_id(base, 7, row_number() OVER ()), house, 'CASH', c.channel
    FROM (SELECT DISTINCT l.channel FROM census_lot l) c
    ON CONFLICT (hospital_id, kind, owner) DO NOTHING;

    INSERT INTO ledger_transaction (id, hospital_id, key, kind, why, by, at, content_hash)
    SELECT o.transaction_id, house, 'census:' || mine || ':' || o.account_id, 'CENSUS_OPENING',
           its_source, its_by, moment, 'census ' || mine || ' row ' || o.row_no
    FROM census_opening o;
    INSERT INTO ledger_line (transaction_id, no, hospital_id, account_id, amount_fen)
    SELECT o.transaction_id, 0, house, o.ledger_id, -o.stated FROM census_opening o;
    INSERT INTO ledger_line (transaction_id, no, hospital_id, account_id, amount_fen)
    SELECT o.transaction_id, row_number() OVER (PARTITION BY o.transaction_id ORDER BY l.channel),
           house, a.id, l.fen
    FROM (SELECT card_no, channel, sum(left_fen)::bigint AS fen FROM census_lot GROUP BY 1, 2) l
    JOIN census_opening o ON o.card_no = l.card_no
    JOIN account a ON a.hospital_id = house AND a.kind = 'CASH' AND a.owner = l.channel;
    INSERT INTO lot (id, hospital_id, account_id, transaction_id, channel, channel_transaction, paid_at,
                     amount_fen, paid_fen, parts, last_refund_at)
    SELECT census_id(base, 5, l.row_no), house, o.ledger_id, o.transaction_id, l.channel,
           l.channel_transaction, l.paid_at, l.left_fen, l.paid_fen, l.parts, l.last_refund_at
    FROM census_lot l JOIN census_opening o ON o.card_no = l.card_no;

    FOR cash IN SELECT channel, sum(left_fen)::bigint AS fen FROM census_lot GROUP BY 1 ORDER BY 1 LOOP
        PERFORM ledger_touch(house, 'CASH', cash.channel, cash.fen, NULL);
    END LOOP;
END $$;

-- Everything at once: the facts are the rows of the files; each transaction has two lines or more and
-- comes to zero; each account owes what its lots hold, its lines say and the old system stated.
CREATE FUNCTION census_prove(mine uuid, house uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT (SELECT row(count(*), coalesce(sum(fen), 0)) FROM raw_account)
        EXCEPT SELECT (SELECT row(count(*), coalesce(sum(balance_fen), 0)) FROM census_account
                       WHERE import_id = mine)
    ) OR EXISTS (
        SELECT (SELECT row(count(*), coalesce(sum(fen), 0)) FROM raw_top_up)
        EXCEPT SELECT (SELECT row(count(*), coalesce(sum(amount_fen), 0)) FROM old_top_up
                       WHERE import_id = mine)
    ) OR EXISTS (
        SELECT (SELECT row(count(*), coalesce(sum(fen), 0)) FROM raw_spend)
        EXCEPT SELECT (SELECT row(count(*), coalesce(sum(amount_fen), 0)) FROM old_spend
                       WHERE import_id = mine)
    ) OR EXISTS (
        SELECT (SELECT row(count(*), coalesce(sum(fen), 0)) FROM raw_refund)
        EXCEPT SELECT (SELECT row(count(*), coalesce(sum(amount_fen), 0)) FROM old_refund
                       WHERE import_id = mine)
    ) OR EXISTS (
        SELECT FROM census_opening o
        LEFT JOIN (SELECT l.transaction_id, count(*) AS n, sum(l.amount_fen) AS fen
                   FROM ledger_line l JOIN census_opening o ON o.transaction_id = l.transaction_id
                   GROUP BY 1) t ON t.transaction_id = o.transaction_id
        LEFT JOIN account a ON a.id = o.ledger_id
        LEFT JOIN (SELECT l.account_id, sum(l.amount_fen) AS fen
                   FROM ledger_line l JOIN census_opening o ON o.ledger_id = l.account_id
                   GROUP BY 1) s ON s.account_id = o.ledger_id
        LEFT JOIN (SELECT l.account_id, sum(l.amount_fen - l.spent_fen - l.refunded_fen) AS fen
                   FROM lot l JOIN census_opening o ON o.ledger_id = l.account_id
                   GROUP BY 1) h ON h.account_id = o.ledger_id
        WHERE t.n IS NULL OR t.n < 2 OR t.fen <> 0 OR a.balance_fen IS DISTINCT FROM -o.stated
           OR s.fen IS DISTINCT FROM -o.stated OR h.fen IS DISTINCT FROM o.stated
    ) THEN
        RAISE SQLSTATE 'XZ001' USING MESSAGE = 'CENSUS_SUMS_DIFFER';
    END IF;
END $$;

CREATE FUNCTION census_keeps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: what an old system said is only ever added to',
        TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER census_keeps BEFORE UPDATE OR DELETE OR TRUNCATE ON old_top_up
    FOR EACH STATEMENT EXECUTE FUNCTION census_keeps();
CREATE TRIGGER census_keeps BEFORE UPDATE OR DELETE OR TRUNCATE ON old_spend
    FOR EACH STATEMENT EXECUTE FUNCTION census_keeps();
CREATE TRIGGER census_keeps BEFORE UPDATE OR DELETE OR TRUNCATE ON old_refund
    FOR EACH STATEMENT EXECUTE FUNCTION census_keeps();
CREATE TRIGGER census_keeps BEFORE UPDATE OR DELETE OR TRUNCATE ON census_account
    FOR EACH STATEMENT EXECUTE FUNCTION census_keeps();

-- A corrected dump takes the place of one that moved no money: each opening entry is reversed as
-- ledger_reverse does it, all at once.
CREATE FUNCTION census_unload(old uuid, mine uuid, house uuid, base text, its_by text, moment timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    cash record;
BEGIN
    PERFORM set_config('xianzhen.loading_census', 'on', true);
    CREATE TEMP TABLE census_closing ON COMMIT DROP AS
    SELECT t.id AS opened_id, census_id(base, 6, c.row_no) AS transaction_id, c.account_id
    FROM census_account c
    JOIN ledger_transaction t ON t.hospital_id = house AND t.key = 'census:' || old || ':' || c.account_id
    WHERE c.import_id = old;
    ANALYZE census_closing;
    INSERT INTO ledger_transaction (id, hospital_id, key, kind, why, by, at, reverses, content_hash)
    SELECT c.transaction_id, house, 'census-undo:' || old || ':' || c.account_id, 'REVERSAL',
           'census ' || mine, its_by, moment, c.opened_id, 'reverses ' || c.opened_id
    FROM census_closing c;
    INSERT INTO ledger_line (transaction_id, no, hospital_id, account_id, amount_fen)
    SELECT c.transaction_id, l.no, house, l.account_id, -l.amount_fen
    FROM census_closing c JOIN ledger_line l ON l.transaction_id = c.opened_id;
    INSERT INTO lot_use (transaction_id, no, hospital_id, lot_id, kind, amount_fen)
    SELECT c.transaction_id, row_number() OVER (PARTITION BY c.transaction_id ORDER BY l.id), house, l.id,
           'VOID', l.amount_fen
    FROM census_closing c JOIN lot l ON l.transaction_id = c.opened_id;
    UPDATE lot l SET spent_fen = l.spent_fen + l.amount_fen
    FROM census_closing c WHERE l.transaction_id = c.opened_id;
    UPDATE account a SET balance_fen = a.balance_fen - s.fen
    FROM (SELECT l.account_id, sum(l.amount_fen)::bigint AS fen
          FROM census_closing c JOIN ledger_line l ON l.transaction_id = c.opened_id GROUP BY 1) s
    WHERE a.id = s.account_id AND a.kind <> 'CASH';
    FOR cash IN
        SELECT a.owner, sum(l.amount_fen)::bigint AS fen
        FROM census_closing c JOIN ledger_line l ON l.transaction_id = c.opened_id
        JOIN account a ON a.id = l.account_id AND a.kind = 'CASH' GROUP BY 1 ORDER BY 1
    LOOP
        PERFORM ledger_touch(house, 'CASH', cash.owner, -cash.fen, NULL);
    END LOOP;
    IF EXISTS (
        SELECT FROM census_closing c
        LEFT JOIN (SELECT l.transaction_id, count(*) AS n, sum(l.amount_fen) AS fen
                   FROM ledger_line l JOIN census_closing c ON c.transaction_id = l.transaction_id
                   GROUP BY 1) t ON t.transaction_id = c.transaction_id
        LEFT JOIN account a ON a.hospital_id = house AND a.kind = 'OUTPATIENT_PREPAY'
            AND a.owner = c.account_id::text
        LEFT JOIN (SELECT l.account_id, sum(l.amount_fen - l.spent_fen - l.refunded_fen) AS fen
                   FROM lot l JOIN census_closing c ON c.opened_id = l.transaction_id
                   GROUP BY 1) h ON h.account_id = a.id
        WHERE t.n IS NULL OR t.n < 2 OR t.fen <> 0 OR a.balance_fen IS DISTINCT FROM 0
           OR h.fen IS DISTINCT FROM 0
    ) THEN
        RAISE SQLSTATE 'XZ001' USING MESSAGE = 'CENSUS_SUMS_DIFFER';
    END IF;
    PERFORM set_config('xianzhen.loading_census', 'off', true);
END $$;
