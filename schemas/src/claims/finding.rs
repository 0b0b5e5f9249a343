//! Findings of a check of a claims file, and their messages in French and English.
//!
//! A finding names the row of the file, never a patient or a doctor. It has only codes, columns,
//! counts and amounts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    ids::RuleId,
    language::Language,
    rule::{Column, Severity, Unit},
};

/// A finding of a rule, or a row that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct Finding {
    /// The row of the file. 1 is the first row after the header; 0 stands for the whole file.
    pub row: u64,
    /// The rule that found it.
    pub rule: RuleId,
    /// How much the finding matters.
    pub severity: Severity,
    /// The kind of finding. Also the key of the message.
    pub outcome: FindingOutcome,
    /// The parameters of the message. Names of amounts end in `_cents`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Param>,
    /// Cents at risk, or cents to gain for an optimisation.
    pub cents: i64,
}

/// A parameter of a message. Never a text of a row that could name a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Param {
    /// A count, or an amount in cents.
    Number(i64),
    /// A code, a column, a unit or a rule.
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
        /// The kinds of finding that a rule can make. `{name}` in a message stands for a parameter.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum FindingOutcome { $($(#[$doc])* $name,)* }

        impl FindingOutcome {
            /// Every outcome.
            pub const ALL: &'static [FindingOutcome] = &[$(FindingOutcome::$name),*];

            /// The outcome as JSON spells it.
            pub fn as_str(self) -> &'static str {
                match self { $(FindingOutcome::$name => $key,)* }
            }

            /// The message, with its parameters still in braces.
            pub fn template(self, language: Language) -> &'static str {
                match (self, language) {
                    $((FindingOutcome::$name, Language::French) => $fr,
                    (FindingOutcome::$name, Language::English) => $en,)*
                }
            }
        }
    };
}

