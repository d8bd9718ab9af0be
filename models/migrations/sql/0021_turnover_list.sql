-- The list of 0020_turnover.sql, counted so that a million accounts take less.

-- What it holds and who is not on it is said there. What an account's old lots come to is counted
-- from the other side: a balance is the sum of its unused lots (lots_agree holds that at every
-- commit), and money that was paid in lately is little. Midnight in Shanghai is worked out once, so that
-- the index over unused lots by age finds it. PARALLEL SAFE: a function that does not say so keeps
-- the whole statement around it to one process.
CREATE OR REPLACE FUNCTION turnover_list(house uuid, older_than date)
RETURNS TABLE (account_id uuid, held_fen bigint, last_activity_on date, reason text,
               by_activity_fen bigint, by_lot_fen bigint, by_found_fen bigint)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT m.account_id, -a.balance_fen, p.last_activity_on, m.reason,
           CASE WHEN p.last_activity_on < older_than THEN -a.balance_fen ELSE 0 END,
           -a.balance_fen - coalesce(young.fen, 0),
           CASE WHEN m.found_on < older_than THEN -a.balance_fen ELSE 0 END
    FROM unreturnable_mark m
    JOIN account a
        ON a.hospital_id = house AND a.kind = 'OUTPATIENT_PREPAY' AND a.owner = m.account_id::text
    JOIN prepay_account p ON p.id = m.account_id
    LEFT JOIN (
        SELECT l.account_id, sum(l.amount_fen - l.spent_fen - l.refunded_fen)::bigint AS fen
        FROM lot l
        WHERE l.hospital_id = house AND l.spent_fen + l.refunded_fen < l.amount_fen
          AND l.paid_at >= older_than::timestamp AT TIME ZONE 'Asia/Shanghai'
        GROUP BY l.account_id
    ) young ON young.account_id = a.id
    WHERE m.hospital_id = house AND m.lifted_at IS NULL AND a.balance_fen < 0
      AND NOT EXISTS (
        SELECT FROM refund r
        WHERE r.hospital_id = house AND r.account_kind = 'OUTPATIENT_PREPAY'
          AND r.account_owner = a.owner AND r.state IN ('REQUESTED', 'PAYING', 'STUCK'))
      AND NOT EXISTS (
        SELECT FROM turnover_item i JOIN turnover_batch b ON b.id = i.batch_id
        WHERE i.account_id = m.account_id AND i.moved_fen + i.returned_fen < i.amount_fen
          AND b.state IN ('APPROVED', 'RECEIPTED'))
$$;
