//! Rules: listing, storing and trying them.

use schemas::{finding::FindingOutcome as Found, rule::Rule};

use super::*;

/// A rule that requires a code in each row.
fn required() -> Value {
    json!({
        "name": {"fr": "Code présent", "en": "Code there"},
        "category": "form",
        "severity": "warning",
        "kind": "required",
        "column": "code",
    })
}

/// An export of three rows, one without a code.
fn export() -> String {
    let mut text = schemas::rule::Column::ALL
        .iter()
        .map(|column| column.title())
        .collect::<Vec<_>>()
        .join(";");
    for code in ["19928", "", "8857"] {
        let row = schemas::rule::Column::ALL.iter().map(|column| match column.as_str() {
            "number" => "1",
            "invoice" => "123456789",
            "service_date" => "2025-03-03",
            "place" => "55555",
            "code" => code,
            "units" => "1",
            "doctor" => "1000001-11111 | Exemple, Jeanne - Omnipraticien",
            "patient" => "EXEM25010101 - EXEMPLE, ANNE",
            _ => "",
        });
        text.push_str("\r\n");
        text.push_str(&row.collect::<Vec<_>>().join(";"));
    }
    text
}

impl Node {
    /// Stores these rules for the tenant `demo`.
    fn stored(&self, rules: &[(&str, Value)]) {
        let entries = rules.iter().map(|(id, body)| {
            let mut body = body.clone();
            body["id"] = json!(id);
            let rule: Rule = serde_json::from_value(body).unwrap();
            ((*id).to_owned(), raw(&rule))
        });
        let view = View {
            position: Position { epoch: 7, version: 3 },
            at: 1_000,
            entries: entries.collect(),
        };
        self.fakes.views.lock().unwrap().insert("rules".to_owned(), view);
    }
}

#[tokio::test]
async fn tenant_without_rules_has_builtin_ones() {
    let node = node();
    let listed = node.ask(Role::Viewer, "GET", "/v1/rules", "").await.json();
    assert_eq!(
        (&listed["builtin"], &listed["rules"][0]["id"]),
        (&json!(true), &json!("office-fee"))
    );
    // Another node, since one remembers for a moment that there was no rule.
    let node = super::node();
    node.stored(&[("b-rule", required()), ("a-rule", required())]);
    let listed = node.ask(Role::Viewer, "GET", "/v1/rules", "").await.json();
    assert_eq!(listed["builtin"], false);
    let ids: Vec<_> =
        listed["rules"].as_array().unwrap().iter().map(|rule| rule["id"].clone()).collect();
    assert_eq!(ids, ["a-rule", "b-rule"]);
    let other = token_of("north", "subject-1", Role::Viewer);
    assert_eq!(
        node.ask_as(&other, "GET", "/v1/rules", "").await.json()["builtin"],
        true,
        "another tenant's"
    );
    node.stored(&[]);
    assert_eq!(node.ask(Role::Viewer, "GET", "/v1/rules", "").await.json()["builtin"], true);
}

#[tokio::test]
async fn rule_changes_are_commands_to_rule_book() {
    let node = node();
    let rule = required().to_string();
    let table = [
        ("PUT", "rules/a-rule", rule.as_str(), "rule.put"),
        ("POST", "rules/a-rule/enable", "{}", "rule.enable"),
        ("POST", "rules/a-rule/disable", "", "rule.disable"),
        ("DELETE", "rules/a-rule", "", "rule.delete"),
    ];
    for (method, path, body, kind) in table {
        let answer = node.ask(Role::Admin, method, &format!("/v1/{path}"), body).await;
        assert_eq!((answer.status, &answer.json()["outcome"]), (200, &json!("applied")), "{path}");
        let record = node.last();
        assert_eq!((record.aggregate.as_str(), record.command.kind()), ("demo/_rules", kind));
    }
    node.decide(Decision::Refused(Code::RuleUnknown));
    let answer = node.ask(Role::Admin, "DELETE", "/v1/rules/other", "").await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "rule_unknown"));
}

#[tokio::test]
async fn invalid_rule_names_field_and_quotes_nothing() {
    let node = node();
    let secret = "Jeanne Tremblay";
    let with = |name: &str, value: Value| {
        let mut rule = required();
        rule[name] = value;
        rule
    };
    let table = [
        (with("category", json!(secret)), "category"),
        (with("kind", json!(secret)), "field"),
        (with("column", json!(secret)), "field"),
        (with("severity", json!(secret)), "field"),
        (with("id", json!(secret)), "id"),
        (with("colum", json!(secret)), "field"),
        (with("when", json!({ "codes": [secret] })), "when.codes"),
        (with("when", json!({ "cods": [secret] })), "field"),
        (with("name", json!({"fr": "", "en": secret})), "name"),
        (json!(secret), "object"),
        (json!({}), "field"),
    ];
    for (rule, named) in table {
        let answer = node.ask(Role::Admin, "PUT", "/v1/rules/a-rule", &rule.to_string()).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, "rule_invalid"), "{rule}");
        assert!(
            answer.json()["detail"].as_str().unwrap().contains(named),
            "{rule}: {}",
            answer.text
        );
        assert!(!answer.text.contains("Tremblay"), "{}", answer.text);
    }
    for (path, body, status, code) in [
        ("/v1/rules/A", "{}", 400, "invalid_id"),
        ("/v1/rules/a-rule", "{", 400, "malformed"),
        ("/v1/rules/a-rule", "[]", 400, "malformed"),
    ] {
        let answer = node.ask(Role::Admin, "PUT", path, body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}");
    }
    let answer = node.ask(Role::Admin, "POST", "/v1/rules/a-rule/explode", "").await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
    assert!(node.fakes.appended.lock().unwrap().is_empty());
}

