-- Lines stay in the partition into which they came. A statement looks up the partitions and then waits for its
-- locks: lines that moved meanwhile were in none of those that it knew, and a bill was made, and told, of 0.00.

-- Have a partition for each of some months; how many were made now. A month of which lines lie in the default
-- partition already stays there. Whoever comes while a month is made waits before the partitions are looked up.
-- We give way (lock_not_available) when nobody lets go of the lines for two seconds, and at once when somebody
-- writes a stay, which the foreign key locks: whoever holds both would wait for us, and we for them.
CREATE OR REPLACE FUNCTION make_charge_months(first date, months int) RETURNS int
LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
DECLARE
    month_start date := date_trunc('month', first)::date;
    month_end date;
    name text;
    made int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('make_charge_months'));
    FOR nth IN 1 .. months LOOP
        month_end := (month_start + interval '1 month')::date;
        name := 'charge_line_' || to_char(month_start, 'YYYY_MM');
        IF to_regclass(name) IS NULL AND NOT month_has_strays(month_start, month_end) THEN
            LOCK TABLE ONLY charge_line IN ACCESS EXCLUSIVE MODE;
            LOCK TABLE admission IN SHARE ROW EXCLUSIVE MODE NOWAIT;
            IF NOT month_has_strays(month_start, month_end) THEN
                EXECUTE format('CREATE TABLE %I PARTITION OF charge_line FOR VALUES FROM (%L) TO (%L)',
                               name, month_start, month_end);
                made := made + 1;
            END IF;
        END IF;
        month_start := month_end;
    END LOOP;
    RETURN made;
END $$;

CREATE FUNCTION month_has_strays(month_start date, month_end date) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
    SELECT EXISTS (
        SELECT FROM charge_line_default WHERE occurred_on >= month_start AND occurred_on < month_end)
$$;

-- No exception is left for lines that move.
CREATE OR REPLACE FUNCTION charge_line_is_final() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'charge lines are never changed: reverse them' USING ERRCODE = 'restrict_violation';
END $$;
