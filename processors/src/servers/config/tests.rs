//! Settings: their consistency, and the faults that `check-config` finds.

use std::collections::BTreeSet;

use clap::{CommandFactory, Parser};

use super::*;

#[test]
fn flags_are_consistent() {
    ProcessorsCli::command().debug_assert();
}

#[test]
fn every_flag_has_an_environment_variable() {
    for command in ProcessorsCli::command().get_subcommands() {
        // Some flags ask for something and are no settings.
        let asked: &[&str] = match command.get_name() {
            "verify" | "rebuild" => &["help", "tenant", "location", "json", "dry_run"],
            _ => &["help", "connect"],
        };
        for argument in command.get_arguments() {
            let id = argument.get_id();
            assert!(argument.get_env().is_some() || asked.contains(&id.as_str()), "{id}");
        }
    }
}

/// The page says of each flag whether it changes while a program runs.
#[test]
fn every_flag_is_on_the_page_of_settings() {
    let page = include_str!("../../../../docs/settings.md");
    let processors = page.split("## Processors").nth(1).unwrap_or_default();
    let listed: BTreeSet<_> = processors
        .lines()
        .filter_map(|line| line.strip_prefix("| `--")?.split_once('`'))
        .map(|(flag, _)| flag.to_owned())
        .collect();
    let command = ProcessorsCli::command();
    let services = ["prepare", "run", "work", "bridge"];
    let services = services.map(|name| command.find_subcommand(name).expect("a service"));
    let flags = services.iter().flat_map(|service| service.get_arguments());
    let flags = flags.chain(command.get_arguments()).filter_map(|flag| flag.get_long());
    // Logging is set once, before anything else: the page lists it with the gateways.
    let flags = flags.filter(|flag| !flag.starts_with("log")).map(str::to_owned);
    assert_eq!(listed, flags.collect::<BTreeSet<_>>());
}

fn parse(flags: &[&str]) -> ServiceCommand {
    let arguments = ["clinicwire-processors"].iter().chain(flags);
    match ProcessorsCli::parse_from(arguments).command {
        ProcessorsCommand::Service(command) | ProcessorsCommand::CheckConfig { command, .. } => {
            command
        }
    }
}

#[test]
fn bridge_refuses_the_name_of_a_program() {
    for name in ["clinicwire-processors", "clinicwire-processors/follow-up", "His"] {
        let flags = ["x", "bridge", "--source-topic=t", "--tenant=demo", "--source", name];
        let error = ProcessorsCli::try_parse_from(flags).err().expect("an invalid name");
        assert!(error.to_string().contains("does not begin with `clinicwire`"), "{error}");
    }
}

#[test]
fn all_replicas_but_one_must_have_a_record() {
    let required = |flags: &[&str]| match parse(&[&["prepare"], flags].concat()) {
        ServiceCommand::Prepare(prepare) => prepare.new_topics().min_insync_replicas,
        _ => unreachable!("prepare was asked for"),
    };
    assert_eq!(required(&["--replication-factor", "3"]), 2);
    assert_eq!(required(&[]), 1);
    assert_eq!(required(&["--replication-factor", "3", "--min-insync-replicas", "3"]), 3);
}

#[test]
fn validation_names_every_faulty_flag() {
    for (flags, expected) in [
        (&["run"][..], &[][..]),
        (
            &["run", "--kafka=localhost", "--redis=x", "--postgres=x", "--files=/tmp"],
            &["--kafka", "--postgres", "--redis", "--files"],
        ),
        (&["work", "--run-workers=0", "--codes=/no/file"], &["--run-workers", "--codes"]),
        (&["prepare", "--min-insync-replicas=2"], &["--min-insync-replicas"]),
        (
            &["prepare", "--care-topic=one", "--runs-topic=one", "--audit-topic=a/b"],
            &["--runs-topic", "--audit-topic"],
        ),
        (&["bridge", "--source-topic=a b", "--tenant=demo", "--source=his"], &["--source-topic"]),
    ] {
        let mut faults = Faults::default();
        parse(&[&["check-config"], flags].concat()).validate(&mut faults);
        let text = faults.to_string();
        let found: Vec<_> = text.lines().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(found, expected, "{text}");
    }
}
