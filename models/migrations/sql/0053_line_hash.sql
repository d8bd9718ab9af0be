-- What a printed list is compared by is hashed line by line as the lines come in: the night then hashes 32
-- bytes of each line instead of writing its text anew. PostgreSQL itself fills the column, so it cannot
-- differ from its line.

-- The text of a line on a printed list is its seven members apart by |, in UTF-8. (A backslash is doubled
-- for the cast, which takes one for an escape.)
ALTER TABLE charge_line ADD COLUMN line_hash bytea NOT NULL GENERATED ALWAYS AS (sha256(replace(
    source_line_id || '|' || item_name || '|' || specification || '|' || unit || '|' || quantity || '|'
        || unit_price || '|' || amount_fen, '\', '\\')::bytea)) STORED;

-- The bills that were made so far.
ALTER TABLE daily_bill DISABLE TRIGGER daily_bill_is_final;
UPDATE daily_bill bill SET items_hash = coalesce((
    SELECT sha256(string_agg(line.line_hash, ''::bytea ORDER BY line.occurred_at, line.seq))
    FROM charge_line line
    WHERE line.admission_id = bill.admission_id AND line.occurred_on = bill.day
        AND line.seq = ANY (bill.line_seqs)), sha256(''));
ALTER TABLE daily_bill ENABLE TRIGGER daily_bill_is_final;

-- Have a partition for each of some months. Lines that already lie in the default partition move
-- along: PostgreSQL refuses a partition whose rows lie there. The month is filled before it is
-- attached, so that readers and writers wait only for the attaching.
CREATE OR REPLACE FUNCTION make_charge_months(first date, months int) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    month_start date := date_trunc('month', first)::date;
    month_end date;
    name text;
    -- All but the hash, which is made anew: nobody may write it.
    reported text := (
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = 'charge_line'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '');
    made int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('make_charge_months'));
    FOR nth IN 1 .. months LOOP
        month_end := (month_start + interval '1 month')::date;
        name := 'charge_line_' || to_char(month_start, 'YYYY_MM');
        IF to_regclass(name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE charge_line INCLUDING ALL)', name);
            IF EXISTS (SELECT 1 FROM charge_line_default
                       WHERE occurred_on >= month_start AND occurred_on < month_end) THEN
                LOCK TABLE charge_line_default IN ACCESS EXCLUSIVE MODE;
                PERFORM set_config('xianzhen.moving_months', 'on', true);
                EXECUTE format(
                    'WITH moved AS (DELETE FROM charge_line_default'
                    ' WHERE occurred_on >= %L AND occurred_on < %L RETURNING *)'
                    ' INSERT INTO %I (%s) SELECT %s FROM moved',
                    month_start, month_end, name, reported, reported);
                PERFORM set_config('xianzhen.moving_months', 'off', true);
            END IF;
            EXECUTE format('ALTER TABLE charge_line ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                           name, month_start, month_end);
            made := made + 1;
        END IF;
        month_start := month_end;
    END LOOP;
    RETURN made;
END $$;
