//! `check-config`: parses and validates every setting and reports all faults together, without
//! connecting to a server.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fmt::{self, Display},
    io::Write,
    process::ExitCode,
};

use clap::{
    Arg, ArgMatches, Command, CommandFactory, FromArgMatches,
    builder::{Resettable, ValueParser},
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};

/// The subcommand that asks for a check.
pub const CHECK_CONFIG: &str = "check-config";

/// Settings that cannot be used, in the order they were found.
#[derive(Debug, Default)]
pub struct Faults(Vec<(String, String)>);

impl Faults {
    /// Adds a fault of `flag`, the name of the flag with its dashes.
    pub fn add(&mut self, flag: &str, problem: impl Display) {
        self.0.push((flag.to_owned(), problem.to_string()));
    }

    /// Adds the error of a setting, with its causes. Returns the value otherwise.
    pub fn check<T, E: Into<anyhow::Error>>(
        &mut self,
        flag: &str,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.add(flag, format!("{:#}", error.into()))).ok()
    }

    /// Whether no fault was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Turns the faults into an error.
    ///
    /// # Errors
    /// All faults as one error, when there are any.
    pub fn into_result(self) -> anyhow::Result<()> {
        if self.is_empty() { Ok(()) } else { Err(anyhow::anyhow!("{self}")) }
    }
}

/// One fault per line.
impl Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> =
            self.0.iter().map(|(flag, problem)| format!("{flag}: {problem}")).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// Runs `check-config` and returns whether the settings are valid. Returns `None` for another
/// subcommand, and for arguments that cannot be parsed: the caller's own parser then reports why.
///
/// `validate` checks the parsed settings. It also runs after faulty values, which are then replaced
/// by their defaults, unless a required setting is among them.
pub fn answer<C: CommandFactory + FromArgMatches>(
    arguments: impl IntoIterator<Item = OsString>,
    validate: impl FnOnce(&C, &mut Faults),
) -> Option<bool> {
    let faults = find_faults(C::command(), arguments, validate)?;
    // A closed terminal must not change the exit code.
    if faults.is_empty() {
        let _ = writeln!(std::io::stdout(), "the settings are valid");
        return Some(true);
    }
    let _ = writeln!(std::io::stderr(), "{faults}");
    Some(false)
}

/// The exit code of a check.
pub fn exit_code(is_good: bool) -> ExitCode {
    if is_good { ExitCode::SUCCESS } else { ExitCode::from(2) }
}

/// Whether `check-config` is also to try what the settings allow at the servers.
pub fn asks_to_connect(arguments: impl IntoIterator<Item = OsString>) -> bool {
    arguments.into_iter().any(|argument| argument == "--connect")
}

/// All faults of the settings in `arguments` and the environment, if they ask for a check.
fn find_faults<C: FromArgMatches>(
    command: Command,
    arguments: impl IntoIterator<Item = OsString>,
    validate: impl FnOnce(&C, &mut Faults),
) -> Option<Faults> {
    let raw = relax(command.clone(), &|arg| arg.value_parser(ValueParser::os_string()));
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let given = match raw.clone().try_get_matches_from(&arguments) {
        Ok(given) => given,
        // Settings that need or exclude each other: reported by the strict parser below.
        Err(error) if is_about_combination(&error) => {
            tolerate(raw).try_get_matches_from(&arguments).ok()?
        }
        Err(_) => return None,
    };
    if given.subcommand_name() != Some(CHECK_CONFIG) {
        return None;
    }
    let without_env = |arg: Arg| arg.env(Resettable::Reset);
    let single = relax(command.clone(), &without_env);
    let (settings, path) = given_settings(&command, &given);
    let mut faults = Faults::default();
    let mut faulty = BTreeSet::new();
    let mut valid = path.clone();
    for (flag, value) in settings {
        let mut assignment = OsString::from(&flag);
        if let Some(value) = value {
            assignment.push("=");
            assignment.push(value);
        }
        let parsed = single.clone().try_get_matches_from(path.iter().chain([&assignment]));
        match parsed.map_err(|error| (error.kind(), first_line(&error))) {
            // Only a value's own form counts here: what it needs beside it comes below.
            Err((ErrorKind::InvalidValue | ErrorKind::ValueValidation, problem)) => {
                faults.add(&flag, problem);
                faulty.insert(flag);
            }
            _ => valid.push(assignment),
        }
    }
    let strict = mutate(command, &|arg| without_env(arg));
    match strict.try_get_matches_from(valid).and_then(|matches| C::from_arg_matches(&matches)) {
        Ok(settings) => validate(&settings, &mut faults),
        Err(error) => add_parse_error(&error, &faulty, &mut faults),
    }
    Some(faults)
}

fn is_about_combination(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::MissingRequiredArgument | ErrorKind::ArgumentConflict)
}

/// Makes a command keep what it could parse when an error follows.
fn tolerate(command: Command) -> Command {
    command.ignore_errors(true).mut_subcommands(tolerate)
}

