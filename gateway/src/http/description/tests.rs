//! The document has every route of the router and no other, and the stored copy is fresh.

use std::{collections::BTreeSet, fs, path::Path};

use super::*;

const ROUTER: &str = include_str!("../../http.rs");
/// Where the stored copies of the documents are.
const STORED: &str = "../docs/api";

/// The routes of `/v1` and their methods, from the source of the router.
fn routes() -> BTreeSet<(String, &'static str)> {
    let mut routes = BTreeSet::new();
    for part in ROUTER.split(".route(").skip(1) {
        let Some((_, rest)) = part.split_once('"') else { continue };
        let Some((route, handlers)) = rest.split_once('"') else { continue };
        let handlers = handlers.split(".merge(").next().unwrap_or_default();
        for method in ["get", "post", "put", "patch", "delete"] {
            if route.starts_with("/v1/") && handlers.contains(&format!("{method}(")) {
                routes.insert((route.to_owned(), method));
            }
        }
    }
    routes
}

#[test]
fn every_route_is_described_and_every_description_has_its_route() {
    let (routes, operations) = (routes(), operations::all());
    assert!(routes.len() > 60, "{} routes are found", routes.len());
    let has_route = |operation: &operation::Operation, (route, method): &(String, &str)| {
        operation.method == *method && operation.is_route(route)
    };
    for route in &routes {
        let described = operations.iter().any(|operation| has_route(operation, route));
        assert!(described, "{route:?} is not described: add it to http/description/operations");
    }
    for operation in &operations {
        let routed = routes.iter().any(|route| has_route(operation, route));
        assert!(routed, "{} {} has no route", operation.method, operation.path);
    }
}

#[test]
fn every_action_is_described() {
    const SOURCES: [&str; 5] = [
        include_str!("../location/requests.rs"),
        include_str!("../claims/runs.rs"),
        include_str!("../claims/rules.rs"),
        include_str!("../webhooks.rs"),
        include_str!("../location/appointments.rs"),
    ];
    let operations = operations::all();
    let is_described = |word: &str| {
        let end = format!("/{word}");
        operations.iter().any(|operation| operation.path.ends_with(&end))
    };
    let arms = SOURCES.iter().flat_map(|source| source.lines());
    let arms = arms.filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" =>"));
    let words: BTreeSet<_> = arms.map(|(word, _)| word).collect();
    assert!(words.len() > 25, "{words:?}");
    for word in words {
        assert!(is_described(word), "the action {word} is not described");
    }
}

#[test]
fn names_of_operations_are_unique() {
    let operations = operations::all();
    let names: BTreeSet<_> = operations.iter().map(|operation| operation.id).collect();
    assert_eq!(names.len(), operations.len());
}

#[test]
fn references_of_the_document_lead_to_schemas() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value.as_str() {
                        Some(target) if name == "$ref" => {
                            found.insert(target.to_owned());
                        }
                        _ => references(value, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = requests();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 50);
    for target in found {
        assert!(document.pointer(&target[1..]).is_some(), "{target} leads nowhere");
    }
}

/// The text of a document as it is stored, for people to read. It is served without white space.
fn text(document: &Value) -> String {
    serde_json::to_string_pretty(document).unwrap() + "\n"
}

#[test]
fn stored_copies_are_fresh() {
    is_fresh("openapi.json", &text(&requests()));
    is_fresh("asyncapi.json", &text(&asyncapi::document()));
}

fn is_fresh(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(STORED).join(name);
    if std::env::var_os("CLINICWIRE_WRITE_DOCUMENTS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == text,
        "docs/api/{name} is stale; run: CLINICWIRE_WRITE_DOCUMENTS=1 cargo test -p \
         clinicwire-gateway --lib stored_copies"
    );
}

/// Checks that the document has this answer to a request.
pub(in crate::http) fn check_answer(method: &str, path: &str, status: u16, text: &str) {
    let path = path.split('?').next().unwrap_or_default();
    let fits = |operation: &&operation::Operation| {
        let (own, given) = (operation.path.split('/'), path.split('/'));
        operation.method.eq_ignore_ascii_case(method)
            && own.clone().count() == given.clone().count()
            && own.zip(given).all(|(own, given)| own == given || own.starts_with('{'))
    };
    let operations = operations::all();
    // A path without parameters goes first, as in the router.
    let mut fitting: Vec<_> = operations.iter().filter(fits).collect();
    fitting.sort_by_key(|operation| operation.path.matches('{').count());
    let Some(operation) = fitting.first() else { return };
    let is_answer = operation.answers.iter().any(|answer| answer.status == status);
    let code = serde_json::from_str::<Value>(text).ok().map(|body| body["code"].clone());
    let is_problem = operation.problems.iter().any(|(own, word)| {
        *own == status && code.as_ref().is_some_and(|code| code == word.as_str())
    });
    assert!(
        if status < 400 { is_answer } else { is_problem },
        "{method} {}: {status} {code:?} is not described",
        operation.path
    );
}
