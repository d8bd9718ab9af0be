-- The encounter, locked until the transaction ends, whether a call holds it, what of the stay surely lies at the
-- platform (parts: the four of I6 over all lines, null when a line came without a verdict), and whose it is.
-- Several statements: each sees what was committed while the first waited. The lock leaves the key alone, or a
-- new call that refers to this row would wait for it.
DROP FUNCTION insurance_hold(uuid);
CREATE FUNCTION insurance_hold(encounter_id uuid) RETURNS TABLE (
    encounter insurance_encounter, taken boolean, lines bigint, fen bigint, parts bigint[],
    name_sealed bytea, id_no_sealed bytea)
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
    RETURN NEXT;
END $$;
