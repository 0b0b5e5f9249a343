-- The checks of crates/claims/data/quebec.json and crates/testing/src/claims_files/rules.json in
-- SQL, in the usual way for DuckDB: each cell is read once into a table of typed rows, and each
-- rule is a query of it.
--
-- Numbers of the rules stand here as they are; the engine takes them from data. A row is named by
-- the file's column `#`, which generated files fill with the row's number: that spares DuckDB a
-- window over the whole file. Findings have no parameters for their messages, which the engine's
-- have.

CREATE TEMP TABLE codes AS
SELECT code::INTEGER AS code, leaf, "group" AS level, top
FROM read_csv(getvariable('codes'), header = true, all_varchar = true);

CREATE TEMP TABLE gmf_places AS
SELECT place::INTEGER AS place
FROM read_csv(getvariable('establishments'), header = true, all_varchar = true)
WHERE gmf = 'true';

CREATE TEMP TABLE findings (
    row UBIGINT, rule VARCHAR, severity VARCHAR, outcome VARCHAR, cents BIGINT
);
CREATE TEMP TABLE passes (rule VARCHAR, passes BIGINT);

CREATE MACRO cents_of(cell) AS (replace(cell, ',', '.')::DECIMAL(18, 2) * 100)::BIGINT;
CREATE MACRO minutes_of(cell) AS
    60 * split_part(cell, ':', 1)::INTEGER + split_part(cell, ':', 2)::INTEGER;
CREATE MACRO is_time(cell) AS regexp_full_match(cell, '([01]?[0-9]|2[0-3]):[0-5][0-9]');
CREATE MACRO is_money(cell) AS regexp_full_match(cell, '-?[0-9]{1,15}([,.][0-9]{1,2})?');

