//! Operations on claims files, their checks, findings and rules.

use http::StatusCode;
use schemas::{codes::Code, rule::Rule};

use crate::http::{
    claims::{files, findings, reference, rules, runs},
    description::{
        answers as a,
        operation::{Access, Header, Operation},
    },
};

pub(super) fn operations() -> Vec<Operation> {
    [runs_and_files(), listed(), rules(), tables()].into_iter().flatten().collect()
}

const RUN: &[Code] = &[Code::RunUnknown, Code::RunOver, Code::RunNotRetryable, Code::IllegalMove];

fn runs_and_files() -> Vec<Operation> {
    const DIGEST: &[Header] = &[Header {
        name: "Content-Digest",
        text: "`sha-256=:<base64>:` of the whole body (RFC 9530).",
        pattern: "^sha-256=:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=:$",
    }];
    let act = |path, id, summary, row| {
        Operation::command("post", path, id, summary, row)
            .takes::<a::Empty>()
            .answers::<a::CommandAnswer>(200, "The outcome of the command.")
            .refuses(RUN)
    };
    vec![
        Operation::request(
            "post",
            "/v1/files",
            "uploadFile",
            "Upload a claims file",
            Access::Row("files.put"),
        )
        .query::<files::UploadParams>()
        .headers(DIGEST)
        .takes_bytes(&["text/csv", "application/octet-stream", "multipart/form-data"])
        .answers::<a::FileAnswer>(201, "The file.")
        .refuses(&[
            Code::TooLarge,
            Code::FileEmpty,
            Code::ChecksumMismatch,
            Code::UploadTooSlow,
            Code::TooManyUploads,
            Code::Unavailable,
        ])
        .refuses_with(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Malformed),
        Operation::command(
            "post",
            "/v1/runs",
            "requestRun",
            "Request the check of a file",
            "run.request",
        )
        .takes::<runs::RunBody>()
        .answers::<a::RequestedRun>(202, "The run. Its channel follows it.")
        .refuses(&[Code::FileUnknown, Code::TooManyRuns, Code::TooManyQueries]),
        act("/v1/runs/{run}/cancel", "cancelRun", "Cancel a run", "run.cancel"),
        act("/v1/runs/{run}/retry", "retryRun", "Try a failed run again", "run.retry"),
    ]
}

fn listed() -> Vec<Operation> {
    let list = |path, id, summary, row| {
        Operation::read(path, id, summary, row).refuses(&[
            Code::InvalidValue,
            Code::InvalidId,
            Code::TooManyQueries,
        ])
    };
    vec![
        list("/v1/runs", "listRuns", "List runs, newest first", "runs.list")
            .query::<runs::ListParams>()
            .answers::<a::RunPage>(200, "A page."),
        Operation::read("/v1/runs/{run}", "readRun", "Read a run", "run")
            .answers::<a::RunSnapshot>(200, "The run."),
        list("/v1/runs/{run}/findings", "listFindings", "List the findings of a run", "run")
            .query::<findings::Filter>()
            .answers::<a::FindingPage>(200, "A page."),
        list("/v1/runs/{run}/findings.csv", "exportFindings", "Export all findings", "run")
            .query::<findings::ExportFilter>()
            .answers_bytes("All findings.", "text/csv"),
        Operation::request(
            "get",
            "/v1/messages",
            "listMessages",
            "List the texts of findings",
            Access::Row("rules.list"),
        )
        .query::<findings::LanguageParams>()
        .refuses(&[Code::InvalidValue])
        .answers::<a::MessageTexts>(200, "The texts."),
    ]
}

fn rules() -> Vec<Operation> {
    let command = |method, path, id, summary, row| {
        Operation::command(method, path, id, summary, row)
            .answers::<a::CommandAnswer>(200, "The outcome of the command.")
            .refuses(&[Code::RuleUnknown, Code::RuleInvalid, Code::IllegalMove])
    };
    vec![
        Operation::request(
            "get",
            "/v1/rules",
            "listRules",
            "List the rules of the tenant",
            Access::Row("rules.list"),
        )
        .answers::<a::RuleList>(200, "The rules."),
        command("put", "/v1/rules/{rule}", "storeRule", "Store a rule", "rule.put")
            .takes::<Rule>()
            .refuses(&[Code::SettingsChanged]),
        command("delete", "/v1/rules/{rule}", "deleteRule", "Delete a rule", "rule.delete")
            .refuses(&[Code::SettingsChanged]),
        command("post", "/v1/rules/{rule}/enable", "enableRule", "Enable a rule", "rule.enable")
            .takes::<a::Empty>(),
        command(
            "post",
            "/v1/rules/{rule}/disable",
            "disableRule",
            "Disable a rule",
            "rule.disable",
        )
        .takes::<a::Empty>(),
        Operation::command(
            "post",
            "/v1/rules/{rule}/try",
            "tryRule",
            "Try a rule on an uploaded file, without storing anything",
            "rules.try",
        )
        .query::<findings::LanguageParams>()
        .takes::<rules::TryBody>()
        .answers::<a::TrialAnswer>(200, "What the rule finds.")
        .refuses(&[
            Code::RuleUnknown,
            Code::RuleInvalid,
            Code::FileUnknown,
            Code::FileEmpty,
            Code::FileNotAnExport,
            Code::FileNotText,
            Code::FileMalformed,
            Code::Unavailable,
        ]),
    ]
}

fn tables() -> Vec<Operation> {
    let list = |path, id, summary| Operation::read(path, id, summary, "rules.list");
    let command = |method, path, id, summary, row| {
        Operation::command(method, path, id, summary, row)
            .answers::<a::CommandAnswer>(200, "The outcome of the command.")
            .refuses(&[Code::NotFound, Code::SettingsChanged])
    };
    let load = |method, id, summary| {
        command(method, "/v1/reference/{table}", id, summary, "reference.load")
            .takes_bytes(&["text/csv"])
            .refuses(&[Code::TableInvalid])
    };
    const ENTRY: &str = "/v1/reference/{table}/{key}";
    vec![
        list("/v1/reference", "listTables", "List the tables of reference data")
            .answers::<a::TableList>(200, "The tables."),
        list("/v1/reference/{table}", "readTable", "Read a table, by pages")
            .query::<reference::PageParams>()
            .answers::<a::TablePage>(200, "A page, in the order of the keys.")
            .refuses(&[Code::InvalidValue]),
        list(ENTRY, "readTableEntry", "Read an entry of a table")
            .answers::<a::TableEntry>(200, "The entry.")
            .refuses(&[Code::ReferenceUnknown]),
        load("put", "replaceTable", "Replace a table by a CSV file"),
        load("patch", "mergeTable", "Add and replace the entries of a CSV file"),
        command(
            "delete",
            "/v1/reference/{table}",
            "clearTable",
            "Delete a table, and use that of the installation again",
            "reference.clear",
        )
        .refuses(&[Code::ReferenceUnknown]),
        command("put", ENTRY, "storeTableEntry", "Store an entry of a table", "reference.put")
            .takes::<a::TableEntryBody>(),
        command("delete", ENTRY, "deleteTableEntry", "Delete an entry", "reference.delete")
            .refuses(&[Code::ReferenceUnknown]),
    ]
}
