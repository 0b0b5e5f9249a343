//! What a check of a claims file found, and what it says to people: one table, in French and English.
//!
//! A finding names the file's row, never a patient or a doctor: codes, columns, counts and amounts are all it carries.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    ids::RuleId,
    language::Language,
    rule::{Column, Severity, Unit},
};

/// Something a rule found, or that a row cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct Finding {
    /// The row of the file: 1 is the first after the header. 0: about the file or a rule as a whole.
    pub row: u64,
    pub rule: RuleId,
    pub severity: Severity,
    /// What was found, which is also the key of its message.
    pub outcome: FindingOutcome,
    /// What the message names. Amounts end in `_cents`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Param>,
    /// At stake, or to gain when it is an optimisation.
    pub cents: i64,
}

/// A number, or a word that is a code, a column or a rule: never text from a row that could name a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Param {
    Number(i64),
    Word(String),
}

impl From<i64> for Param {
    fn from(number: i64) -> Self {
        Param::Number(number)
    }
}

impl From<&str> for Param {
    fn from(word: &str) -> Self {
        Param::Word(word.into())
    }
}

macro_rules! outcomes {
    ($($(#[$doc:meta])* $name:ident = $key:literal, $fr:literal, $en:literal;)*) => {
        /// Every outcome a rule can have. `{name}` in a message stands for a parameter, amounts as the language writes them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum FindingOutcome { $($(#[$doc])* $name,)* }

        impl FindingOutcome {
            pub const ALL: &'static [FindingOutcome] = &[$(FindingOutcome::$name),*];

            /// The outcome on every wire.
            pub fn as_str(self) -> &'static str {
                match self { $(FindingOutcome::$name => $key,)* }
            }

            /// The message, with its parameters still in braces.
            pub fn template(self, language: Language) -> &'static str {
                match (self, language) {
                    $((FindingOutcome::$name, Language::French) => $fr, (FindingOutcome::$name, Language::English) => $en,)*
                }
            }
        }
    };
}