-- Empty cells are NULL. A cell without the format of its column makes the row unreadable.
CREATE TEMP TABLE typed AS
WITH cells AS (
    SELECT
        "#"::UBIGINT AS row,
        nullif(trim("Facture"), '') AS invoice,
        nullif(trim("Date de Service"), '') AS date,
        nullif(trim("Début"), '') AS "start",
        nullif(trim("Fin"), '') AS "end",
        nullif(trim("Lieu de pratique"), '') AS place,
        nullif(trim("Code"), '') AS code,
        nullif(trim("Unités"), '') AS units,
        nullif(trim("Rôle"), '') AS role,
        nullif(trim("Élément de contexte"), '') AS contexts,
        nullif(trim("Montant Preliminaire"), '') AS preliminary,
        nullif(trim("Montant payé"), '') AS paid,
        nullif(trim("Doctor Info"), '') AS doctor,
        nullif(trim("Patient"), '') AS patient
    FROM read_csv(
        getvariable('file'), delim = ';', quote = '"', escape = '"', header = true,
        all_varchar = true, auto_detect = false, strict_mode = false,
        columns = {
            '#': 'VARCHAR', 'Facture': 'VARCHAR', 'ID RAMQ': 'VARCHAR',
            'Date de Service': 'VARCHAR', 'Début': 'VARCHAR', 'Fin': 'VARCHAR',
            'Periode': 'VARCHAR', 'Lieu de pratique': 'VARCHAR', 'Secteur d''activité': 'VARCHAR',
            'Diagnostic': 'VARCHAR', 'Code': 'VARCHAR', 'Unités': 'VARCHAR', 'Rôle': 'VARCHAR',
            'Élément de contexte': 'VARCHAR', 'Montant Preliminaire': 'VARCHAR',
            'Montant payé': 'VARCHAR', 'Doctor Info': 'VARCHAR', 'total_preliminary': 'VARCHAR',
            'total_final': 'VARCHAR', 'total_count': 'VARCHAR', 'Agence': 'VARCHAR',
            'Patient': 'VARCHAR', 'Grand Total': 'VARCHAR'
        }
    )
), judged AS (
    SELECT
        *,
        (date IS NULL OR (length(date) = 10 AND TRY_CAST(date AS DATE) IS NOT NULL))
            AND ("start" IS NULL OR is_time("start"))
            AND ("end" IS NULL OR is_time("end"))
            AND (place IS NULL OR regexp_full_match(place, '[0-9]{5}'))
            AND (code IS NULL OR regexp_full_match(code, '[0-9]{4,5}'))
            AND (units IS NULL OR regexp_full_match(units, '-?[0-9]{1,15}'))
            AND (preliminary IS NULL OR is_money(preliminary))
            AND (paid IS NULL OR is_money(paid))
            AND (doctor IS NULL OR regexp_full_match(doctor, '[0-9]{7}-[0-9]{5}([^0-9A-Za-z].*)?'))
            AND (
                patient IS NULL
                OR regexp_full_match(patient, '[A-Za-z]{4}[0-9]{8}([^0-9A-Za-z].*)?')
            )
            AS readable
    FROM cells
), formed AS (
    SELECT
        row, readable, invoice, role,
        CASE WHEN readable THEN date::DATE END AS date,
        CASE
            WHEN readable AND ("end" IS NOT NULL OR "start" NOT IN ('00:00', '0:00'))
            THEN minutes_of("start")
        END AS "start",
        CASE WHEN readable THEN minutes_of("end") END AS "end",
        CASE WHEN readable THEN place::INTEGER END AS place,
        CASE WHEN readable THEN code::INTEGER END AS code,
        CASE WHEN readable THEN units::BIGINT END AS units,
        CASE WHEN readable THEN cents_of(preliminary) END AS preliminary,
        CASE WHEN readable THEN cents_of(paid) END AS paid,
        CASE WHEN readable THEN doctor[1:13] END AS doctor,
        CASE WHEN readable THEN upper(patient[1:12]) END AS patient,
        CASE
            WHEN readable AND contexts IS NOT NULL
            THEN list_transform(
                string_split(upper(contexts), ','),
                lambda one: trim(ltrim(trim(one), '#'))
            )
            ELSE []
        END AS contexts
    FROM judged
)
SELECT
    formed.*,
    leaf, level, top,
    gmf_places.place IS NOT NULL AS gmf,
    coalesce(paid > 0, false) AS is_paid,
    list_has_any(contexts, ['G160', 'AR']) AS walk_in,
    CASE
        WHEN "end" >= "start" THEN "end" - "start"
        ELSE "end" + 1440 - "start"
    END AS minutes
FROM formed
LEFT JOIN codes USING (code)
LEFT JOIN gmf_places ON gmf_places.place = formed.place;

CREATE TEMP VIEW readable AS FROM typed WHERE readable;

INSERT INTO findings SELECT row, 'file', 'error', 'row_unreadable', 0 FROM typed WHERE NOT readable;

-- Checks of single rows.
INSERT INTO findings
SELECT row, 'doctor-required', 'error', 'required_missing', 0 FROM readable WHERE doctor IS NULL;
INSERT INTO findings
SELECT row, 'invoice-form', 'warning', 'pattern_mismatch', 0 FROM readable
WHERE NOT regexp_full_match(invoice, '[0-9]{9}');
INSERT INTO findings
SELECT row, 'units-range', 'warning', 'out_of_range', 0 FROM readable
WHERE units NOT BETWEEN 0 AND 1440;
INSERT INTO findings
SELECT row, 'known-code', 'warning', 'code_unknown', 0 FROM readable
WHERE code IS NOT NULL AND top IS NULL;
INSERT INTO findings
SELECT row, 'known-roles', 'warning', 'not_allowed', 0 FROM readable
WHERE lower(role) NOT IN ('1', 'médecin traitant', 'équipe');

