//! The command line of `clinicwire-check`.

use std::{env, path::PathBuf};

use claims::file::Encoding;
use clap::{Parser, ValueEnum};
use schemas::language::Language;

/// Checks a claims file as the Quebec health insurer exports it, and says what to mend and what to gain.
///
/// Findings go to standard output as they are found, progress to standard error. Nothing is sent or stored.
#[derive(Debug, Parser)]
#[command(name = "clinicwire-check", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Args {
    /// The export to check; - reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Rules to apply, a JSON array [default: those for a Quebec family medicine group]
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,

    /// Table of codes, CSV: code, leaf, group, top, cents
    ///
    /// Without it, rules that go by a code's description find nothing.
    #[arg(long, value_name = "FILE")]
    pub codes: Option<PathBuf>,

    /// Table of establishments, CSV: place, gmf (yes or no)
    ///
    /// Without it no place counts as a family medicine group.
    #[arg(long, value_name = "FILE")]
    pub establishments: Option<PathBuf>,

    /// How findings are written
    #[arg(long, value_enum, default_value = "text")]
    pub format: OutputFormat,

    /// Language of the messages [default: that of LC_ALL, LC_MESSAGES or LANG, else en]
    #[arg(long, value_enum)]
    pub language: Option<LanguageName>,

    /// Lists what is as it should be too
    #[arg(long)]
    pub list_passes: bool,

    /// What separates cells: ";", "," or "tab" [default: found from the header]
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    pub delimiter: Option<u8>,

    /// Encoding of the file [default: found, cell by cell]
    #[arg(long, value_enum)]
    pub encoding: Option<EncodingName>,

    /// No progress and no notes on standard error; errors still are
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// A line per finding, then totals
    Text,
    /// A JSON object per line: findings, then one with the summary
    Json,
    /// A header row, then a row per finding
    Csv,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LanguageName {
    Fr,
    En,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum EncodingName {
    #[value(name = "utf-8", alias = "utf8")]
    Utf8,
    #[value(name = "windows-1252", aliases = ["cp1252", "latin-1", "latin1", "iso-8859-1"])]
    Windows1252,
}

const EXAMPLES: &str = "\
Examples:
  clinicwire-check export.csv
        what to mend and what to gain, then totals
  clinicwire-check export.csv --codes codes.csv --establishments places.csv
        with the tables that the yearly and the longer-visit rules go by
  clinicwire-check export.csv --format csv > findings.csv
        for a spreadsheet; --format json gives one object per line, for jq
  clinicwire-check export.csv --format json | jq -r 'select(.severity == \"error\") | .message'
  clinicwire-check export.csv --rules mine.json --language fr
        mine.json:
        [{\"id\": \"invoice\", \"name\": {\"fr\": \"Facture\", \"en\": \"Invoice\"}, \"category\": \"form\",
          \"severity\": \"warning\", \"kind\": \"pattern\", \"column\": \"invoice\", \"pattern\": \"[0-9]{9}\"}]
  unzip -p month.zip | clinicwire-check - --quiet || echo \"not clean: $?\"

Row 1 is the first below the header. Findings come as they are found: what a row shows by itself in the order of
the rows, then what shows over all rows, rule by rule.

Exit status: 0 nothing to mend or gain; 1 warnings or gains, no error; 2 errors; 3 nothing was judged to its end: the
file, the rules or a table was refused or cannot be read; 64 this command line cannot be understood.";

impl Args {
    pub fn is_stdin(&self) -> bool {
        self.file.as_os_str() == "-"
    }

    pub fn encoding(&self) -> Option<Encoding> {
        self.encoding.map(|encoding| match encoding {
            EncodingName::Utf8 => Encoding::Utf8,
            EncodingName::Windows1252 => Encoding::Windows1252,
        })
    }

    pub fn language(&self) -> Language {
        match self.language {
            Some(LanguageName::Fr) => Language::French,
            Some(LanguageName::En) => Language::English,
            None => {
                let set = ["LC_ALL", "LC_MESSAGES", "LANG"]
                    .into_iter()
                    .filter_map(|name| env::var(name).ok());
                language_of(set)
            }
        }
    }
}

/// The language of the first locale that is set, as POSIX orders them.
fn language_of(mut locales: impl Iterator<Item = String>) -> Language {
    match locales.find(|locale| !locale.is_empty()) {
        Some(locale) if locale == "fr" || locale.starts_with("fr_") => Language::French,
        _ => Language::English,
    }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text {
        ";" | "semicolon" => Ok(b';'),
        "," | "comma" => Ok(b','),
        "\t" | "\\t" | "tab" => Ok(b'\t'),
        _ => Err("it is one of \";\", \",\" and \"tab\"".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{Args, Language, delimiter, language_of};

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_delimiter_has_a_name() {
        assert_eq!(delimiter(";"), Ok(b';'));
        assert_eq!(delimiter("tab"), Ok(b'\t'));
        assert!(delimiter("|").is_err() && delimiter("").is_err());
    }

    #[test]
    fn the_first_locale_that_is_set_says_the_language() {
        let of = |locales: &[&str]| language_of(locales.iter().map(|locale| (*locale).to_owned()));
        assert_eq!(of(&["fr_CA.UTF-8"]), Language::French);
        assert_eq!(of(&["", "fr"]), Language::French);
        assert_eq!(of(&["C", "fr_CA.UTF-8"]), Language::English);
        assert_eq!(of(&["fry_NL"]), Language::English);
        assert_eq!(of(&[]), Language::English);
    }
}
