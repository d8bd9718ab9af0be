-- The census of old cards, reading: temporary tables that COPY fills as text, and what the texts mean.
-- A temporary table is gone at the end of the transaction, whatever became of it.

-- Yuan as people write them -> whole fen; NULL for what is not one. Trailing zeros are no fractions.
CREATE FUNCTION census_fen(t text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN length(t) > 20 THEN NULL
        WHEN t ~ '^-?[0-9]+([.][0-9][0-9]?0*)?$' AND length(t) <= 16 THEN (t::numeric * 100)::bigint
        WHEN t ~ '^[¥￥]?-?[0-9][0-9]?[0-9]?(,[0-9][0-9][0-9])*([.][0-9][0-9]?0*)?元?$'
            THEN (translate(t, '¥￥,元', '')::numeric * 100)::bigint
    END
$$;

-- A moment in the less common forms.
CREATE FUNCTION census_odd_moment(t text) RETURNS timestamp LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    found text[] := coalesce(
        regexp_match(t, '^((?:19|20)\d\d)[-/.年](\d\d?)[-/.月](\d\d?)日?(?:[ T]+(\d\d?):(\d\d)(?::(\d\d)(?:\.\d+)?)?)?$'),
        regexp_match(t, '^((?:19|20)\d\d)(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d))?$'));
BEGIN
    RETURN make_timestamp(found[1]::int, found[2]::int, found[3]::int, coalesce(found[4], '0')::int,
                          coalesce(found[5], '0')::int, coalesce(found[6], '0')::int);
EXCEPTION WHEN datetime_field_overflow THEN
    RETURN NULL;
END $$;

-- A moment as old systems write it, on the wall clock of Shanghai; NULL for what is not one. The two
-- common forms are read here, which PostgreSQL inlines; everything else above.
CREATE FUNCTION census_moment(t text) RETURNS timestamp LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN length(t) = 19 AND t ~ '^(19|20)[0-9][0-9]-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31) ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$'
            THEN make_timestamp(substr(t, 1, 4)::int, substr(t, 6, 2)::int, substr(t, 9, 2)::int,
                                substr(t, 12, 2)::int, substr(t, 15, 2)::int, substr(t, 18, 2)::int)
        WHEN length(t) = 10 AND t ~ '^(19|20)[0-9][0-9]-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)$'
            THEN make_timestamp(substr(t, 1, 4)::int, substr(t, 6, 2)::int, substr(t, 9, 2)::int,
                                0, 0, 0)
        WHEN t IS NOT NULL THEN census_odd_moment(t)
    END
$$;

-- UUIDv7 of whole tables: the time and chance of one made in Python, then which table and which row
-- where its tail was.
CREATE FUNCTION census_id(base text, its_table int, n bigint)
RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (left(base, 24) || lpad(to_hex(its_table), 2, '0') || lpad(to_hex(n), 10, '0'))::uuid
$$;

-- Why a text is not what its column asks for.
CREATE FUNCTION census_why(t text, otherwise text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN t IS NULL THEN 'CELL_EMPTY'
        WHEN t ~ '^=' THEN 'FORMULA'
        WHEN t ~ '^[0-9](\.[0-9]+)?[eE][+]?[0-9]+$' THEN 'NUMBER_MANGLED'
        WHEN otherwise = 'AMOUNT_UNREADABLE' AND census_fen(t) < 0 THEN 'AMOUNT_NEGATIVE'
        WHEN otherwise = 'AMOUNT_UNREADABLE' AND t ~ '^-?[0-9]+\.[0-9]{3,}$' THEN 'AMOUNT_NOT_WHOLE_FEN'
        WHEN otherwise = 'DATE_UNREADABLE' AND t ~ '^[1-9][0-9]{4}(\.[0-9]+)?$' THEN 'DATE_IS_SERIAL'
        WHEN otherwise = 'DATE_UNREADABLE' AND census_moment(t) IS NOT NULL THEN 'DATE_IN_FUTURE'
        ELSE otherwise
    END
$$;

-- The tables that COPY fills. "problem": CODE@field of what the reader already saw.
CREATE FUNCTION census_stage() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMP TABLE raw_account (
        row_no int, problem text, card_no text COLLATE "C", balance text, opened_on text, last_activity_on text,
        fen bigint GENERATED ALWAYS AS (census_fen(balance)) STORED,
        opened timestamp GENERATED ALWAYS AS (census_moment(opened_on)) STORED,
        used timestamp GENERATED ALWAYS AS (census_moment(last_activity_on)) STORED
    ) ON COMMIT DROP;
    CREATE TEMP TABLE raw_holder (
        row_no int, problem text, card_no text COLLATE "C", id uuid, name_sealed bytea, id_no_sealed bytea,
        id_no_index bytea, phone_sealed bytea, phone_index bytea, born_on date, sex text,
        id_type text, contact text, said bigint, name_mark bigint
    ) ON COMMIT DROP;
    CREATE TEMP TABLE raw_top_up (
        row_no int, problem text, top_up_no text COLLATE "C", card_no text COLLATE "C", amount text, "at" text, channel text,
        channel_transaction text COLLATE "C",
        fen bigint GENERATED ALWAYS AS (census_fen(amount)) STORED,
        moment timestamp GENERATED ALWAYS AS (census_moment("at")) STORED
    ) ON COMMIT DROP;
    CREATE TEMP TABLE raw_spend (
        row_no int, problem text, card_no text COLLATE "C", amount text, "at" text, note text,
        fen bigint GENERATED ALWAYS AS (census_fen(amount)) STORED,
        moment timestamp GENERATED ALWAYS AS (census_moment("at")) STORED
    ) ON COMMIT DROP;
    CREATE TEMP TABLE raw_refund (
        row_no int, problem text, card_no text COLLATE "C", amount text, "at" text, top_up_no text COLLATE "C",
        fen bigint GENERATED ALWAYS AS (census_fen(amount)) STORED,
        moment timestamp GENERATED ALWAYS AS (census_moment("at")) STORED
    ) ON COMMIT DROP;
    CREATE TEMP TABLE raw_bill (
        row_no int, problem text, channel text, channel_transaction text COLLATE "C", amount text,
        fen bigint GENERATED ALWAYS AS (census_fen(amount)) STORED
    ) ON COMMIT DROP;
    CREATE TEMP TABLE census_channel (theirs text, ours text) ON COMMIT DROP;
    CREATE TEMP TABLE known_patient (id uuid, id_no_index bytea, name_mark bigint) ON COMMIT DROP;
    CREATE TEMP TABLE census_found (
        about text, row_no int, field text, code text, facts jsonb
    ) ON COMMIT DROP;
END $$;
