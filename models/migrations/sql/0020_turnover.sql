-- Who may be turned over to the treasury (GZ-8.2), as one statement over all accounts.

-- The balances that cannot be given back, each under the three readings of «more than three years»
-- (D-08): what would be turned over if it counted from the account's last activity, from each top-up,
-- or from the day on which the balance was found unreturnable; 0 where it is not old enough. Accounts
-- with an open refund, and those already on another batch that is under way, are not on the list.
CREATE FUNCTION turnover_list(house uuid, older_than date)
RETURNS TABLE (account_id uuid, held_fen bigint, last_activity_on date, reason text,
               by_activity_fen bigint, by_lot_fen bigint, by_found_fen bigint)
LANGUAGE sql STABLE AS $$
    SELECT p.id, -a.balance_fen, p.last_activity_on, m.reason,
           CASE WHEN p.last_activity_on < older_than THEN -a.balance_fen ELSE 0 END,
           coalesce(old.fen, 0),
           CASE WHEN m.found_on < older_than THEN -a.balance_fen ELSE 0 END
    FROM unreturnable_mark m
    JOIN prepay_account p ON p.id = m.account_id
    JOIN account a
        ON a.hospital_id = house AND a.kind = 'OUTPATIENT_PREPAY' AND a.owner = p.id::text
    LEFT JOIN (
        SELECT l.account_id, sum(l.amount_fen - l.spent_fen - l.refunded_fen)::bigint AS fen
        FROM lot l
        WHERE l.hospital_id = house AND l.spent_fen + l.refunded_fen < l.amount_fen
          AND (l.paid_at AT TIME ZONE 'Asia/Shanghai')::date < older_than
        GROUP BY l.account_id
    ) old ON old.account_id = a.id
    WHERE m.hospital_id = house AND m.lifted_at IS NULL AND a.balance_fen < 0
      AND NOT EXISTS (
        SELECT FROM refund r
        WHERE r.hospital_id = house AND r.account_kind = 'OUTPATIENT_PREPAY'
          AND r.account_owner = p.id::text AND r.state IN ('REQUESTED', 'PAYING', 'STUCK'))
      AND NOT EXISTS (
        SELECT FROM turnover_item i JOIN turnover_batch b ON b.id = i.batch_id
        WHERE i.account_id = p.id AND i.moved_fen + i.returned_fen < i.amount_fen
          AND b.state IN ('APPROVED', 'RECEIPTED'))
$$;