outcomes! {
    /// A cell of the row is missing, or does not have the format of its column. `line` is the line
    /// of the file.
    RowUnreadable = "row_unreadable",
        "La ligne {line} du fichier est illisible\u{a0}: la colonne «\u{a0}{column}\u{a0}» n'a \
         pas le format attendu.",
        "Line {line} of the file can't be read: column “{column}” doesn't have the expected \
         format.";
    /// The dates of a column have another form than the export's. One finding for the whole file:
    /// `rows` counts its rows, the first of which is on line `line`, and `form` is an example
    /// without any digit of the file.
    DateForm = "date_form",
        "La colonne «\u{a0}{column}\u{a0}» contient des dates de la forme {form} ({rows} fois, \
         d'abord à la ligne {line} du fichier). Écrivez-les comme 2025-12-31\u{a0}: d'ici là, les \
         règles qui dépendent de la date ignorent ces lignes.",
        "Column “{column}” has dates of the form {form} ({rows} times, first on line {line} of the \
         file). Write them like 2025-12-31; until then, rules that need the date skip these rows.";
    /// The times of a column have another form than the export's, reported like dates.
    TimeForm = "time_form",
        "La colonne «\u{a0}{column}\u{a0}» contient des heures de la forme {form} ({rows} fois, \
         d'abord à la ligne {line} du fichier). Écrivez-les comme 14:30\u{a0}: d'ici là, les \
         règles qui dépendent de l'heure ignorent ces lignes.",
        "Column “{column}” has times of the form {form} ({rows} times, first on line {line} of the \
         file). Write them like 14:30; until then, rules that need the time skip these rows.";
    /// A verdict about several rows depends on a cell of row `unread` that cannot be read.
    Undecided = "undecided",
        "Impossible de trancher\u{a0}: une cellule illisible de la ligne {unread} pourrait changer \
         le résultat. Corrigez-la, puis vérifiez le fichier de nouveau.",
        "This can't be decided: a cell of row {unread} that can't be read could change the result. \
         Correct it and check the file again.";
    /// The rule panicked.
    RuleFailed = "rule_failed",
        "Cette règle a échoué et n'a pas été appliquée à tout le fichier. Les autres règles \
         l'ont été.",
        "This rule failed and wasn't applied to the whole file. The other rules were.";
    /// The rule used up its time.
    RuleOverBudget = "rule_over_budget",
        "Cette règle a dépassé le temps permis ({budget_ms}\u{a0}ms) et a été arrêtée avant la \
         fin. Les autres règles ont été appliquées.",
        "This rule took longer than allowed ({budget_ms} ms) and was stopped before it \
         finished. The other rules were applied.";
    /// Nothing is wrong. Every kind of rule except the office fee has this outcome.
    Pass = "pass",
        "Conforme.",
        "Passed.";
    /// A required cell is empty.
    RequiredMissing = "required_missing",
        "La colonne «\u{a0}{column}\u{a0}» est obligatoire, mais elle est vide.",
        "Column “{column}” is required but empty.";
    /// A cell does not match its pattern.
    PatternMismatch = "pattern_mismatch",
        "La valeur de la colonne «\u{a0}{column}\u{a0}» n'a pas le format exigé par la règle.",
        "The value in column “{column}” doesn't have the format that the rule requires.";
    /// A cell is outside its range.
    OutOfRange = "out_of_range",
        "La valeur de la colonne «\u{a0}{column}\u{a0}» est hors des limites fixées par la règle.",
        "The value in column “{column}” is outside the rule's limits.";
    /// A cell is not one of the allowed values.
    NotAllowed = "not_allowed",
        "La colonne «\u{a0}{column}\u{a0}» contient une valeur que la règle ne permet pas.",
        "Column “{column}” contains a value that the rule doesn't allow.";
    /// The code of the row is not in the code table.
    CodeUnknown = "code_unknown",
        "Le code {code} ne figure pas dans la table des codes.",
        "Code {code} is not in the code table.";
    /// A context of the row is not in the table of contexts.
    ContextUnknown = "context_unknown",
        "La colonne «\u{a0}{column}\u{a0}» contient un élément de contexte qui ne figure pas \
         dans la table.",
        "Column “{column}” contains a context that is not in the table.";
    /// Billed several times, and paid more than once.
    OnceSeveralPaid = "once_several_paid",
        "Facturé {count} fois pendant la période et payé {paid} fois\u{a0}: vérifiez que chaque \
         paiement a vraiment eu lieu.",
        "Billed {count} times in the period and paid {paid} times. Check that each payment was \
         really made.";
    /// Billed several times, and paid once.
    OnceOnePaid = "once_one_paid",
        "Facturé {count} fois pendant la période, payé une seule fois\u{a0}: remplacez le code \
         sur les lignes non payées.",
        "Billed {count} times in the period but paid once. Replace the code on the unpaid rows.";
    /// Billed several times, and never paid.
    OnceNonePaid = "once_none_paid",
        "Facturé {count} fois pendant la période, jamais payé\u{a0}: facturez-le une seule fois.",
        "Billed {count} times in the period and never paid. Bill it only once.";
    /// A sum of minutes or units is above its limit.
    SumExceeded = "sum_exceeded",
        "Le total de {total} {unit} dépasse de {excess} la limite de {limit}.",
        "The total of {total} {unit} exceeds the limit of {limit} by {excess}.";
    /// A sum of amounts is above its limit.
    SumExceededCents = "sum_exceeded_cents",
        "Le total de {total_cents} dépasse de {excess_cents} la limite de {limit_cents}.",
        "The total of {total_cents} exceeds the limit of {limit_cents} by {excess_cents}.";
    /// A fee was due and not billed.
    FeeMissing = "fee_missing",
        "Une visite de la période donne droit à un forfait de {gain_cents}, qui n'a pas été \
         facturé.",
        "A visit in the period qualifies for a fee of {gain_cents} that wasn't billed.";
    /// The length of a visit may allow a better code.
    LongerVisit = "longer_visit",
        "Cette visite de {minutes} minutes pourrait valoir {better_cents} plutôt que \
         {billed_cents}.",
        "This visit of {minutes} minutes may be worth {better_cents} instead of {billed_cents}.";
    /// An office fee was billed outside a private office.
    OfficeFeePlace = "office_fee_place",
        "Le code {code} se facture seulement en cabinet privé. Retirez-le.",
        "Code {code} can only be billed in private offices. Remove it.";
    /// An office fee does not have its minimum of patients.
    OfficeFeeMinimum = "office_fee_minimum",
        "Le code {code} exige au moins {needed} patients dans son groupe; il y en a {seen}. \
         Retirez-le.",
        "Code {code} requires at least {needed} patients in its group, but there are {seen}. \
         Remove it.";
    /// The same, and the smaller fee has its minimum.
    OfficeFeeMinimumSmaller = "office_fee_minimum_smaller",
        "Le code {code} exige au moins {needed} patients dans son groupe; il y en a {seen}. \
         Facturez plutôt le code {better}.",
        "Code {code} requires at least {needed} patients in its group, but there are {seen}. \
         Bill {better} instead.";
    /// Neither of a day's two fees has its minimum. One finding names both, which may be the same
    /// code.
    OfficeFeeMinimumBoth = "office_fee_minimum_both",
        "Aucun des deux frais de cabinet du jour ({code} et {other}) n'atteint le minimum de \
         patients. Retirez les deux.",
        "Neither of the day's two office fees ({code} and {other}) has enough patients. Remove \
         both.";
    /// A fee does not have its minimum in its group, but would have it in the other one.
    OfficeFeeOtherGroup = "office_fee_other_group",
        "Le groupe facturé n'atteint pas le minimum de patients du code {code}, mais l'autre \
         groupe l'atteint\u{a0}: facturez-le pour l'autre groupe.",
        "The billed group doesn't have enough patients for code {code}, but the other group \
         does. Bill it for the other group.";
    /// The fees of a day are above the maximum. `keep` is what may stay: a code, or a code with its
    /// count (`2 × 19928`).
    OfficeFeeMaximum = "office_fee_maximum",
        "Les frais de cabinet du jour ({total_cents}) dépassent de {excess_cents} le maximum de \
         {limit_cents}. Gardez seulement {keep}.",
        "The day's office fees ({total_cents}) exceed the maximum of {limit_cents} by \
         {excess_cents}. Keep only {keep}.";
    /// The group has enough patients for the larger fee.
    OfficeFeeUpgrade = "office_fee_upgrade",
        "Le groupe compte {seen} patients, assez pour facturer le code {better} au lieu du code \
         {code}\u{a0}: gain de {gain_cents}.",
        "The group has {seen} patients, enough to bill {better} instead of {code}: a gain of \
         {gain_cents}.";
    /// The other group allows a second fee.
    OfficeFeeSecond = "office_fee_second",
        "L'autre groupe ({seen} patients) permet de facturer un second {code}\u{a0}: gain de \
         {gain_cents}.",
        "The other group ({seen} patients) qualifies for a second {code}: a gain of {gain_cents}.";
    /// A day without a fee allows one. `better` is a code, or a code for each group (`2 × 19928`);
    /// `seen` counts the patients of the groups it needs.
    OfficeFeeUnbilled = "office_fee_unbilled",
        "{seen} patients permettent de facturer {better}, ce qui n'a pas été fait\u{a0}: gain \
         de {gain_cents}.",
        "{seen} patients qualify for {better}, which wasn't billed: a gain of {gain_cents}.";
    /// The fees of a day are correct.
    OfficeFeePass = "office_fee_pass",
        "Frais de cabinet conformes\u{a0}: {registered} patients inscrits, {walk_in} sans \
         rendez-vous, {total_cents}.",
        "Office fees are correct: {registered} registered and {walk_in} walk-in patients, \
         {total_cents}.";
    /// The fees of a day are correct and reach the maximum.
    OfficeFeePassMaximum = "office_fee_pass_maximum",
        "Frais de cabinet conformes\u{a0}: {registered} patients inscrits, {walk_in} sans \
         rendez-vous, {total_cents}; le maximum du jour est atteint.",
        "Office fees are correct: {registered} registered and {walk_in} walk-in patients, \
         {total_cents}, which is the day's maximum.";
}

