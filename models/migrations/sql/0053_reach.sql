-- Whether a stay is one of these patients' and lies in one of these wards; null is no bound
-- (journeys/patient_scope.py).
CREATE FUNCTION within_reach(stay admission, patients uuid[], wards text[]) RETURNS boolean LANGUAGE sql STABLE
AS $$
    SELECT (patients IS NULL OR stay.patient_id = ANY (patients)) AND (wards IS NULL OR stay.ward = ANY (wards))
$$;