#[tokio::test]
async fn roles_have_their_rights_on_rules() {
    use Role as R;
    const WATCH: &[Role] = &[R::Viewer, R::Editor, R::FinanceBilling, R::Admin, R::SuperAdmin];
    const WORK: &[Role] = &[R::Editor, R::FinanceBilling, R::Admin, R::SuperAdmin];
    const CHANGE: &[Role] = &[R::Admin, R::SuperAdmin];
    let node = node();
    let file = node.uploaded(&export()).await;
    let (rule, file) = (required().to_string(), json!({ "file": file }).to_string());
    let table: [(&str, &str, &str, &[Role]); 7] = [
        ("GET", "rules", "", WATCH),
        ("GET", "messages?language=en", "", WATCH),
        ("POST", "rules/office-fee/try", &file, WORK),
        ("PUT", "rules/a-rule", &rule, CHANGE),
        ("POST", "rules/a-rule/enable", "", CHANGE),
        ("POST", "rules/a-rule/disable", "", CHANGE),
        ("DELETE", "rules/a-rule", "", CHANGE),
    ];
    for (method, path, body, allowed) in table {
        let path = format!("/v1/{path}");
        for role in R::ALL {
            let answer = node.ask(role, method, &path, body).await;
            let expected = if allowed.contains(&role) { 200 } else { 403 };
            assert_eq!(answer.status, expected, "{role:?} {method} {path}: {}", answer.text);
        }
        let answer = node.send(method, &path, &[("content-type", "application/json")], body).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "token_missing"), "{path}");
    }
}

#[tokio::test]
async fn rule_trial_stores_nothing() {
    let node = node();
    let file = node.uploaded(&export()).await;
    node.stored(&[("stored", {
        let mut rule = required();
        rule["enabled"] = json!(false);
        rule
    })]);
    let own = json!({ "file": file, "rule": required() });
    for (rule, body) in [("draft", own), ("stored", json!({ "file": file }))] {
        let path = format!("/v1/rules/{rule}/try?language=en");
        let answer = node.ask(Role::Editor, "POST", &path, &body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let tried = answer.json();
        assert_eq!(
            tried["counts"],
            json!({"error": 0, "warning": 1, "optimisation": 0, "pass": 2})
        );
        assert_eq!((&tried["rows"], &tried["partial"]), (&json!(3), &json!(false)));
        let [finding] = &tried["findings"].as_array().unwrap()[..] else { panic!("{tried}") };
        assert_eq!((&finding["row"], &finding["rule"]), (&json!(2), &json!(rule)));
        assert_eq!(finding["outcome"], "required_missing");
        assert!(
            finding["message"].as_str().unwrap().contains("is required but empty"),
            "{finding}"
        );
        for secret in ["EXEM", "Exemple", "1000001"] {
            assert!(!answer.text.contains(secret), "{}", answer.text);
        }
    }
    assert!(node.fakes.appended.lock().unwrap().is_empty());
}

#[tokio::test]
async fn invalid_trial_answers_code() {
    let node = node();
    let file = node.uploaded(&export()).await;
    let letter = node.uploaded("Dear all,\r\nno claims this month\r\n").await;
    let image = node.uploaded("\u{0}\u{1}PNG").await;
    let unknown = "f_00000000000000000000000000000007";
    let table = [
        ("office-fee", json!({ "file": unknown }), 404, "file_unknown"),
        ("nobodys", json!({ "file": file }), 404, "rule_unknown"),
        ("draft", json!({ "file": file, "rule": {} }), 422, "rule_invalid"),
        ("office-fee", json!({ "file": letter }), 422, "file_not_an_export"),
        ("office-fee", json!({ "file": "x" }), 400, "invalid_id"),
        ("office-fee", json!({}), 400, "malformed"),
    ];
    for (rule, body, status, code) in table {
        let answer = node
            .ask(Role::Editor, "POST", &format!("/v1/rules/{rule}/try"), &body.to_string())
            .await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{rule} {body}: {}",
            answer.text
        );
    }
    let body = json!({ "file": image }).to_string();
    assert_eq!(node.ask(Role::Editor, "POST", "/v1/rules/office-fee/try", &body).await.status, 422);
    let other = token_of("north", "subject-1", Role::Editor);
    let body = json!({ "file": file }).to_string();
    let answer = node.ask_as(&other, "POST", "/v1/rules/office-fee/try", &body).await;
    assert_eq!(answer.code(), "file_unknown", "another tenant's file");
    let place = node.context.trials.clone().try_acquire_owned().unwrap();
    let answer = node.ask(Role::Editor, "POST", "/v1/rules/office-fee/try", &body).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "try_again"));
    drop(place);
    assert_eq!(node.ask(Role::Editor, "POST", "/v1/rules/office-fee/try", &body).await.status, 200);
}

#[tokio::test]
async fn messages_are_told_in_both_languages() {
    let node = node();
    for (query, outcome) in
        [("", "Conforme."), ("?language=fr", "Conforme."), ("?language=en", "Passed.")]
    {
        let told = node.ask(Role::Viewer, "GET", &format!("/v1/messages{query}"), "").await.json();
        assert_eq!(told["outcomes"]["pass"], outcome);
        assert_eq!(told["outcomes"].as_object().unwrap().len(), Found::ALL.len());
        assert_eq!(told["words"]["column"]["paid"], "Montant payé");
    }
    assert_eq!(
        node.ask(Role::Viewer, "GET", "/v1/messages?language=x", "").await.code(),
        "invalid_value"
    );
}