outcomes! {
    /// A row whose named column cannot be read; `line` is the file's line.
    RowUnreadable = "row_unreadable",
        "La ligne {line} ne peut pas être lue\u{a0}: la colonne «\u{a0}{column}\u{a0}» n'a pas la forme attendue.",
        "Line {line} cannot be read: the column “{column}” does not have the expected form.";
    RuleFailed = "rule_failed",
        "La règle a échoué et n'a pas été appliquée à tout le fichier. Les autres règles l'ont été.",
        "The rule failed and was not applied to the whole file. The other rules were.";
    RuleOverBudget = "rule_over_budget",
        "La règle a dépassé le temps alloué ({budget_ms} ms) et a été arrêtée. Les autres règles ont été appliquées.",
        "The rule overran its time ({budget_ms} ms) and was stopped. The other rules were applied.";
    /// What every kind but the office fee says when all is well.
    Pass = "pass", "Conforme.", "As it should be.";
    RequiredMissing = "required_missing",
        "La colonne «\u{a0}{column}\u{a0}» est vide.",
        "The column “{column}” is empty.";
    PatternMismatch = "pattern_mismatch",
        "La colonne «\u{a0}{column}\u{a0}» n'a pas la forme que la règle demande.",
        "The column “{column}” does not have the form the rule asks for.";
    OutOfRange = "out_of_range",
        "La colonne «\u{a0}{column}\u{a0}» est hors des limites de la règle.",
        "The column “{column}” is outside the rule's bounds.";
    NotAllowed = "not_allowed",
        "La colonne «\u{a0}{column}\u{a0}» contient une valeur que la règle ne permet pas.",
        "The column “{column}” holds a value the rule does not allow.";
    CodeUnknown = "code_unknown",
        "Le code {code} ne figure pas dans la table des codes.",
        "The code {code} is not in the table of codes.";
    OnceSeveralPaid = "once_several_paid",
        "Facturé {count} fois dans la période et payé {paid} fois\u{a0}: vérifiez que chaque paiement a vraiment eu lieu.",
        "Billed {count} times in the period and paid {paid} times: check whether each was really paid.";
    OnceOnePaid = "once_one_paid",
        "Facturé {count} fois dans la période, payé une seule fois\u{a0}: remplacez le code là où il n'est pas payé.",
        "Billed {count} times in the period, paid once: replace the code where it is not paid.";
    OnceNonePaid = "once_none_paid",
        "Facturé {count} fois dans la période, jamais payé\u{a0}: ne le gardez qu'une fois.",
        "Billed {count} times in the period, never paid: keep it once.";
    SumExceeded = "sum_exceeded",
        "Le total de {total} {unit} dépasse de {excess} la limite de {limit}.",
        "The total of {total} {unit} is {excess} above the limit of {limit}.";
    /// The same for amounts.
    SumExceededCents = "sum_exceeded_cents",
        "Le total de {total_cents} dépasse de {excess_cents} la limite de {limit_cents}.",
        "The total of {total_cents} is {excess_cents} above the limit of {limit_cents}.";
    FeeMissing = "fee_missing",
        "Une visite de la période donne droit à un forfait de {gain_cents}, qui n'a pas été facturé.",
        "A visit in the period allows a fee of {gain_cents}, which was not billed.";
    LongerVisit = "longer_visit",
        "La visite de {minutes} minutes pourrait valoir {better_cents} au lieu de {billed_cents}.",
        "The visit of {minutes} minutes may be worth {better_cents} instead of {billed_cents}.";
    OfficeFeePlace = "office_fee_place",
        "Le {code} ne se facture qu'en cabinet privé. Annulez-le.",
        "The {code} is billed in private offices only. Cancel it.";
    OfficeFeeMinimum = "office_fee_minimum",
        "Le {code} demande au moins {needed} patients dans son groupe; il y en a {seen}. Annulez-le.",
        "The {code} needs at least {needed} patients in its group; it has {seen}. Cancel it.";
    OfficeFeeMinimumSmaller = "office_fee_minimum_smaller",
        "Le {code} demande au moins {needed} patients dans son groupe; il y en a {seen}. Facturez plutôt le {better}.",
        "The {code} needs at least {needed} patients in its group; it has {seen}. Bill the {better} instead.";
    /// Both of a day's fees fail; named in one finding, and may be the same code.
    OfficeFeeMinimumBoth = "office_fee_minimum_both",
        "Aucun des deux frais du jour ({code} et {other}) n'atteint son minimum de patients. Annulez les deux.",
        "Neither of the day's two fees ({code} and {other}) reaches its minimum of patients. Cancel both.";
    OfficeFeeOtherGroup = "office_fee_other_group",
        "Le {code} n'atteint pas le minimum de patients de son groupe, mais l'autre groupe l'atteint\u{a0}: facturez-le pour l'autre groupe.",
        "The {code} does not reach the minimum of patients of its group, but the other group does: bill it for the other group.";
    /// `keep` is what may stay: a code, or several times a code (`2 × 19928`).
    OfficeFeeMaximum = "office_fee_maximum",
        "Les frais du jour ({total_cents}) dépassent de {excess_cents} le maximum de {limit_cents}. Ne gardez que ceci\u{a0}: {keep}.",
        "The day's fees ({total_cents}) are {excess_cents} above the maximum of {limit_cents}. Keep only {keep}.";
    OfficeFeeUpgrade = "office_fee_upgrade",
        "Le groupe compte {seen} patients, ce qui permet le {better} au lieu du {code}\u{a0}: gain de {gain_cents}.",
        "The group has {seen} patients, which allows the {better} instead of the {code}: a gain of {gain_cents}.";
    OfficeFeeSecond = "office_fee_second",
        "L'autre groupe ({seen} patients) permet un second {code}\u{a0}: gain de {gain_cents}.",
        "The other group ({seen} patients) allows a second {code}: a gain of {gain_cents}.";
    /// `better` is a code, or a code for each of the two groups (`2 × 19928`); `seen` counts the patients it rests on.
    OfficeFeeUnbilled = "office_fee_unbilled",
        "{seen} patients permettent de facturer {better}, ce qui n'a pas été fait\u{a0}: gain de {gain_cents}.",
        "{seen} patients allow billing {better}, which was not done: a gain of {gain_cents}.";
    OfficeFeePass = "office_fee_pass",
        "Frais de cabinet conformes\u{a0}: {registered} patients inscrits, {walk_in} sans rendez-vous, {total_cents}.",
        "Office fees as they should be: {registered} registered and {walk_in} walk-in patients, {total_cents}.";
    OfficeFeePassMaximum = "office_fee_pass_maximum",
        "Frais de cabinet conformes\u{a0}: {registered} patients inscrits, {walk_in} sans rendez-vous, {total_cents}; le maximum du jour est atteint.",
        "Office fees as they should be: {registered} registered and {walk_in} walk-in patients, {total_cents}; the day's maximum is reached.";
}

impl Finding {
    /// The message for people, its parameters filled in; amounts as `32,40 $` or `$32.40`.
    pub fn message(&self, language: Language) -> String {
        let mut text = String::new();
        let mut rest = self.outcome.template(language);
        while let Some((before, after)) = rest.split_once('{') {
            let (name, tail) = after.split_once('}').unwrap_or((after, ""));
            text.push_str(before);
            match self.params.get(name) {
                Some(Param::Number(cents)) if name.ends_with("_cents") => {
                    text.push_str(&money(*cents, language));
                }
                Some(Param::Number(number)) => text.push_str(&number.to_string()),
                Some(Param::Word(word)) => text.push_str(shown(name, word, language)),
                None => text.push('…'),
            }
            rest = tail;
        }
        text.push_str(rest);
        text
    }
}

