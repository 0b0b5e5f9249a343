//! The findings of a run: pages and exports.

use super::*;

#[tokio::test]
async fn findings_are_paged_worst_first_by_language() {
    let node = node();
    let run = own(Role::Editor);
    let findings = vec![
        finding(Severity::Optimisation, "fee", 3240, 4),
        finding(Severity::Error, "office", 0, 9),
        finding(Severity::Error, "office", 6480, 12),
        finding(Severity::Warning, "office", 50, 1),
        finding(Severity::Error, "fee", 0, 2),
        finding(Severity::Pass, "fee", 0, 1),
    ];
    node.knows(&run, head(RunState::Completed, 5), findings);
    let list = async |query: &str| {
        let answer =
            node.ask(Role::Editor, "GET", &format!("/v1/runs/{run}/findings?{query}"), "").await;
        assert_eq!(answer.status, 200, "{query} {}", answer.text);
        answer.json()
    };
    let rows = |body: &Value| -> Vec<u64> {
        body["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["row"].as_u64().unwrap())
            .collect()
    };
    let all = list("").await;
    assert_eq!((rows(&all), all.get("next")), (vec![12, 2, 9, 1, 4, 1], None));
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = list(&format!("limit=4{cursor}")).await;
        paged.extend(rows(&page));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(paged, rows(&all));
    assert_eq!(rows(&list("severity=error,optimisation&rule=fee").await), [2, 4]);
    assert_eq!(rows(&list("severity=warning").await), [1]);
    assert_eq!(rows(&list("rule=none").await), Vec::<u64>::new());
    let message = |body: Value| body["findings"][0]["message"].as_str().unwrap().to_owned();
    assert!(message(list("").await).contains("64,80\u{a0}$"));
    assert!(message(list("language=en").await).contains("$64.80"));
    for (query, status, code) in [
        ("cursor=abc", 400, "malformed"),
        ("limit=501", 422, "invalid_value"),
        ("severity=bad", 422, "invalid_value"),
        ("rule=No", 400, "invalid_id"),
        ("language=de", 422, "invalid_value"),
        ("severty=error", 400, "malformed"),
    ] {
        for path in ["findings", "findings.csv"] {
            let answer =
                node.ask(Role::Editor, "GET", &format!("/v1/runs/{run}/{path}?{query}"), "").await;
            let export = path == "findings.csv"
                && (query.starts_with("cursor") || query.starts_with("limit"));
            let expected = if export { (400, "malformed") } else { (status, code) };
            assert_eq!((answer.status, answer.code().as_str()), expected, "{path} {query}");
        }
    }
}

#[tokio::test]
async fn export_contains_every_finding_once() {
    let node = node();
    let run = own(Role::Editor);
    let mut findings: Vec<_> =
        (1..=1_200).map(|row| finding(Severity::Error, "office", 935, row)).collect();
    findings.push(finding(Severity::Optimisation, "-sum", 3240, 7));
    node.knows(&run, head(RunState::Completed, 5), findings);
    let answer = node.ask(Role::Editor, "GET", &format!("/v1/runs/{run}/findings.csv"), "").await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("text/csv; charset=utf-8"));
    assert!(answer.header("content-disposition").contains(&format!("findings-{run}.csv")));
    let text = answer.text.strip_prefix('\u{feff}').expect("a byte-order mark");
    let lines: Vec<_> = text.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 1_202);
    assert_eq!(lines[0], "Ligne;Gravité;Règle;Résultat;Message;Montant ($)");
    assert!(
        lines[1].starts_with("1;erreur;office;fee_missing;") && lines[1].ends_with(";9,35"),
        "{}",
        lines[1]
    );
    let rows: Vec<u64> =
        lines[1..].iter().map(|line| line.split(';').next().unwrap().parse().unwrap()).collect();
    assert_eq!(rows, (1..=1_200).chain([7]).collect::<Vec<_>>());
    assert!(lines[1_201].starts_with("7;optimisation;'-sum;"), "no formula: {}", lines[1_201]);

    let path = format!("/v1/runs/{run}/findings.csv?severity=warning&language=en");
    let answer = node.ask(Role::Editor, "GET", &path, "").await;
    assert_eq!(answer.text, "\u{feff}Row;Severity;Rule;Outcome;Message;Amount ($)\r\n");
}

#[tokio::test]
async fn export_with_full_pages_ends() {
    let node = node();
    let run = own(Role::Editor);
    let findings = (1..=1_000).map(|row| finding(Severity::Error, "office", 0, row)).collect();
    node.knows(&run, head(RunState::Completed, 5), findings);
    let answer = node.ask(Role::Editor, "GET", &format!("/v1/runs/{run}/findings.csv"), "").await;
    assert_eq!(answer.text.matches("\r\n").count(), 1_001);
}
