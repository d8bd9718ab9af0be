-- The clearance ledger (清退台账, GZ-7) as it stood at a moment: one row for each account that ever held
-- money, everything derived from what happened, nothing stored.

-- stored = held + under way + paid + turned over + used, for each account; `reason` says of what is
-- still there why it is (T10), and is null where nothing is.
CREATE FUNCTION clearance_board(house uuid, moment timestamptz)
RETURNS TABLE (account_id uuid, patient_id uuid, card_no text, channel text, last_activity_on date,
               stored_fen bigint, held_fen bigint, under_way_fen bigint, paid_fen bigint,
               turned_over_fen bigint, state text, reason text)
LANGUAGE sql STABLE AS $$
    WITH stood AS (
        SELECT a.owner,
               -coalesce(sum(l.amount_fen) FILTER (WHERE a.kind = 'OUTPATIENT_PREPAY'), 0)::bigint AS held,
               -coalesce(sum(l.amount_fen) FILTER (WHERE a.kind = 'TREASURY_TURNED_OVER'), 0)::bigint AS over
        FROM account a
        JOIN ledger_line l ON l.account_id = a.id
        JOIN ledger_transaction t ON t.id = l.transaction_id AND t.at <= moment
        WHERE a.hospital_id = house AND a.kind IN ('OUTPATIENT_PREPAY', 'TREASURY_TURNED_OVER')
        GROUP BY a.owner
    ), brought AS (
        SELECT a.owner, sum(l.amount_fen)::bigint AS fen,
               (array_agg(l.channel ORDER BY l.amount_fen DESC, l.id))[1] AS channel
        FROM account a
        JOIN lot l ON l.account_id = a.id
        JOIN ledger_transaction t ON t.id = l.transaction_id AND t.at <= moment
        WHERE a.hospital_id = house AND a.kind = 'OUTPATIENT_PREPAY'
          AND NOT EXISTS (SELECT FROM ledger_transaction undone
                          WHERE undone.reverses = t.id AND undone.at <= moment)
        GROUP BY a.owner
    ), back AS (
        SELECT r.account_owner AS owner,
               sum(g.amount_fen) FILTER (WHERE g.paid_at <= moment)::bigint AS paid,
               sum(g.amount_fen) FILTER (WHERE g.paid_at IS NULL OR g.paid_at > moment)::bigint AS open,
               bool_or(g.asked_at <= moment OR r.checked_at <= moment) AS leaving
        FROM refund r
        JOIN refund_leg g ON g.refund_id = r.id AND g.state <> 'REROUTED'
        WHERE r.hospital_id = house AND r.requested_at <= moment AND r.state <> 'REJECTED'
          AND r.account_kind IN ('OUTPATIENT_PREPAY', 'TREASURY_TURNED_OVER')
        GROUP BY r.account_owner
    ), told AS (
        SELECT DISTINCT m.patient_id FROM message m
        WHERE m.hospital_id = house AND m.template = 'CLEARANCE_NOTICE' AND m.created_at <= moment
          AND m.state IN ('SENT', 'DELIVERED')
        UNION
        SELECT p.patient_id FROM contact_attempt c JOIN prepay_account p ON p.id = c.account_id
        WHERE c.hospital_id = house AND c.at <= moment AND c.result IN ('ANSWERED', 'NO_ANSWER')
    ), bound AS (
        SELECT DISTINCT w.patient_id FROM wechat_binding w
        WHERE w.hospital_id = house AND w.patient_id IS NOT NULL
    ), known AS (
        SELECT p.id, p.patient_id, p.card_no, p.last_activity_on,
               coalesce(brought.channel, '') AS channel,
               coalesce(brought.fen, 0) AS stored, coalesce(stood.held, 0) AS held,
               coalesce(back.open, 0) AS open, coalesce(back.paid, 0) AS paid,
               coalesce(stood.over, 0) AS over, coalesce(back.leaving, false) AS leaving,
               mark.reason AS mark, mark.filing_id,
               q.phone_index IS NOT NULL OR bound.patient_id IS NOT NULL AS reachable,
               told.patient_id IS NOT NULL AS contacted
        FROM prepay_account p
        JOIN patient q ON q.id = p.patient_id
        LEFT JOIN stood ON stood.owner = p.id::text
        LEFT JOIN brought ON brought.owner = p.id::text
        LEFT JOIN back ON back.owner = p.id::text
        LEFT JOIN told ON told.patient_id = p.patient_id
        LEFT JOIN bound ON bound.patient_id = p.patient_id
        LEFT JOIN unreturnable_mark mark
            ON mark.account_id = p.id AND mark.marked_at <= moment
           AND (mark.lifted_at IS NULL OR mark.lifted_at > moment)
        WHERE p.hospital_id = house AND brought.fen > 0
    )
    SELECT id, patient_id, card_no, channel, last_activity_on, stored, held, open, paid, over,
           CASE WHEN open > 0 AND leaving THEN 'PAYING'
                WHEN open > 0 THEN 'ASKED'
                WHEN held = 0 AND over > 0 THEN 'TURNED_OVER'
                WHEN held = 0 THEN 'CLEARED'
                WHEN filing_id IS NOT NULL THEN 'FILED'
                WHEN mark IS NOT NULL THEN 'UNRETURNABLE'
                WHEN contacted THEN 'CONTACTED'
                ELSE 'NEW' END,
           CASE WHEN held + open = 0 THEN NULL
                WHEN open > 0 THEN 'REQUEST_UNDER_WAY'
                WHEN mark IS NOT NULL THEN mark
                WHEN NOT reachable THEN 'NO_CONTACT_DATA'
                WHEN contacted THEN 'NO_ANSWER_YET'
                ELSE 'NOT_CONTACTED_YET' END
    FROM known
$$;
