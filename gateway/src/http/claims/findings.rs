//! Findings of a run, by pages or as a CSV table.

use std::{borrow::Cow, sync::Arc};

use axum::{
    Json,
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use gateway_core::access;
use schemas::{
    codes::Code,
    finding::{Finding, FindingOutcome, words},
    ids::{RuleId, RunId, TenantId},
    language::Language,
    rule::Severity,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::runs;
use crate::{
    backends::queries::{FindingPlace, FindingsPage, FindingsQuery},
    context::NodeContext,
    http::{
        NodeState, Problem,
        shared::{
            body::not_an_id,
            caller::{Caller, QueryParams, Segments},
            cursor::{self, Cursor, MAX_PAGE},
            export::{self, plain},
        },
    },
};

/// Selects findings and the language of their messages.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Filter {
    /// Severities, separated by commas.
    #[schemars(regex(pattern = SEVERITIES))]
    severity: Option<String>,
    #[schemars(with = "Option<RuleId>")]
    rule: Option<String>,
    #[schemars(regex(pattern = "^(fr|en)$"))]
    language: Option<String>,
    /// The `next` of the page before.
    cursor: Option<String>,
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
}

/// Selects the findings of an export, which has no pages.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ExportFilter {
    /// Severities, separated by commas.
    #[schemars(regex(pattern = SEVERITIES))]
    severity: Option<String>,
    #[schemars(with = "Option<RuleId>")]
    rule: Option<String>,
    #[schemars(regex(pattern = "^(fr|en)$"))]
    language: Option<String>,
}

const SEVERITIES: &str = "^(error|warning|optimisation|pass)(,(error|warning|optimisation|pass))*$";

impl Filter {
    fn asked(&self) -> Result<FindingsQuery, Problem> {
        let severities = self.severity.iter().flat_map(|text| text.split(',')).map(severity);
        let rule = self.rule.as_deref().map(RuleId::new).transpose().map_err(not_an_id)?;
        let after = self.cursor.as_deref().map(FindingPlace::open).transpose()?;
        Ok(FindingsQuery {
            severities: severities.collect::<Result<_, _>>()?,
            rule,
            after,
            limit: 0,
        })
    }
}

fn severity(text: &str) -> Result<Severity, Problem> {
    let known = Severity::ALL.into_iter().find(|severity| severity.as_str() == text);
    known.ok_or_else(|| {
        let detail = "a severity is error, warning, optimisation or pass";
        Problem::from(Code::InvalidValue).explained(detail)
    })
}

/// The requested language; French by default.
pub(in crate::http) fn language(asked: Option<&str>) -> Result<Language, Problem> {
    match asked {
        None | Some("fr") => Ok(Language::French),
        Some("en") => Ok(Language::English),
        Some(_) => Err(Problem::from(Code::InvalidValue).explained("a language is fr or en")),
    }
}

/// A finding with its message.
#[derive(Serialize, schemars::JsonSchema)]
pub(in crate::http) struct FindingMessage {
    #[serde(flatten)]
    finding: Finding,
    message: String,
}

impl FindingMessage {
    pub(in crate::http) fn new(finding: Finding, language: Language) -> Self {
        Self { message: finding.message(language), finding }
    }
}

pub(in crate::http) async fn list(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([run]): Segments<1>,
    QueryParams(filter): QueryParams<Filter>,
) -> Result<Response, Problem> {
    let (mut asked, language) = (filter.asked()?, language(filter.language.as_deref())?);
    let limit = cursor::page(filter.limit)?;
    let run = runs::seen(&claims, run)?;
    // One more entry shows whether there is a next page.
    asked.limit = limit + 1;
    let mut found = page(&node, &claims.tenant, &run, &asked).await?;
    let next = cursor::cut(&mut found, limit, |(place, _)| *place);
    let findings: Vec<_> =
        found.into_iter().map(|(_, finding)| FindingMessage::new(finding, language)).collect();
    Ok(cursor::answer("findings", findings, next))
}

async fn page(
    node: &NodeContext,
    tenant: &TenantId,
    run: &RunId,
    asked: &FindingsQuery,
) -> Result<FindingsPage, Code> {
    crate::http::found(node, tenant, node.queries.findings(tenant, run, asked))
        .await?
        .ok_or(Code::NotFound)
}