fn add_parse_error(error: &clap::Error, faulty: &BTreeSet<String>, faults: &mut Faults) {
    if let (ErrorKind::MissingRequiredArgument, Some(ContextValue::Strings(missing))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    {
        let flags = missing.iter().filter_map(|usage| usage.split([' ', '=', '[']).next());
        for flag in flags.filter(|flag| !faulty.contains(*flag)) {
            faults.add(flag, "the setting is missing");
        }
        return;
    }
    let flag = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(usage)) => usage.split(' ').next().unwrap_or_default(),
        _ => "settings",
    };
    faults.add(flag, first_line(error));
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// Flags with their values, if they take any, and the program's name followed by its subcommands.
type GivenSettings = (Vec<(String, Option<OsString>)>, Vec<OsString>);

/// The settings that arguments or environment gave to the innermost subcommand.
fn given_settings(command: &Command, given: &ArgMatches) -> GivenSettings {
    let mut path = vec![OsString::from(command.get_name())];
    let (mut innermost, mut matches) = (command, given);
    while let Some((name, inner)) = matches.subcommand() {
        path.push(name.into());
        innermost = innermost.find_subcommand(name).expect("clap matched this subcommand");
        matches = inner;
    }
    let globals = command.get_arguments().filter(|arg| arg.is_global_set());
    let mut settings = Vec::new();
    for arg in globals.chain(innermost.get_arguments()) {
        let (id, Some(long)) = (arg.get_id().as_str(), arg.get_long()) else { continue };
        if matches.try_contains_id(id).is_err()
            || matches.value_source(id) == Some(ValueSource::DefaultValue)
        {
            continue;
        }
        if !arg.get_action().takes_values() {
            if matches!(matches.try_get_one(id), Ok(Some(true))) {
                settings.push((format!("--{long}"), None));
            }
            continue;
        }
        for value in matches.get_raw(id).into_iter().flatten() {
            settings.push((format!("--{long}"), Some(value.to_owned())));
        }
    }
    (settings, path)
}

/// Changes every setting of a command and its subcommands.
fn mutate(command: Command, change: &impl Fn(Arg) -> Arg) -> Command {
    let takes_values = |arg: &Arg| arg.get_action().takes_values();
    command
        .mut_args(|arg| if takes_values(&arg) { change(arg) } else { arg })
        .mut_subcommands(|subcommand| mutate(subcommand, change))
}

/// The same, and no setting is required.
fn relax(command: Command, change: &impl Fn(Arg) -> Arg) -> Command {
    mutate(command, &|arg| change(arg.required(false)))
}

#[cfg(test)]
mod tests {
    use clap::{Parser, Subcommand};

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(subcommand)]
        command: Subcommands,
        #[arg(long, global = true, default_value_t = 1)]
        level: u8,
    }

    #[derive(Debug, Subcommand)]
    enum Subcommands {
        Run,
        CheckConfig {
            #[arg(long, default_value_t = 8)]
            connections: u8,
            #[arg(long, requires = "secret")]
            demo: Option<String>,
            #[arg(long)]
            secret: Option<String>,
            #[arg(long, value_delimiter = ',')]
            ports: Vec<u16>,
            #[arg(long)]
            name: String,
            #[arg(long, requires = "secret")]
            open: bool,
            /// Cargo sets the variable for every test.
            #[arg(long, env = "CARGO_PKG_NAME")]
            from_env: Option<u8>,
        },
    }

    /// Faults by flag. `--connections 7` is refused by validation only.
    fn faults(arguments: &[&str]) -> Option<Vec<String>> {
        let arguments = ["program"].iter().chain(arguments).map(OsString::from);
        let faults =
            find_faults(Program::command(), arguments, |program: &Program, faults| match &program
                .command
            {
                Subcommands::CheckConfig { connections: 7, .. } => {
                    faults.add("--connections", "seven");
                }
                Subcommands::CheckConfig { .. } | Subcommands::Run => {}
            })?;
        Some(faults.0.into_iter().map(|(flag, _)| flag).collect())
    }

    const FROM_ENV: [&str; 2] = ["--from-env", "3"];

    #[test]
    fn faults_of_values_and_validation_come_together() {
        for (arguments, expected) in [
            (&["--name", "a"][..], &[][..]),
            (&["--name", "a", "--connections", "7"], &["--connections"]),
            (
                &["--name", "a", "--connections", "900", "--level", "x"],
                &["--level", "--connections"],
            ),
            (&["--name", "a", "--ports", "1,x,2,99999"], &["--ports", "--ports"]),
            (&["--name", "a", "--connections", "7", "--ports", "x"], &["--ports", "--connections"]),
            (&[], &["--name"]),
            (&["--name", "a", "--demo", "x"], &["--secret"]),
            (&["--name", "a", "--open"], &["--secret"]),
            (&["--name", "a", "--open", "--secret", "x"], &[]),
        ] {
            let arguments = [&[CHECK_CONFIG][..], &FROM_ENV, arguments].concat();
            assert_eq!(faults(&arguments).expect("a check"), expected, "{arguments:?}");
        }
    }

    #[test]
    fn faulty_environment_variable_names_its_flag() {
        assert_eq!(faults(&[CHECK_CONFIG, "--name", "a"]).expect("a check"), ["--from-env"]);
    }

    #[test]
    fn other_subcommands_and_unknown_flags_are_left_alone() {
        assert!(faults(&["run"]).is_none());
        assert!(faults(&[CHECK_CONFIG, "--no-such-flag"]).is_none());
        assert!(faults(&[CHECK_CONFIG, "--help"]).is_none());
    }
}
