//! Reads an ended run over HTTP, and compares it with the followed view and with its file.

use schemas::run::RunState;

use super::{
    office::{Office, Run},
    verdict::{ExpectedRun, LastView, RuleBook, differences},
};
use testing::claims_files::ClaimsFile;

use crate::{breach::Breach, payloads::Entries, report::Report};

/// Records every difference. A run whose end was not seen has a breach already.
pub async fn read_back(
    office: &Office,
    run: &Run,
    content: &ClaimsFile,
    rules: &RuleBook,
    rows: u64,
    report: &mut Report,
) {
    let (entries, ended) = {
        let mut watch = run.follower.watch();
        report.breaches.merge(std::mem::take(&mut watch.breaches));
        let head = watch.history.as_ref().and_then(|history| history.head.as_ref());
        let code =
            head.and_then(|head| head.failure.as_ref()).map_or("", |failure| failure.code.as_str());
        let ended = head.filter(|head| head.state.is_end()).map(|head| (head.state, code));
        (watch.entries.clone().unwrap_or_default(), ended)
    };
    let index = run.request.index;
    let mut note =
        |breach, detail: String| report.breaches.note(breach, || format!("run {index}: {detail}"));
    match ended {
        Some((RunState::Completed, _)) => {}
        Some((state, code)) => {
            return note(Breach::NotCompleted, format!("{} {code}", state.as_str()));
        }
        None => return,
    }
    match office.view(run).await {
        Ok(view) if view == entries => {}
        Ok(_) => note(Breach::WrongView, "the folded view is not the server's snapshot".to_owned()),
        Err(error) => note(Breach::WrongView, format!("{error:#}")),
    }
    let expected = ExpectedRun {
        rows,
        planted: &content.planted,
        rules,
        list_passes: run.request.list_passes,
    };
    for difference in wrong_findings(office, run, &entries, &expected).await {
        note(Breach::WrongFindings, difference);
    }
}

/// Compares the findings of the API with the followed view and with the file.
async fn wrong_findings(
    office: &Office,
    run: &Run,
    entries: &Entries,
    expected: &ExpectedRun<'_>,
) -> Vec<String> {
    let (findings, strange) = match office.findings(run).await {
        Ok(found) => found,
        Err(error) => return vec![format!("{error:#}")],
    };
    let mut wrong = Vec::new();
    if strange > 0 {
        wrong.push(format!("{strange} findings with another message than their outcome's"));
    }
    match LastView::read(entries) {
        Ok(shown) => wrong.extend(differences(expected, &shown, &findings)),
        Err(error) => wrong.push(error),
    }
    wrong
}
