//! The reference tables that a generated file relies on. Descriptions are invented, except those
//! that rules name.

use std::io::Write;

use anyhow::{Context, Result};

/// The top level of visits, as rules name it.
pub const VISITS: &str = "B - CONSULTATION, EXAMEN ET VISITE";
/// The level-1 groups of visits that entitle to the yearly fee.
pub const UNDER_80: &str = "Visites sur rendez-vous (patient de moins de 80 ans)";
pub const FROM_80: &str = "Visites sur rendez-vous (patient de 80 ans ou plus)";

pub const FEE_SMALL: u32 = 19928;
pub const FEE_LARGE: u32 = 19929;
pub const INTERVENTION: u32 = 8857;
pub const INTERVENTION_BY_UNITS: u32 = 8859;
pub const YEARLY_FEE: u32 = 8875;

/// Visits that no rule names.
pub const PLAIN_VISITS: std::ops::Range<u32> = 15_701..15_721;
/// Visits in the two groups of the yearly fee.
pub const DUE_VISITS: std::ops::Range<u32> = 15_801..15_811;
pub const DUE_VISITS_80: std::ops::Range<u32> = 15_821..15_826;
/// Codes allowed once a year each. The last one is in neither group of the yearly fee.
pub const TAKING_CHARGE: u32 = 15_811;
pub const TAKING_CHARGE_80: u32 = 15_812;
pub const PERIODIC: u32 = 15_815;
pub const PERIODIC_ELSEWHERE: u32 = 15_816;
/// Acts, which are not visits. They bring the table to 6,740 codes, the size of the one in use.
pub const ACTS: std::ops::Range<u32> = 20_001..26_697;
/// Codes that the table does not have.
pub const UNKNOWN_CODES: std::ops::Range<u32> = 99_901..99_991;

/// Private offices, offices with the GMF flag, hospitals, and other places.
pub const OFFICES: std::ops::Range<u32> = 55_001..55_041;
pub const GMF_OFFICES: std::ops::Range<u32> = 56_001..56_041;
pub const HOSPITALS: std::ops::Range<u32> = 25_001..25_021;
pub const OTHER_PLACES: std::ops::Range<u32> = 45_001..45_006;
/// An office that the table of establishments does not have.
pub const UNLISTED_OFFICE: u32 = 57_001;

/// Whether the code's top level is that of visits.
#[must_use]
pub fn is_visit(code: u32) -> bool {
    PLAIN_VISITS.contains(&code)
        || is_in_due_group(code)
        || code == PERIODIC_ELSEWHERE
        || is_intervention(code)
}

/// Whether the code is in one of the groups that entitle to the yearly fee.
#[must_use]
pub fn is_in_due_group(code: u32) -> bool {
    DUE_VISITS.contains(&code)
        || DUE_VISITS_80.contains(&code)
        || [TAKING_CHARGE, TAKING_CHARGE_80, PERIODIC].contains(&code)
}

fn is_intervention(code: u32) -> bool {
    [INTERVENTION, INTERVENTION_BY_UNITS].contains(&code)
}

/// Both tables as CSV: codes, and establishments.
#[must_use]
pub fn reference_tables() -> [Vec<u8>; 2] {
    let (mut codes, mut establishments) = (Vec::new(), Vec::new());
    write_codes(&mut codes).expect("a vector accepts every write");
    write_establishments(&mut establishments).expect("a vector accepts every write");
    [codes, establishments]
}

/// Writes the table of codes as CSV: `code,leaf,group,top,cents`.
///
/// # Errors
/// When it cannot be written.
pub fn write_codes(out: impl Write) -> Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(["code", "leaf", "group", "top", "cents"])
        .context("write the table of codes")?;
    let mut row = |code: u32, leaf: &str, group: &str, top: &str| {
        let cents = (1_000 + u64::from(code) * 37 % 9_000).to_string();
        csv.write_record([&code.to_string(), leaf, group, top, &cents])
            .context("write the table of codes")
    };
    for code in PLAIN_VISITS {
        row(code, &format!("Visite synthétique {code}"), "Visites synthétiques", VISITS)?;
    }
    for code in DUE_VISITS {
        row(code, &format!("Visite suivie synthétique {code}"), UNDER_80, VISITS)?;
    }
    for code in DUE_VISITS_80 {
        row(code, &format!("Visite suivie synthétique {code}"), FROM_80, VISITS)?;
    }
    row(TAKING_CHARGE, "Visite de prise en charge", UNDER_80, VISITS)?;
    row(TAKING_CHARGE_80, "Visite de prise en charge", FROM_80, VISITS)?;
    row(PERIODIC, "Visite périodique", UNDER_80, VISITS)?;
    row(PERIODIC_ELSEWHERE, "Visite périodique", "Visites synthétiques", VISITS)?;
    row(INTERVENTION, "Intervention synthétique", "Interventions synthétiques", VISITS)?;
    row(
        INTERVENTION_BY_UNITS,
        "Intervention synthétique à la minute",
        "Interventions synthétiques",
        VISITS,
    )?;
    row(
        YEARLY_FEE,
        "Supplément annuel synthétique",
        "Forfaits synthétiques",
        "A - FORFAITS SYNTHÉTIQUES",
    )?;
    row(FEE_SMALL, "Frais synthétiques 1", "Forfaits synthétiques", "A - FORFAITS SYNTHÉTIQUES")?;
    row(FEE_LARGE, "Frais synthétiques 2", "Forfaits synthétiques", "A - FORFAITS SYNTHÉTIQUES")?;
    for code in ACTS {
        let group = format!("Actes synthétiques, groupe {}", code % 40);
        row(code, &format!("Acte synthétique {code}"), &group, "C - ACTES SYNTHÉTIQUES")?;
    }
    csv.flush().context("write the table of codes")
}

/// Writes the table of establishments as CSV: `place,gmf`.
///
/// # Errors
/// When it cannot be written.
pub fn write_establishments(mut out: impl Write) -> Result<()> {
    writeln!(out, "place,gmf")?;
    for (places, gmf) in
        [(OFFICES, false), (GMF_OFFICES, true), (HOSPITALS, false), (OTHER_PLACES, false)]
    {
        for place in places {
            writeln!(out, "{place},{gmf}")?;
        }
    }
    out.flush().context("write the table of establishments")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_table_has_6740_distinct_codes() {
        let mut bytes = Vec::new();
        write_codes(&mut bytes).unwrap();
        let mut reader = csv::Reader::from_reader(&bytes[..]);
        let codes: std::collections::BTreeSet<u32> =
            reader.records().map(|record| record.unwrap()[0].parse().unwrap()).collect();
        assert_eq!(codes.len(), 6_740);
        assert!(UNKNOWN_CODES.clone().all(|code| !codes.contains(&code)));
    }
}
