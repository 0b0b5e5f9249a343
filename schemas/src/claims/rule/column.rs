//! The columns of a claims export.

use serde::{Deserialize, Serialize};

macro_rules! columns {
    ($($name:ident = $wire:literal, $title:literal;)*) => {
        /// The columns of a claims export, in the order of the file.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum Column {
            $(
                #[doc = concat!("The column with the title `", $title, "`.")]
                $name,
            )*
        }

        impl Column {
            /// Every column.
            pub const ALL: &'static [Column] = &[$(Column::$name),*];

            /// The name of the column in rules and findings.
            pub fn as_str(self) -> &'static str {
                match self { $(Column::$name => $wire,)* }
            }

            /// The title of the column in the header row of the file.
            pub fn title(self) -> &'static str {
                match self { $(Column::$name => $title,)* }
            }
        }
    };
}

columns! {
    Number = "number", "#";
    Invoice = "invoice", "Facture";
    RamqId = "ramq_id", "ID RAMQ";
    ServiceDate = "service_date", "Date de Service";
    Start = "start", "Début";
    End = "end", "Fin";
    Period = "period", "Periode";
    Place = "place", "Lieu de pratique";
    Sector = "sector", "Secteur d'activité";
    Diagnosis = "diagnosis", "Diagnostic";
    Code = "code", "Code";
    Units = "units", "Unités";
    Role = "role", "Rôle";
    Contexts = "contexts", "Élément de contexte";
    Preliminary = "preliminary", "Montant Preliminaire";
    Paid = "paid", "Montant payé";
    Doctor = "doctor", "Doctor Info";
    TotalPreliminary = "total_preliminary", "DEV NOTE - À TRADUIRE: \
         Report_DailyClaimInfo_TotalPrelAmount";
    TotalFinal = "total_final", "DEV NOTE - À TRADUIRE: Report_DailyClaimInfo_TotalFinalAmount";
    TotalCount = "total_count", "DEV NOTE - À TRADUIRE: Report_DailyClaimInfo_TotalCount";
    Agency = "agency", "Agence";
    Patient = "patient", "Patient";
    GrandTotal = "grand_total", "Grand Total";
}