INSERT INTO passes
UNPIVOT (
    SELECT
        count(doctor) AS "doctor-required",
        count(*) FILTER (WHERE regexp_full_match(invoice, '[0-9]{9}')) AS "invoice-form",
        count(*) FILTER (WHERE units BETWEEN 0 AND 1440) AS "units-range",
        count(top) AS "known-code",
        count(*) FILTER (WHERE lower(role) IN ('1', 'médecin traitant', 'équipe')) AS "known-roles"
    FROM readable
) ON COLUMNS(*) INTO NAME rule VALUE passes;

CREATE TEMP TABLE longer AS
SELECT row, coalesce(preliminary, 0) AS billed, 5970 + 2985 * ((minutes - 30) // 15) AS better
FROM readable
WHERE minutes >= 30 AND top = 'B - CONSULTATION, EXAMEN ET VISITE' AND code NOT IN (8857, 8859);
INSERT INTO findings
SELECT row, 'longer-visits', 'optimisation', 'longer_visit', better - billed FROM longer
WHERE billed < better;
INSERT INTO passes SELECT 'longer-visits', count(*) FROM longer WHERE billed >= better;

-- Once a year.
CREATE TEMP TABLE once AS
SELECT
    'annual-codes' AS rule, 0 AS cents, count(*) AS count, count(*) FILTER (WHERE is_paid) AS paid,
    min(row) FILTER (WHERE is_paid) AS first_paid,
    min(row) FILTER (WHERE NOT is_paid) AS first_unpaid
FROM readable
WHERE leaf IN ('Visite de prise en charge', 'Visite périodique')
    AND patient IS NOT NULL AND date IS NOT NULL
GROUP BY patient, code, year(date)
UNION ALL
SELECT
    'gmf-yearly-fee', 935, count(*), count(*) FILTER (WHERE is_paid),
    min(row) FILTER (WHERE is_paid), min(row) FILTER (WHERE NOT is_paid)
FROM readable
WHERE code = 8875 AND patient IS NOT NULL AND date IS NOT NULL
GROUP BY patient, year(date);
INSERT INTO findings
SELECT
    CASE WHEN paid > 1 THEN first_paid ELSE first_unpaid END, rule, 'error',
    CASE paid WHEN 0 THEN 'once_none_paid' WHEN 1 THEN 'once_one_paid' ELSE 'once_several_paid' END,
    cents * (count - 1)
FROM once
WHERE count > 1;
INSERT INTO passes SELECT rule, count(*) FROM once WHERE count = 1 GROUP BY rule;

-- The yearly fee that was not billed.
CREATE TEMP TABLE due AS
WITH marked AS (
    SELECT
        row, patient, date, code = 8875 AS billed,
        gmf
            AND (
                code IN (8857, 8859)
                OR level IN (
                    'Visites sur rendez-vous (patient de 80 ans ou plus)',
                    'Visites sur rendez-vous (patient de moins de 80 ans)'
                )
            )
            AND NOT list_has_any(contexts, ['MTA13', 'GMFU', 'GAP', 'G160', 'AR']) AS due
    FROM readable
    WHERE patient IS NOT NULL AND date IS NOT NULL
)
SELECT min(row) FILTER (WHERE due) AS row, coalesce(bool_or(billed), false) AS billed
FROM marked
WHERE due OR billed
GROUP BY patient, year(date)
HAVING bool_or(due);
INSERT INTO findings
SELECT row, 'gmf-yearly-missing', 'optimisation', 'fee_missing', 935 FROM due WHERE NOT billed;
INSERT INTO passes SELECT 'gmf-yearly-missing', count(*) FROM due WHERE billed;

-- Sums of a doctor's day.
CREATE TEMP TABLE sums AS
SELECT
    'intervention-minutes' AS rule, min(row) AS row,
    sum(CASE code WHEN 8857 THEN 30 ELSE units END) AS total, 180 AS most
FROM readable
WHERE (code = 8857 OR (code = 8859 AND units IS NOT NULL))
    AND NOT list_has_any(contexts, ['ICEP', 'ICSM', 'ICTOX'])
    AND doctor IS NOT NULL AND date IS NOT NULL
GROUP BY doctor, date
UNION ALL
SELECT 'day-amount', min(row), sum(preliminary), 1000000
FROM readable
WHERE preliminary IS NOT NULL AND doctor IS NOT NULL AND date IS NOT NULL
GROUP BY doctor, date;
INSERT INTO findings
SELECT
    row, rule,
    CASE rule WHEN 'day-amount' THEN 'warning' ELSE 'error' END,
    CASE rule WHEN 'day-amount' THEN 'sum_exceeded_cents' ELSE 'sum_exceeded' END,
    CASE rule WHEN 'day-amount' THEN total - most ELSE 0 END
FROM sums
WHERE total > most;
INSERT INTO passes SELECT rule, count(*) FROM sums WHERE total <= most GROUP BY rule;

-- Office fees: patients of each doctor's day, its fees, and their findings, in the rule's order.
CREATE TEMP TABLE days AS
WITH seen AS (
    SELECT doctor, date, patient, min(row) AS first, bool_and(walk_in) AS walk_in
    FROM readable
    WHERE doctor IS NOT NULL AND date IS NOT NULL AND patient IS NOT NULL
        AND (code IS NULL OR code NOT IN (19928, 19929))
    GROUP BY doctor, date, patient
)
SELECT
    doctor, date,
    count(*) FILTER (WHERE NOT walk_in) AS registered,
    count(*) FILTER (WHERE walk_in) AS walk_ins,
    min(first) FILTER (WHERE NOT walk_in) AS first_registered,
    min(first) FILTER (WHERE walk_in) AS first_walk_in
FROM seen
GROUP BY doctor, date;

CREATE TEMP TABLE fees AS
SELECT
    row, doctor, date, walk_in,
    code = 19929 AS large,
    CASE code WHEN 19929 THEN 6480 ELSE 3240 END AS tariff,
    coalesce(place BETWEEN 50000 AND 59999, false) AS in_office,
    coalesce(registered, 0) AS registered,
    coalesce(walk_ins, 0) AS walk_ins
FROM (
    SELECT * FROM readable
    WHERE code IN (19928, 19929) AND doctor IS NOT NULL AND date IS NOT NULL
)
LEFT JOIN days USING (doctor, date);

CREATE TEMP TABLE fee_findings AS
SELECT row, doctor, date, 'error' AS severity, 'office_fee_place' AS outcome, tariff AS cents
FROM fees
WHERE NOT in_office;

CREATE TEMP TABLE advised AS
WITH counted AS (
    SELECT
        *,
        CASE WHEN walk_in THEN walk_ins ELSE registered END AS own,
        CASE WHEN walk_in THEN registered ELSE walk_ins END AS other,
        CASE
            WHEN walk_in THEN CASE WHEN large THEN 20 ELSE 10 END
            ELSE CASE WHEN large THEN 12 ELSE 6 END
        END AS own_least,
        CASE
            WHEN walk_in THEN CASE WHEN large THEN 12 ELSE 6 END
            ELSE CASE WHEN large THEN 20 ELSE 10 END
        END AS other_least,
        CASE WHEN walk_in THEN 10 ELSE 6 END AS own_small_least,
        count(*) FILTER (WHERE walk_in) OVER day AS walk_in_fees,
        count(*) FILTER (WHERE NOT walk_in) OVER day AS registered_fees
    FROM fees
    WHERE in_office
    WINDOW day AS (PARTITION BY doctor, date)
), advice AS (
    SELECT
        *,
        CASE
            WHEN own >= own_least THEN 'none'
            WHEN other >= other_least
                AND CASE WHEN walk_in THEN registered_fees ELSE walk_in_fees END = 0
                THEN 'other'
            WHEN large AND own >= own_small_least THEN 'smaller'
            ELSE 'cancel'
        END AS advice
    FROM counted
)
SELECT
    *,
    walk_in_fees + registered_fees = 2
        AND count(*) FILTER (WHERE advice = 'cancel') OVER (PARTITION BY doctor, date) = 2
        AS both_fail
FROM advice;

INSERT INTO fee_findings
SELECT min(row), doctor, date, 'error', 'office_fee_minimum_both', sum(tariff)
FROM advised
WHERE both_fail
GROUP BY doctor, date
UNION ALL
SELECT
    row, doctor, date,
    CASE advice WHEN 'other' THEN 'optimisation' ELSE 'error' END,
    CASE advice
        WHEN 'other' THEN 'office_fee_other_group'
        WHEN 'smaller' THEN 'office_fee_minimum_smaller'
        ELSE 'office_fee_minimum'
    END,
    CASE advice WHEN 'other' THEN 0 WHEN 'smaller' THEN tariff - 3240 ELSE tariff END
FROM advised
WHERE advice <> 'none' AND NOT both_fail;

-- Of what is right by itself the day's limit allows one 19929, or two 19928 where there is none.
INSERT INTO fee_findings
WITH held AS (
    SELECT
        *,
        sum(tariff) OVER day AS total,
        bool_or(large) OVER day AS any_large,
        row_number() OVER (PARTITION BY doctor, date, large ORDER BY row) AS nth
    FROM advised
    WHERE advice IN ('none', 'other')
    WINDOW day AS (PARTITION BY doctor, date)
)
SELECT max(row), doctor, date, 'error', 'office_fee_maximum', any_value(total) - 6480
FROM held
WHERE total > 6480 AND NOT (large = any_large AND nth <= CASE WHEN large THEN 1 ELSE 2 END)
GROUP BY doctor, date;

CREATE TEMP TABLE quiet AS
SELECT
    doctor, date,
    coalesce(days.registered, 0) AS registered, coalesce(days.walk_ins, 0) AS walk_ins,
    first_registered, first_walk_in, first_fee, coalesce(fee_count, 0) AS fee_count, large, walk_in
FROM days
FULL JOIN (
    SELECT
        doctor, date, min(row) AS first_fee, count(*) AS fee_count,
        bool_or(large) AS large, bool_or(walk_in) AS walk_in
    FROM fees
    GROUP BY doctor, date
) USING (doctor, date)
ANTI JOIN fee_findings USING (doctor, date);

INSERT INTO fee_findings
SELECT
    first_fee, doctor, date, 'optimisation',
    CASE
        WHEN CASE WHEN walk_in THEN walk_ins >= 20 ELSE registered >= 12 END
            THEN 'office_fee_upgrade'
        ELSE 'office_fee_second'
    END,
    3240
FROM quiet
WHERE fee_count = 1 AND NOT large
    AND CASE
        WHEN walk_in THEN walk_ins >= 20 OR registered >= 6
        ELSE registered >= 12 OR walk_ins >= 10
    END
UNION ALL
SELECT
    CASE
        WHEN registered >= 12 THEN first_registered
        WHEN walk_ins >= 20 THEN first_walk_in
        WHEN registered >= 6 AND walk_ins >= 10 THEN least(first_registered, first_walk_in)
        WHEN registered >= 6 THEN first_registered
        ELSE first_walk_in
    END,
    doctor, date, 'optimisation', 'office_fee_unbilled',
    CASE
        WHEN registered >= 12 OR walk_ins >= 20 OR (registered >= 6 AND walk_ins >= 10) THEN 6480
        ELSE 3240
    END
FROM quiet
WHERE fee_count = 0 AND (registered >= 6 OR walk_ins >= 10);

INSERT INTO findings SELECT row, 'office-fee', severity, outcome, cents FROM fee_findings;
INSERT INTO passes
SELECT 'office-fee', count(*)
FROM quiet ANTI JOIN fee_findings USING (doctor, date)
WHERE fee_count > 0;