/// All findings as CSV. Pages are read as the caller receives them.
pub(in crate::http) async fn export(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([run]): Segments<1>,
    QueryParams(filter): QueryParams<ExportFilter>,
) -> Result<Response, Problem> {
    let ExportFilter { severity, rule, language: asked_language } = filter;
    let filter = Filter { severity, rule, language: asked_language, cursor: None, limit: None };
    let (mut asked, language) = (filter.asked()?, language(filter.language.as_deref())?);
    let run = runs::seen(&claims, run)?;
    let file = format!("findings-{run}.csv");
    asked.limit = MAX_PAGE;
    // Read before the answer begins, so that a refusal has a status of its own.
    let first = page(&node, &claims.tenant, &run, &asked).await?;
    let export = Export { node, tenant: claims.tenant, run, asked, language };
    let pages =
        stream::try_unfold((Some(first), true, export), |(found, first, mut export)| async move {
            let found = match found {
                Some(found) => found,
                None if export.asked.limit == 0 => return Ok::<_, Code>(None),
                None => export.next_page().await?,
            };
            let text = export.rows(first, &found);
            // The first page that is not full is the last.
            match found.last().filter(|_| found.len() == MAX_PAGE as usize) {
                Some((place, _)) => export.asked.after = Some(*place),
                None => export.asked.limit = 0,
            }
            Ok(Some((text, (None, false, export))))
        });
    Ok(export::answer(&file, pages))
}

/// A running export.
struct Export {
    node: Arc<NodeContext>,
    tenant: TenantId,
    run: RunId,
    /// The next page; its limit is 0 after the last.
    asked: FindingsQuery,
    language: Language,
}

impl Export {
    async fn next_page(&self) -> Result<FindingsPage, Code> {
        export::next_page(|| page(&self.node, &self.tenant, &self.run, &self.asked)).await
    }

    /// The next rows, the first ones with the titles.
    fn rows(&self, first: bool, found: &[(FindingPlace, Finding)]) -> Bytes {
        let titles = match self.language {
            Language::French => ["Ligne", "Gravité", "Règle", "Résultat", "Message", "Montant ($)"],
            Language::English => ["Row", "Severity", "Rule", "Outcome", "Message", "Amount ($)"],
        };
        export::table(first, csv::WriterBuilder::new().delimiter(b';'), |writer| {
            if first {
                writer.write_record(titles)?;
            }
            for (_, finding) in found {
                writer
                    .write_record(row(finding, self.language).iter().map(|cell| cell.as_bytes()))?;
            }
            Ok(())
        })
    }
}

fn row(finding: &Finding, language: Language) -> [Cow<'static, str>; 6] {
    let severity = match (finding.severity, language) {
        (Severity::Error, Language::French) => "erreur",
        (Severity::Warning, Language::French) => "avertissement",
        (Severity::Pass, Language::French) => "conforme",
        (severity, _) => severity.as_str(),
    };
    let sign = if finding.cents < 0 { "-" } else { "" };
    let (whole, part) = (finding.cents.unsigned_abs() / 100, finding.cents.unsigned_abs() % 100);
    let point = if language == Language::French { ',' } else { '.' };
    [
        finding.row.to_string().into(),
        severity.into(),
        plain(finding.rule.to_string()).into(),
        finding.outcome.as_str().into(),
        plain(finding.message(language)).into(),
        format!("{sign}{whole}{point}{part:02}").into(),
    ]
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct LanguageParams {
    #[schemars(regex(pattern = "^(fr|en)$"))]
    pub(in crate::http) language: Option<String>,
}

/// The messages of all outcomes and the words of their parameters, for clients that show findings
/// from a channel.
pub(in crate::http) async fn messages(
    Caller(claims): Caller,
    QueryParams(LanguageParams { language: asked }): QueryParams<LanguageParams>,
) -> Result<Response, Problem> {
    access::may_rule(&claims, "rules.list")?;
    let language = language(asked.as_deref())?;
    let outcomes: serde_json::Map<_, _> = FindingOutcome::ALL
        .iter()
        .map(|outcome| (outcome.as_str().to_owned(), outcome.template(language).into()))
        .collect();
    Ok(Json(json!({ "outcomes": outcomes, "words": words(language) })).into_response())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use schemas::finding::Param;

    use super::*;

    #[test]
    fn amounts_follow_the_spreadsheet_language() {
        let finding = |cents| Finding {
            row: 7,
            rule: RuleId::new("-office").unwrap(),
            severity: Severity::Optimisation,
            outcome: FindingOutcome::FeeMissing,
            params: BTreeMap::from([("gain_cents".to_owned(), Param::Number(cents))]),
            cents,
        };
        let french = row(&finding(3240), Language::French);
        assert_eq!((&*french[0], &*french[2], &*french[5]), ("7", "'-office", "32,40"));
        assert!(french[4].contains("32,40\u{a0}$"));
        assert_eq!(row(&finding(-5), Language::English)[5], "-0.05");
    }
}