impl Finding {
    /// The message with its parameters filled in. Amounts look like `32,40 $` or `$32.40`.
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
                Some(Param::Word(word)) => text.push_str(displayed(name, word, language)),
                None => text.push('…'),
            }
            rest = tail;
        }
        text.push_str(rest);
        text
    }
}

/// The texts that people see in place of a parameter's word: by parameter, then by word. A column
/// is shown by its title in the file.
pub fn words(language: Language) -> BTreeMap<&'static str, BTreeMap<&'static str, &'static str>> {
    let columns = Column::ALL.iter().map(|column| (column.as_str(), column.title()));
    let units = Unit::ALL.iter().map(|unit| (unit.as_str(), unit.title(language)));
    BTreeMap::from([("column", columns.collect()), ("unit", units.collect())])
}

fn displayed<'a>(param: &str, word: &'a str, language: Language) -> &'a str {
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

/// An amount of money, as the language writes it.
pub fn money(cents: i64, language: Language) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let (whole, part) = (cents.unsigned_abs() / 100, cents.unsigned_abs() % 100);
    match language {
        // No-break spaces keep an amount on one line.
        Language::French => format!("{sign}{},{part:02}\u{a0}$", grouped(whole, '\u{a0}')),
        Language::English => format!("{sign}${}.{part:02}", grouped(whole, ',')),
    }
}

