-- One turn at a channel in one statement: a slot among those that may fail at once, and the next
-- place in the rhythm. Two callers wait for each other only while one of them takes the place.

-- How long to wait until the turn that is now the holder's; null while every slot is held.
CREATE FUNCTION take_turn(
    of_hospital uuid, of_channel text, by uuid, is_old boolean,
    step interval, old_step interval, slots int, lease interval)
RETURNS interval
LANGUAGE plpgsql AS $$
DECLARE
    slot bigint;
    turn timestamptz;
BEGIN
    SELECT no INTO slot FROM failure_slot
        WHERE hospital_id = of_hospital AND channel = of_channel AND free_at <= clock_timestamp()
        ORDER BY free_at LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF slot IS NULL THEN
        -- Held by others, or never asked before: then the next try finds the rows.
        INSERT INTO channel_pace (hospital_id, channel)
            SELECT of_hospital, of_channel WHERE NOT EXISTS (
                SELECT FROM failure_slot WHERE hospital_id = of_hospital AND channel = of_channel)
            ON CONFLICT DO NOTHING;
        INSERT INTO failure_slot (hospital_id, channel, no)
            SELECT of_hospital, of_channel, n FROM generate_series(1, slots) n
            WHERE NOT EXISTS (
                SELECT FROM failure_slot WHERE hospital_id = of_hospital AND channel = of_channel)
            ON CONFLICT DO NOTHING;
        RETURN NULL;
    END IF;
    UPDATE channel_pace pace
        SET next_at = greatest(clock_timestamp(), next_at, CASE WHEN is_old THEN next_old_at END) + step,
            next_old_at = CASE WHEN is_old
                THEN greatest(clock_timestamp(), next_at, next_old_at) + old_step ELSE next_old_at END
        WHERE hospital_id = of_hospital AND channel = of_channel
        RETURNING pace.next_at - step INTO turn;
    UPDATE failure_slot SET holder = by, free_at = turn + lease
        WHERE hospital_id = of_hospital AND channel = of_channel AND no = slot;
    RETURN greatest(turn - clock_timestamp(), interval '0');
END $$;
