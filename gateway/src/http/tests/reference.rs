//! Reference data of claims: reading, changing and loading tables.

use schemas::reference::{ReferenceEntry, ReferenceTable, StoredReference};

use super::*;

const CSV: (&str, &str) = ("content-type", "text/csv");

impl Node {
    /// Stores these establishments for the tenant `demo`, each with an edition.
    fn establishments(&self, places: &[(&str, bool, u64)]) {
        let entries = places.iter().map(|(key, gmf, edition)| {
            let entry = ReferenceEntry::Establishment { gmf: *gmf };
            ((*key).to_owned(), raw(&StoredReference { entry, edition: *edition }))
        });
        let view = View {
            position: Position { epoch: 7, version: 9 },
            at: 1_000,
            entries: entries.collect(),
        };
        let name = ReferenceTable::Establishments.view().to_owned();
        self.fakes.views.lock().unwrap().insert(name, view);
    }

    async fn load(&self, method: &str, path: &str, headers: &[(&str, &str)], csv: &str) -> Answer {
        let token = format!("Bearer {}", token(Role::Admin));
        let mut headers = headers.to_vec();
        headers.extend([CSV, ("authorization", &token)]);
        self.send(method, path, &headers, csv).await
    }
}

#[tokio::test]
async fn table_is_read_by_pages_with_its_edition() {
    let node = node();
    let path = "/v1/reference/establishments";
    let listed = node.ask(Role::Viewer, "GET", "/v1/reference", "").await.json();
    assert_eq!(listed["tables"][1]["builtin"], true);
    // Another node, since one remembers for a moment that there was no table.
    let node = super::node();
    node.establishments(&[("55001", true, 3), ("55002", false, 9), ("55003", true, 4)]);
    let page = node.ask(Role::Viewer, "GET", &format!("{path}?limit=2"), "").await;
    assert_eq!(page.headers["etag"], "\"9\"");
    let page = page.json();
    assert_eq!(
        (&page["edition"], &page["count"], &page["next"]),
        (&json!(9), &json!(3), &json!("55002"))
    );
    let next = node.ask(Role::Viewer, "GET", &format!("{path}?after=55002"), "").await.json();
    let rest = json!([{"place": "55003", "gmf": true, "edition": 4}]);
    assert_eq!((&next["entries"], &next["next"]), (&rest, &Value::Null));
    let one = node.ask(Role::Viewer, "GET", &format!("{path}/055002"), "").await;
    assert_eq!(one.headers["etag"], "\"9\"");
    assert_eq!(one.json(), json!({"place": "55002", "gmf": false, "edition": 9}));
    for (path, status, code) in [
        ("/v1/reference/establishments/55009", 404, "reference_unknown"),
        ("/v1/reference/establishments/x", 400, "invalid_id"),
        ("/v1/reference/doctors", 404, "not_found"),
        ("/v1/reference/codes?limit=0", 422, "invalid_value"),
    ] {
        let answer = node.ask(Role::Viewer, "GET", path, "").await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}");
    }
}

#[tokio::test]
async fn changes_of_tables_are_commands_to_rule_book() {
    let node = node();
    let code = r#"{"leaf":"a","group":"b","top":"c","cents":935,"edition":4}"#;
    let table = [
        ("PUT", "codes/08857", code, "reference.put"),
        ("PUT", "contexts/icep", r#"{"description":"d"}"#, "reference.put"),
        ("DELETE", "codes/8857", "", "reference.delete"),
        ("DELETE", "codes", "", "reference.clear"),
    ];
    for (method, path, body, kind) in table {
        let answer = node.ask(Role::Admin, method, &format!("/v1/reference/{path}"), body).await;
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text);
        let record = node.last();
        assert_eq!((record.aggregate.as_str(), record.command.kind()), ("demo/_rules", kind));
    }
    for (method, keep_others) in [("PUT", false), ("PATCH", true)] {
        let path = "/v1/reference/establishments";
        let answer =
            node.load(method, path, &[("if-match", "\"9\"")], "place;gmf\n55001;oui\n").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let Command::LoadReference { keep_others: kept, edition, .. } = node.last().command else {
            panic!("a load")
        };
        assert_eq!((kept, edition), (keep_others, Some(9)));
    }
    let answer = node.ask(Role::Editor, "PUT", "/v1/reference/codes/1", code).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"));
}

#[tokio::test]
async fn wrong_line_names_line_and_column_and_loads_nothing() {
    let node = node();
    let secret = "Jeanne Tremblay";
    let long = format!("place,gmf\n{}", "55001,yes\n".repeat(80_000));
    let table = [
        (format!("place,gmf\n55001,yes\n{secret},no\n"), 422, "table_invalid", "line 3"),
        (format!("place,gmf\n55001,{secret}\n"), 422, "table_invalid", "\"gmf\""),
        (format!("place,{secret}\n55001,yes\n"), 422, "table_invalid", "no column \"gmf\""),
        ("place,gmf\n55001\n".to_owned(), 422, "table_invalid", "line 2"),
        (String::new(), 422, "table_invalid", "no line"),
        (long, 413, "too_large", "786432 bytes"),
    ];
    for (csv, status, code, named) in table {
        let answer = node.load("PUT", "/v1/reference/establishments", &[], &csv).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.text);
        assert!(answer.json()["detail"].as_str().unwrap().contains(named), "{}", answer.text);
        assert!(!answer.text.contains("Tremblay"), "{}", answer.text);
    }
    assert!(node.fakes.appended.lock().unwrap().is_empty());
}

#[tokio::test]
async fn edition_of_if_match_reaches_the_command() {
    let node = node();
    let token = format!("Bearer {}", token(Role::Admin));
    let json = ("content-type", "application/json");
    let send = async |tag: &str, path: &str, body: &str| {
        let headers = [json, ("authorization", token.as_str()), ("if-match", tag)];
        node.send("PUT", path, &headers, body).await
    };
    let path = "/v1/reference/establishments/55001";
    assert_eq!(send("\"5\"", path, r#"{"gmf":true}"#).await.status, 200);
    assert_eq!(node.last().command.edition_mut(), Some(&mut Some(5)));
    assert_eq!(send("*", path, r#"{"gmf":true}"#).await.status, 200);
    assert_eq!(node.last().command.edition_mut(), Some(&mut None));
    for (tag, body) in [("\"5\"", r#"{"gmf":true,"edition":6}"#), ("5", r#"{"gmf":true}"#)] {
        let answer = send(tag, path, body).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"), "{tag} {body}");
    }
    let point = "/v1/check-in-points/riverside.door";
    let answer = send("\"7\"", point, r#"{"name":"Door","kind":"poster"}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(node.last().command.edition_mut(), Some(&mut Some(7)));
    node.decide(Decision::Refused(Code::SettingsChanged));
    let answer = send("\"7\"", point, r#"{"name":"Door","kind":"poster"}"#).await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "settings_changed"));
}