/// A number with `separator` between its groups of three digits.
fn grouped(number: u64, separator: char) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(separator);
        }
        text.push(digit);
    }
    text
}

impl Finding {
    /// A number that sorts the findings of a run: by severity, then by amount with the largest
    /// first, then by row. Amounts from 2^31 cents on count as equal, and so do rows from 2^30 on.
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
    fn messages_have_equal_parameters_in_both_languages() {
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
    fn outcome_names_match_their_json() {
        for outcome in FindingOutcome::ALL {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
        }
    }

    #[test]
    fn amounts_follow_the_language() {
        let both = |cents| (money(cents, Language::French), money(cents, Language::English));
        assert_eq!(both(3240), ("32,40\u{a0}$".into(), "$32.40".into()));
        assert_eq!(both(0), ("0,00\u{a0}$".into(), "$0.00".into()));
        assert_eq!(both(5), ("0,05\u{a0}$".into(), "$0.05".into()));
        assert_eq!(both(-12_345), ("-123,45\u{a0}$".into(), "-$123.45".into()));
        assert_eq!(money(i64::MIN, Language::English), "-$92,233,720,368,547,758.08");
    }

    #[test]
    fn messages_show_amounts_titles_and_units() {
        let messages = |outcome, params: &[(&str, Param)]| {
            let params =
                params.iter().map(|(name, param)| ((*name).to_owned(), param.clone())).collect();
            let rule = "a-rule".parse().unwrap();
            let finding =
                Finding { row: 1, rule, severity: Severity::Error, outcome, params, cents: 0 };
            [finding.message(Language::French), finding.message(Language::English)]
        };
        assert_eq!(
            messages(FindingOutcome::RequiredMissing, &[("column", "paid".into())]),
            [
                "La colonne «\u{a0}Montant payé\u{a0}» est obligatoire, mais elle est vide.",
                "Column “Montant payé” is required but empty."
            ]
        );
        let sum = [
            ("total", 12.into()),
            ("limit", 10.into()),
            ("excess", 2.into()),
            ("unit", "units".into()),
        ];
        assert_eq!(
            messages(FindingOutcome::SumExceeded, &sum),
            [
                "Le total de 12 unités dépasse de 2 la limite de 10.",
                "The total of 12 units exceeds the limit of 10 by 2."
            ]
        );
        let gain = [("gain_cents", 935.into())];
        assert_eq!(
            messages(FindingOutcome::FeeMissing, &gain)[0],
            "Une visite de la période donne droit à un forfait de 9,35\u{a0}$, qui n'a pas été \
                 facturé."
        );
    }

    #[test]
    fn every_column_and_unit_has_a_text() {
        let words = words(Language::French);
        assert!(
            Column::ALL.iter().all(|column| words["column"][column.as_str()] == column.title())
        );
        assert_eq!(words["unit"]["units"], "unités");
    }

    #[test]
    fn findings_sort_by_severity_then_amount_then_row() {
        let key = |severity, cents, row| {
            let (rule, outcome) = ("a-rule".parse().unwrap(), FindingOutcome::ALL[0]);
            Finding { row, rule, severity, outcome, params: Default::default(), cents }.sort_key()
        };
        let sorted = [
            key(Severity::Error, i64::MAX, u64::MAX),
            key(Severity::Error, 501, 9),
            key(Severity::Error, 500, 1),
            key(Severity::Error, 500, 2),
            key(Severity::Error, 0, 1),
            key(Severity::Warning, 900, 1),
            key(Severity::Optimisation, 900, 1),
            key(Severity::Pass, 0, u64::MAX),
        ];
        assert!(sorted.is_sorted_by(|one, next| one < next), "{sorted:?}");
        // What the key leaves out.
        assert_eq!(key(Severity::Error, -5, 1), key(Severity::Error, 0, 1));
        assert_eq!(
            key(Severity::Error, 1 << 31, 1 << 30),
            key(Severity::Error, i64::MAX, u64::MAX)
        );
    }
}
