//! The command line of `clinicwire-check`.

use std::{env, path::PathBuf};

use claims::file::TextEncoding;
use clap::{Parser, ValueEnum};
use schemas::language::Language;

/// Checks a claims export of the Quebec health insurer for errors to fix and possible missed
/// billing.
///
/// Findings go to standard output as they are found, progress to standard error. Nothing is sent or
/// stored.
#[derive(Debug, Parser)]
#[command(name = "clinicwire-check", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Args {
    /// The export to check, or - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Rules to apply, as a JSON array [default: rules for a Quebec family medicine group]
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,

    /// Code table, CSV: code, leaf, group, top, cents
    ///
    /// Without it, rules that use the description of a code find nothing.
    #[arg(long, value_name = "FILE")]
    pub codes: Option<PathBuf>,

    /// Table of establishments, CSV: place, gmf (yes or no)
    ///
    /// Without it, no place counts as a family medicine group.
    #[arg(long, value_name = "FILE")]
    pub establishments: Option<PathBuf>,

    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    pub format: OutputFormat,

    /// Language of the messages [default: from LC_ALL, LC_MESSAGES or LANG, else en]
    #[arg(long, value_enum)]
    pub language: Option<LanguageArg>,

    /// Also list rows that passed
    #[arg(long)]
    pub list_passes: bool,

    /// Delimiter between cells: ";", "," or "tab" [default: detected from the header]
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    pub delimiter: Option<u8>,

    /// Encoding of the file [default: detected for each cell]
    #[arg(long, value_enum)]
    pub encoding: Option<EncodingArg>,

    /// Write only errors to standard error, no progress
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// One line per finding, then totals
    Text,
    /// One JSON object per line: each finding, then the summary
    Json,
    /// A header row, then one row per finding
    Csv,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LanguageArg {
    Fr,
    En,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum EncodingArg {
    #[value(name = "utf-8", alias = "utf8")]
    Utf8,
    #[value(name = "windows-1252", aliases = ["cp1252", "latin-1", "latin1", "iso-8859-1"])]
    Windows1252,
}

const EXAMPLES: &str = "\
Examples:
  clinicwire-check export.csv
        list errors and possible missed billing, then totals
  clinicwire-check export.csv --codes codes.csv --establishments places.csv
        use the tables that the annual rules and the longer-visit rule need
  clinicwire-check export.csv --format csv > findings.csv
        write a table for a spreadsheet; --format json writes one object per line
  clinicwire-check export.csv --format json | jq -r 'select(.severity == \"error\") | .message'
  clinicwire-check export.csv --rules mine.json --language fr
        mine.json:
        [{\"id\": \"invoice\", \"name\": {\"fr\": \"Facture\", \"en\": \"Invoice\"},
          \"category\": \"form\", \"severity\": \"warning\", \"kind\": \"pattern\",
          \"column\": \"invoice\", \"pattern\": \"[0-9]{9}\"}]
  unzip -p month.zip | clinicwire-check - --quiet || echo \"not clean: $?\"

Row 1 is the first row below the header. Findings of single rows come first, in the order of the
rows; findings that need all rows follow, rule by rule.

Exit status: 0 no findings; 1 warnings or possible gains, no errors; 2 errors; 3 the check could not
be completed, because the file, the rules or a table cannot be read or was refused;
64 the command line is wrong.";

impl Args {
    pub fn is_stdin(&self) -> bool {
        self.file.as_os_str() == "-"
    }

    pub fn encoding(&self) -> Option<TextEncoding> {
        self.encoding.map(|encoding| match encoding {
            EncodingArg::Utf8 => TextEncoding::Utf8,
            EncodingArg::Windows1252 => TextEncoding::Windows1252,
        })
    }

    pub fn language(&self) -> Language {
        match self.language {
            Some(LanguageArg::Fr) => Language::French,
            Some(LanguageArg::En) => Language::English,
            None => {
                let set = ["LC_ALL", "LC_MESSAGES", "LANG"]
                    .into_iter()
                    .filter_map(|name| env::var(name).ok());
                language_of(set)
            }
        }
    }
}

/// The language of the first locale that is set, in the order of POSIX.
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
        _ => Err("must be \";\", \",\" or \"tab\"".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{Args, Language, delimiter, language_of};

    #[test]
    fn command_line_definition_is_valid() {
        Args::command().debug_assert();
    }

    #[test]
    fn delimiters_have_names() {
        assert_eq!(delimiter(";"), Ok(b';'));
        assert_eq!(delimiter("tab"), Ok(b'\t'));
        assert!(delimiter("|").is_err() && delimiter("").is_err());
    }

    #[test]
    fn first_set_locale_gives_the_language() {
        let of = |locales: &[&str]| language_of(locales.iter().map(|locale| (*locale).to_owned()));
        assert_eq!(of(&["fr_CA.UTF-8"]), Language::French);
        assert_eq!(of(&["", "fr"]), Language::French);
        assert_eq!(of(&["C", "fr_CA.UTF-8"]), Language::English);
        assert_eq!(of(&["fry_NL"]), Language::English);
        assert_eq!(of(&[]), Language::English);
    }
}
