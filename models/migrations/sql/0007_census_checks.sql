-- The census of old cards, checking: whole tables at once, what is wrong goes into census_found.

CREATE FUNCTION census_check(today date) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    ANALYZE raw_account, raw_holder, raw_top_up, raw_spend, raw_refund, raw_bill;
    PERFORM census_check_cells(today);
    PERFORM census_check_twice();
    PERFORM census_check_orphans();
    PERFORM census_add_up();
    PERFORM census_check_balances();
    PERFORM census_check_channels();
    PERFORM census_place_holders();
    PERFORM census_check_phones();
    PERFORM census_make_lots();
END $$;

-- Cells that cannot be read, and what the reader itself saw ("problem": CODE@field;..., where a row
-- without a field is unreadable as a whole).
CREATE FUNCTION census_check_cells(today date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    part record;
BEGIN
    FOR part IN
        SELECT * FROM (VALUES
            ('accounts', 'raw_account'), ('holders', 'raw_holder'), ('top_ups', 'raw_top_up'),
            ('spends', 'raw_spend'), ('refunds', 'raw_refund'), ('bills', 'raw_bill')
        ) AS p(about, staged)
    LOOP
        EXECUTE format(
            'INSERT INTO census_found (about, row_no, code, field)
             SELECT %L, row_no, split_part(seen, ''@'', 1), split_part(seen, ''@'', 2)
             FROM %I, unnest(string_to_array(problem, '';'')) seen WHERE problem IS NOT NULL',
            part.about, part.staged);
    END LOOP;
    FOR part IN
        SELECT * FROM (VALUES
            ('accounts', 'raw_account', 'card_no', 'card_no IS NULL', NULL),
            ('accounts', 'raw_account', 'balance', 'fen IS NULL OR fen < 0', 'AMOUNT_UNREADABLE'),
            ('accounts', 'raw_account', 'opened_on',
             'opened_on IS NOT NULL AND (opened IS NULL OR opened >= $1 + 1)', 'DATE_UNREADABLE'),
            ('accounts', 'raw_account', 'last_activity_on',
             'last_activity_on IS NOT NULL AND (used IS NULL OR used >= $1 + 1)', 'DATE_UNREADABLE'),
            ('holders', 'raw_holder', 'card_no', 'card_no IS NULL', NULL),
            ('top_ups', 'raw_top_up', 'card_no', 'card_no IS NULL', NULL),
            ('top_ups', 'raw_top_up', 'top_up_no', 'top_up_no IS NULL', NULL),
            ('top_ups', 'raw_top_up', 'channel', 'channel IS NULL', NULL),
            ('top_ups', 'raw_top_up', 'amount', 'fen IS NULL OR fen < 0', 'AMOUNT_UNREADABLE'),
            ('top_ups', 'raw_top_up', 'at', 'moment IS NULL OR moment >= $1 + 1', 'DATE_UNREADABLE'),
            ('spends', 'raw_spend', 'card_no', 'card_no IS NULL', NULL),
            ('spends', 'raw_spend', 'amount', 'fen IS NULL OR fen < 0', 'AMOUNT_UNREADABLE'),
            ('spends', 'raw_spend', 'at', 'moment IS NULL OR moment >= $1 + 1', 'DATE_UNREADABLE'),
            ('refunds', 'raw_refund', 'card_no', 'card_no IS NULL', NULL),
            ('refunds', 'raw_refund', 'amount', 'fen IS NULL OR fen < 0', 'AMOUNT_UNREADABLE'),
            ('refunds', 'raw_refund', 'at', 'moment IS NULL OR moment >= $1 + 1', 'DATE_UNREADABLE'),
            ('bills', 'raw_bill', 'channel', 'channel IS NULL', NULL),
            ('bills', 'raw_bill', 'channel_transaction', 'channel_transaction IS NULL', NULL),
            ('bills', 'raw_bill', 'amount', 'fen IS NULL OR fen < 0', 'AMOUNT_UNREADABLE')
        ) AS p(about, staged, field, wrong, otherwise)
    LOOP
        EXECUTE format(
            'INSERT INTO census_found (about, row_no, field, code)
             SELECT %1$L, row_no, %3$L, census_why(%3$I, %5$L) FROM %2$I
             WHERE (%4$s) AND (problem IS NULL OR problem !~ %6$L)',
            part.about, part.staged, part.field, part.wrong, part.otherwise,
            '@(' || part.field || ')?(;|$)') USING today;
    END LOOP;
    UPDATE census_found SET code = 'BALANCE_NEGATIVE'
    WHERE code = 'AMOUNT_NEGATIVE' AND about = 'accounts';
END $$;

-- The same thing said twice: the second row and each one after it.
CREATE FUNCTION census_check_twice() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    part record;
BEGIN
    FOR part IN
        SELECT * FROM (VALUES
            ('accounts', 'raw_account', 'card_no', 'card_no', 'CARD_TWICE'),
            ('holders', 'raw_holder', 'card_no', 'card_no', 'HOLDER_TWICE'),
            ('holders', 'raw_holder', 'id_no_index', 'id_no', 'IDENTITY_ON_SEVERAL_CARDS'),
            ('top_ups', 'raw_top_up', 'top_up_no', 'top_up_no', 'TOP_UP_TWICE')
        ) AS p(about, staged, same, field, code)
    LOOP
        EXECUTE format(
            'INSERT INTO census_found (about, row_no, field, code)
             SELECT %1$L, row_no, %4$L, %5$L
             FROM (SELECT r.row_no, row_number() OVER (PARTITION BY r.%3$I ORDER BY r.row_no) AS nth
                   FROM %2$I r
                   JOIN (SELECT %3$I FROM %2$I WHERE %3$I IS NOT NULL GROUP BY 1 HAVING count(*) > 1) d
                       USING (%3$I)) s
             WHERE s.nth > 1',
            part.about, part.staged, part.same, part.field, part.code);
    END LOOP;
END $$;

-- Rows of a card that no account row knows, and refunds of a top-up that is not this card's.
CREATE FUNCTION census_check_orphans() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    part record;
BEGIN
    FOR part IN
        SELECT * FROM (VALUES ('holders', 'raw_holder'), ('top_ups', 'raw_top_up'),
                              ('spends', 'raw_spend'), ('refunds', 'raw_refund')) AS p(about, staged)
    LOOP
        EXECUTE format(
            'INSERT INTO census_found (about, row_no, field, code)
             SELECT %L, r.row_no, ''card_no'', ''WITHOUT_ACCOUNT'' FROM %I r
             WHERE r.card_no IS NOT NULL
               AND NOT EXISTS (SELECT FROM raw_account a WHERE a.card_no = r.card_no)',
            part.about, part.staged);
    END LOOP;
    INSERT INTO census_found (about, row_no, field, code)
    SELECT 'accounts', a.row_no, 'card_no', 'ACCOUNT_WITHOUT_HOLDER' FROM raw_account a
    WHERE a.card_no IS NOT NULL
      AND NOT EXISTS (SELECT FROM raw_holder h WHERE h.card_no = a.card_no)
    UNION ALL
    SELECT 'refunds', r.row_no, 'top_up_no',
           CASE WHEN t.row_no IS NULL THEN 'REFUND_TOP_UP_UNKNOWN' ELSE 'REFUND_OF_OTHER_CARD' END
    FROM raw_refund r LEFT JOIN raw_top_up t ON t.top_up_no = r.top_up_no
    WHERE r.top_up_no IS NOT NULL AND (t.row_no IS NULL OR t.card_no <> r.card_no);
END $$;

-- What each card did: sums, and one number that says whether two dumps tell the same of it.
CREATE FUNCTION census_add_up() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMP TABLE census_returned ON COMMIT DROP AS
    SELECT r.top_up_no, sum(r.fen)::bigint AS fen, count(*)::int AS parts, max(r.moment) AS last_at
    FROM raw_refund r WHERE r.top_up_no IS NOT NULL AND r.fen > 0 GROUP BY r.top_up_no;

    CREATE TEMP TABLE census_card ON COMMIT DROP AS
    SELECT a.row_no, a.card_no, a.fen AS stated, coalesce(t.fen, 0) AS paid,
           coalesce(s.fen, 0) AS spent, coalesce(r.fen, 0) AS refunded,
           coalesce(s.fen, 0) + coalesce(r.unnamed, 0) AS taken_oldest_first,
           greatest(t.last_at, s.last_at, r.last_at, a.used, a.opened)::date AS last_activity_on,
           a.opened::date AS opened_on,
           hashtextextended(concat_ws('|', a.fen, a.opened, '', a.used), 1)::numeric
               + coalesce(h.said, 0) + coalesce(t.said, 0) + coalesce(s.said, 0)
               + coalesce(r.said, 0) AS content
    FROM raw_account a
    LEFT JOIN (SELECT h.card_no, sum(h.said) AS said FROM raw_holder h GROUP BY h.card_no) h
        ON h.card_no = a.card_no
    LEFT JOIN (SELECT t.card_no, sum(t.fen)::bigint AS fen, max(t.moment) AS last_at,
                      sum(hashtextextended(concat_ws('|', t.top_up_no, t.fen, t.moment,
                          coalesce(c.ours, t.channel), t.channel_transaction), 2)) AS said
               FROM raw_top_up t LEFT JOIN census_channel c ON c.theirs = t.channel
               GROUP BY t.card_no) t ON t.card_no = a.card_no
    LEFT JOIN (SELECT s.card_no, sum(s.fen)::bigint AS fen, max(s.moment) AS last_at,
                      sum(hashtextextended(concat_ws('|', s.fen, s.moment, s.note), 3)) AS said
               FROM raw_spend s GROUP BY s.card_no) s ON s.card_no = a.card_no
    LEFT JOIN (SELECT r.card_no, sum(r.fen)::bigint AS fen, max(r.moment) AS last_at,
                      (sum(r.fen) FILTER (WHERE r.top_up_no IS NULL))::bigint AS unnamed,
                      sum(hashtextextended(concat_ws('|', r.top_up_no, r.fen, r.moment), 4)) AS said
               FROM raw_refund r GROUP BY r.card_no) r ON r.card_no = a.card_no
    WHERE a.card_no IS NOT NULL;
    ANALYZE census_returned, census_card;
END $$;

-- The stated balance is top-ups less spends less refunds, and no top-up gave back more than it was.
CREATE FUNCTION census_check_balances() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO census_found (about, row_no, field, code, facts)
    SELECT 'accounts', c.row_no, 'balance', 'BALANCE_DIFFERS',
           jsonb_build_object('stated_fen', c.stated, 'expected_fen', c.paid - c.spent - c.refunded)
    FROM census_card c WHERE c.stated >= 0 AND c.stated <> c.paid - c.spent - c.refunded
    UNION ALL
    SELECT 'accounts', c.row_no, 'last_activity_on', 'NO_ACTIVITY_DATE', NULL
    FROM census_card c WHERE c.last_activity_on IS NULL
    UNION ALL
    SELECT 'top_ups', t.row_no, 'amount', 'REFUNDED_TOO_MUCH',
           jsonb_build_object('paid_fen', t.fen, 'refunded_fen', b.fen)
    FROM raw_top_up t JOIN census_returned b ON b.top_up_no = t.top_up_no WHERE b.fen > t.fen;
END $$;

-- Channels and their transactions: unknown words, the same payment on two top-ups or already here,
-- payments without a number, top-ups after the stop, and the channels' own lists where there are any.
CREATE FUNCTION census_check_channels() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO census_found (about, row_no, field, code)
    SELECT 'top_ups', t.row_no, 'channel', 'CHANNEL_UNKNOWN'
    FROM raw_top_up t LEFT JOIN census_channel c ON c.theirs = t.channel
    WHERE t.channel IS NOT NULL AND c.ours IS NULL
    UNION ALL
    SELECT 'bills', b.row_no, 'channel', 'CHANNEL_UNKNOWN'
    FROM raw_bill b LEFT JOIN census_channel c ON c.theirs = b.channel
    WHERE b.channel IS NOT NULL AND c.ours IS NULL;

    CREATE TEMP TABLE census_payment ON COMMIT DROP AS
    SELECT t.row_no, c.ours AS channel, t.channel_transaction AS number, t.fen
    FROM raw_top_up t JOIN census_channel c ON c.theirs = t.channel WHERE c.ours <> 'CASH';
    ANALYZE census_payment;
    INSERT INTO census_found (about, row_no, field, code)
    SELECT 'top_ups', row_no, 'channel_transaction', 'CHANNEL_TRANSACTION_TWICE'
    FROM (SELECT p.row_no, row_number() OVER (PARTITION BY p.channel, p.number ORDER BY p.row_no) nth
          FROM census_payment p
          JOIN (SELECT channel, number FROM census_payment WHERE number IS NOT NULL
                GROUP BY 1, 2 HAVING count(*) > 1) d USING (channel, number)) p WHERE nth > 1
    UNION ALL
    SELECT 'top_ups', row_no, 'channel_transaction', 'CHANNEL_TRANSACTION_MISSING'
    FROM census_payment WHERE number IS NULL AND channel IN ('WECHAT', 'ALIPAY');

    IF EXISTS (SELECT FROM raw_bill) THEN
        INSERT INTO census_found (about, row_no, field, code, facts)
        SELECT 'top_ups', p.row_no, 'channel_transaction',
               CASE WHEN b.number IS NULL THEN 'NOT_IN_CHANNEL_BILL' ELSE 'CHANNEL_AMOUNT_DIFFERS' END,
               jsonb_build_object('stated_fen', p.fen, 'expected_fen', b.fen)
        FROM census_payment p
        LEFT JOIN (SELECT c.ours AS channel, b.channel_transaction AS number, max(b.fen) AS fen
                   FROM raw_bill b JOIN census_channel c ON c.theirs = b.channel GROUP BY 1, 2) b
            ON b.channel = p.channel AND b.number = p.number
        WHERE p.number IS NOT NULL AND (b.number IS NULL OR b.fen IS DISTINCT FROM p.fen)
          AND p.channel IN (SELECT c.ours FROM raw_bill b JOIN census_channel c ON c.theirs = b.channel)
        UNION ALL
        SELECT 'bills', b.row_no, 'channel_transaction', 'NO_TOP_UP_FOR_PAYMENT', NULL
        FROM raw_bill b JOIN census_channel c ON c.theirs = b.channel
        WHERE NOT EXISTS (SELECT FROM census_payment p
                          WHERE p.channel = c.ours AND p.number = b.channel_transaction);
    END IF;
END $$;

-- Whose card it is. An identity number is verified when its check digit is right (the reader looked)
-- and nobody names its holder otherwise: then all cards of it are one patient's (D-45), the one whom
-- the index knows already or the first row here. Every other row is a patient of its own.
CREATE FUNCTION census_place_holders() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMP TABLE census_place ON COMMIT DROP AS
    SELECT h.row_no, h.card_no, h.id AS holder_id, h.id_no_index IS NOT NULL AS has_identity,
           CASE WHEN h.id_no_index IS NULL OR h.name_mark IS NULL THEN NULL
                WHEN known.id_no_index IS NOT NULL THEN same.id
                WHEN one.least_mark = one.greatest_mark AND one.named = one.n THEN first.id
           END AS verified_id
    FROM raw_holder h
    LEFT JOIN (SELECT r.id_no_index, min(r.name_mark) AS least_mark, max(r.name_mark) AS greatest_mark,
                      count(r.name_mark) AS named, count(*) AS n, min(r.row_no) AS first_row
               FROM raw_holder r WHERE r.id_no_index IS NOT NULL GROUP BY r.id_no_index) one
        ON one.id_no_index = h.id_no_index
    LEFT JOIN raw_holder first ON first.row_no = one.first_row
    LEFT JOIN (SELECT DISTINCT k.id_no_index FROM known_patient k) known
        ON known.id_no_index = h.id_no_index
    LEFT JOIN (SELECT DISTINCT ON (k.id_no_index, k.name_mark) k.id_no_index, k.name_mark, k.id
               FROM known_patient k ORDER BY k.id_no_index, k.name_mark, k.id) same
        ON same.id_no_index = h.id_no_index AND same.name_mark = h.name_mark;
    ANALYZE census_place;
    INSERT INTO census_found (about, row_no, field, code)
    SELECT 'holders', p.row_no, 'name', 'NAME_DIFFERS' FROM census_place p
    WHERE p.has_identity AND p.verified_id IS NULL;
END $$;

-- One phone that very many people gave is nobody's: a clerk typed it to get on.
CREATE FUNCTION census_check_phones() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO census_found (about, row_no, field, code)
    SELECT 'holders', s.row_no, 'phone', 'PHONE_OF_MANY'
    FROM raw_holder s
    JOIN (SELECT h.phone_index FROM raw_holder h WHERE h.phone_index IS NOT NULL
          GROUP BY 1 HAVING count(*) > 20) many ON many.phone_index = s.phone_index;
END $$;

-- How this dump stands to what is here: NEW, the SAME, to REPLACE the import of the same old system,
-- or money has MOVED since. Cards of another old system, or payments that are in the books, are
-- findings.
CREATE FUNCTION census_check_standing(house uuid, standing uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    moved boolean;
BEGIN
    INSERT INTO census_found (about, row_no, field, code)
    SELECT 'accounts', c.row_no, 'card_no', 'CARD_ALREADY_HERE'
    FROM census_card c JOIN prepay_account p ON p.hospital_id = house AND p.card_no = c.card_no
    WHERE NOT EXISTS (
        SELECT FROM census_account a JOIN census_import i ON i.id = a.import_id
        WHERE a.account_id = p.id AND i.source = (SELECT source FROM census_import WHERE id = standing));
    INSERT INTO census_found (about, row_no, field, code)
    SELECT DISTINCT 'top_ups', p.row_no, 'channel_transaction', 'CHANNEL_TRANSACTION_KNOWN'
    FROM census_payment p
    JOIN lot l ON l.hospital_id = house AND l.channel = p.channel AND l.channel_transaction = p.number
    JOIN ledger_transaction t ON t.id = l.transaction_id
    WHERE t.kind <> 'CENSUS_OPENING' OR NOT EXISTS (
        SELECT FROM census_account a JOIN census_import i ON i.id = a.import_id
        WHERE i.hospital_id = house AND t.key = 'census:' || a.import_id || ':' || a.account_id
          AND i.source = (SELECT source FROM census_import WHERE id = standing));
    IF standing IS NULL THEN
        RETURN 'NEW';
    END IF;

    CREATE TEMP TABLE census_changed ON COMMIT DROP AS
    SELECT c.row_no, p.card_no, c.stated, a.balance_fen
    FROM (SELECT a.account_id, a.balance_fen, a.content FROM census_account a
          WHERE a.import_id = standing) a
    JOIN prepay_account p ON p.id = a.account_id
    FULL JOIN census_card c ON c.card_no = p.card_no
    WHERE a.content IS DISTINCT FROM c.content;
    IF NOT EXISTS (SELECT FROM census_changed) THEN
        RETURN 'SAME';
    END IF;
    moved := census_has_moved(house, standing);
    IF moved THEN
        INSERT INTO census_found (about, row_no, field, code, facts)
        SELECT 'accounts', coalesce(c.row_no, 0), 'card_no', 'CHANGED_AFTER_MONEY_MOVED',
               jsonb_build_object('expected_fen', c.balance_fen, 'stated_fen', c.stated)
        FROM census_changed c;
        RETURN 'MOVED';
    END IF;
    RETURN 'REPLACE';
END $$;

-- Whether any account of an import has a line that neither an opening entry nor its reversal wrote.
CREATE FUNCTION census_has_moved(house uuid, standing uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM census_account c
        JOIN account a ON a.hospital_id = house AND a.kind = 'OUTPATIENT_PREPAY'
            AND a.owner = c.account_id::text
        JOIN ledger_line l ON l.account_id = a.id
        JOIN ledger_transaction t ON t.id = l.transaction_id
        LEFT JOIN ledger_transaction o ON o.id = t.reverses
        WHERE c.import_id = standing AND coalesce(o.kind, t.kind) <> 'CENSUS_OPENING');
END $$;

-- What the dump holds, in numbers.
CREATE FUNCTION census_totals(today date) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN jsonb_build_object(
        'accounts', (SELECT count(*) FROM raw_account),
        'accounts_with_money', (SELECT count(*) FROM census_card WHERE stated > 0),
        'balance_fen', (SELECT coalesce(sum(stated), 0) FROM census_card),
        'holders', (SELECT count(*) FROM raw_holder),
        'top_ups', (SELECT count(*) FROM raw_top_up),
        'top_up_fen', (SELECT coalesce(sum(fen), 0) FROM raw_top_up),
        'spends', (SELECT count(*) FROM raw_spend),
        'spent_fen', (SELECT coalesce(sum(fen), 0) FROM raw_spend),
        'refunds', (SELECT count(*) FROM raw_refund),
        'refunded_fen', (SELECT coalesce(sum(fen), 0) FROM raw_refund),
        'by_channel', (
            SELECT coalesce(jsonb_agg(jsonb_build_object('name', s.channel, 'accounts', s.n, 'fen', s.fen)
                                      ORDER BY s.channel), '[]')
            FROM (SELECT channel, count(DISTINCT card_no) AS n, sum(left_fen) AS fen
                  FROM census_lot GROUP BY channel) s),
        'by_age', (
            SELECT coalesce(jsonb_agg(jsonb_build_object('name', s.band, 'accounts', s.n, 'fen', s.fen)
                                      ORDER BY s.band), '[]')
            FROM (SELECT census_age_band(h.born_on, today) AS band, count(*) AS n, sum(c.stated) AS fen
                  FROM census_card c LEFT JOIN raw_holder h ON h.card_no = c.card_no
                  WHERE c.stated > 0 GROUP BY 1) s),
        'by_contact', (
            SELECT coalesce(jsonb_agg(jsonb_build_object('name', s.contact, 'accounts', s.n, 'fen', s.fen)
                                      ORDER BY s.contact), '[]')
            FROM (SELECT coalesce(h.contact, 'NONE') AS contact, count(*) AS n, sum(c.stated) AS fen
                  FROM census_card c LEFT JOIN raw_holder h ON h.card_no = c.card_no
                  WHERE c.stated > 0 GROUP BY 1) s));
END $$;

CREATE FUNCTION census_age_band(born date, today date) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN born IS NULL THEN 'UNKNOWN'
                WHEN born > today - interval '18 years' THEN '00-17'
                WHEN born > today - interval '60 years' THEN '18-59'
                WHEN born > today - interval '70 years' THEN '60-69'
                WHEN born > today - interval '80 years' THEN '70-79'
                ELSE '80+' END
$$;