/// Words of parameters that people read differently: by parameter, then by word. A column shows its title in the file.
pub fn words(language: Language) -> BTreeMap<&'static str, BTreeMap<&'static str, &'static str>> {
    let columns = Column::ALL.iter().map(|column| (column.as_str(), column.title()));
    let units = Unit::ALL.iter().map(|unit| (unit.as_str(), unit.title(language)));
    BTreeMap::from([("column", columns.collect()), ("unit", units.collect())])
}

fn shown<'a>(param: &str, word: &'a str, language: Language) -> &'a str {
    match param {
        "column" => Column::ALL
            .iter()
            .find(|column| column.as_str() == word)
            .map_or(word, |column| column.title()),
        "unit" => Unit::ALL
            .iter()
            .find(|unit| unit.as_str() == word)
            .map_or(word, |unit| unit.title(language)),
        _ => word,
    }
}

/// An amount as people of the language write it.
pub fn money(cents: i64, language: Language) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let (whole, part) = (cents.unsigned_abs() / 100, cents.unsigned_abs() % 100);
    match language {
        // No-break spaces: an amount is not torn over two lines.
        Language::French => format!("{sign}{},{part:02}\u{a0}$", grouped(whole, '\u{a0}')),
        Language::English => format!("{sign}${}.{part:02}", grouped(whole, ',')),
    }
}

/// A number with this between its thousands.
fn grouped(number: u64, between: char) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(between);
        }
        text.push(digit);
    }
    text
}

impl Finding {
    /// The finding's place in its run's list, as one number that sorts: severity, then the amount, the greatest first,
    /// then the row. Amounts past 2^31 cents and rows past 2^30 stand with the last of their kind.
    pub fn sort_key(&self) -> i64 {
        const CENTS: i64 = (1 << 31) - 1;
        const ROWS: u64 = (1 << 30) - 1;
        let severity = self.severity as i64;
        let cents = CENTS - self.cents.clamp(0, CENTS);
        (severity << 61) | (cents << 30) | self.row.min(ROWS) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::{Finding, FindingOutcome, Param, money, words};
    use crate::{
        language::Language,
        rule::{Column, Severity},
    };

    /// The names in braces, in the order of the text.
    fn names(template: &str) -> Vec<&str> {
        template
            .split('{')
            .skip(1)
            .map(|part| part.split_once('}').expect("a closed brace").0)
            .collect()
    }

    #[test]
    fn a_message_names_the_same_parameters_in_both_languages() {
        for outcome in FindingOutcome::ALL {
            let sorted = |language| {
                let mut names = names(outcome.template(language));
                names.sort_unstable();
                names
            };
            assert_eq!(sorted(Language::French), sorted(Language::English), "{}", outcome.as_str());
        }
    }

    #[test]
    fn an_outcome_has_one_name_in_json_and_in_the_program() {
        for outcome in FindingOutcome::ALL {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
        }
    }

    #[test]
    fn an_amount_is_written_as_the_language_writes_it() {
        let both = |cents| (money(cents, Language::French), money(cents, Language::English));
        assert_eq!(both(3240), ("32,40\u{a0}$".into(), "$32.40".into()));
        assert_eq!(both(5), ("0,05\u{a0}$".into(), "$0.05".into()));
        assert_eq!(both(-12_345), ("-123,45\u{a0}$".into(), "-$123.45".into()));
        assert_eq!(money(i64::MIN, Language::English), "-$92,233,720,368,547,758.08");
    }

    #[test]
    fn a_message_shows_amounts_titles_and_units_as_people_read_them() {
        let told = |outcome, params: &[(&str, Param)]| {
            let params =
                params.iter().map(|(name, param)| ((*name).to_owned(), param.clone())).collect();
            let rule = "a-rule".parse().unwrap();
            let finding =
                Finding { row: 1, rule, severity: Severity::Error, outcome, params, cents: 0 };
            [finding.message(Language::French), finding.message(Language::English)]
        };
        assert_eq!(
            told(FindingOutcome::RequiredMissing, &[("column", "paid".into())]),
            [
                "La colonne «\u{a0}Montant payé\u{a0}» est vide.",
                "The column “Montant payé” is empty."
            ]
        );
        let sum = [
            ("total", 12.into()),
            ("limit", 10.into()),
            ("excess", 2.into()),
            ("unit", "units".into()),
        ];
        assert_eq!(
            told(FindingOutcome::SumExceeded, &sum),
            [
                "Le total de 12 unités dépasse de 2 la limite de 10.",
                "The total of 12 units is 2 above the limit of 10."
            ]
        );
        let gain = [("gain_cents", 935.into())];
        assert_eq!(
            told(FindingOutcome::FeeMissing, &gain)[0],
            "Une visite de la période donne droit à un forfait de 9,35\u{a0}$, qui n'a pas été facturé."
        );
    }

    #[test]
    fn every_column_and_unit_has_a_word_for_people() {
        let words = words(Language::French);
        assert!(
            Column::ALL.iter().all(|column| words["column"][column.as_str()] == column.title())
        );
        assert_eq!(words["unit"]["units"], "unités");
    }
}
