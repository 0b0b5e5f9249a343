//! Reading the audit.

use schemas::Millis;

use super::*;
use crate::backends::queries::AuditPlace;

const DAY_MS: Millis = 24 * 60 * 60 * 1000;

fn entry(subject: &str, action: &'static str, what: &str) -> AuditEntry {
    AuditEntry {
        at: now(),
        address: Some([192, 0, 2, 7].into()),
        agent: Some("=cmd()|x".into()),
        ..testing::records::audit_entry(subject, action, &[what])
    }
}

impl Node {
    /// Stores an entry as old as `days`.
    fn store(&self, days: i64, entry: AuditEntry) {
        let mut stored = self.fakes.stored_audit.lock().unwrap();
        let number = stored.len() as u64 + 1;
        let place = AuditPlace { logged_at: now() - days * DAY_MS, number };
        stored.push(AuditRow { place, entry });
    }

    /// The numbers of the entries of a page, and the cursor of the next.
    async fn page(&self, query: &str) -> (Vec<u64>, Option<String>) {
        let answer = self.ask(Role::Admin, "GET", &format!("/v1/audit{query}"), "").await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text);
        let body = answer.json();
        let entries = body["entries"].as_array().unwrap();
        let numbers = entries.iter().map(|entry| entry["number"].as_u64().unwrap()).collect();
        (numbers, body["next"].as_str().map(str::to_owned))
    }
}

/// A node with five entries, the oldest of which is 40 days old.
fn audited_node() -> Node {
    let node = node();
    node.store(40, entry("ann", "queue.read", "riverside.general"));
    node.store(3, entry("ann", "ticket.read", TICKET));
    node.store(2, entry("bob", "channel.open", &format!("ticket:{TICKET}")));
    node.store(1, entry("bob", "channel.open", "board:riverside"));
    node.store(0, entry("ann", "channel.open", &format!("appointment:{APPOINTMENT}")));
    node
}

#[tokio::test]
async fn list_is_filtered_and_paged_by_cursor() {
    let node = audited_node();
    let from = now() - 60 * DAY_MS;
    for (query, numbers) in [
        (String::new(), &[5, 4, 3, 2][..]),
        (format!("?from={from}"), &[5, 4, 3, 2, 1]),
        (format!("?ticket={TICKET}"), &[3, 2]),
        (format!("?appointment={APPOINTMENT}&subject=ann"), &[5]),
        ("?subject=bob".to_owned(), &[4, 3]),
        ("?action=channel.open".to_owned(), &[5, 4, 3]),
        ("?action=channel.open&subject=ann".to_owned(), &[5]),
        (format!("?from={from}&until={}", now() - 10 * DAY_MS), &[1]),
        ("?from=2020-01-01&until=2020-02-01".to_owned(), &[]),
    ] {
        assert_eq!(node.page(&query).await.0, numbers, "{query}");
    }
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let (numbers, next) = node.page(&query).await;
        seen.extend(numbers);
        let Some(next) = next else { break };
        query = format!("?limit=2&cursor={next}");
    }
    assert_eq!(seen, [5, 4, 3, 2]);
}

#[tokio::test]
async fn only_admins_of_the_whole_tenant_read() {
    let node = audited_node();
    for role in Role::ALL {
        let answer = node.ask(role, "GET", "/v1/audit", "").await;
        let may = matches!(role, Role::Admin | Role::SuperAdmin);
        assert_eq!(answer.status, if may { 200 } else { 403 }, "{role:?}");
    }
    let mut bound = claims_of("demo", "subject-1", Role::Admin);
    bound.locations = vec![LocationId::new("riverside").unwrap()];
    let bound = development_token(&key(), &bound, now());
    assert_eq!(node.ask_as(&bound, "GET", "/v1/audit", "").await.status, 403);
}

#[tokio::test]
async fn wrong_questions_are_refused() {
    let node = audited_node();
    let both = format!("?ticket={TICKET}&appointment={APPOINTMENT}");
    for (query, code) in [
        ("?ticket=x", "invalid_id"),
        ("?appointment=riverside", "invalid_id"),
        (&*both, "malformed"),
        ("?from=yesterday", "invalid_value"),
        ("?until=2026-11-28T23:59:00", "invalid_value"),
        ("?subject=%00", "invalid_value"),
        ("?action=a%00", "invalid_value"),
        ("?from=2026-01-01&until=2026-01-01", "invalid_value"),
        ("?from=2025-01-01&until=2026-03-01", "invalid_value"),
        ("?until=9223372036854775807", "invalid_value"),
        ("?from=20261128&until=20261128", "invalid_value"),
        ("?from=20261328&until=20261128", "invalid_value"),
        ("?limit=501", "invalid_value"),
        ("?cursor=x", "malformed"),
        ("?format=xml", "invalid_value"),
        ("?format=csv&limit=5", "malformed"),
        ("?unknown=1", "malformed"),
    ] {
        let answer = node.ask(Role::Admin, "GET", &format!("/v1/audit{query}"), "").await;
        assert_eq!(answer.code(), code, "{query}");
    }
}

#[tokio::test]
async fn reading_is_audited_with_what_was_asked_for() {
    let node = audited_node();
    for (query, action, what) in [
        ("", "audit.list", None),
        ("?format=csv", "audit.export", None),
        (&format!("?ticket={TICKET}"), "audit.list", Some(TICKET)),
        (&format!("?format=csv&ticket={TICKET}"), "audit.export", Some(TICKET)),
    ] {
        node.ask(Role::Admin, "GET", &format!("/v1/audit{query}"), "").await;
        let audited = node.audited();
        let [(_, entry)] = &audited[..] else { panic!("{query}: {} entries", audited.len()) };
        assert_eq!(&*entry.action, action, "{query}");
        assert_eq!(entry.what.first().map(String::as_str), what, "{query}");
    }
    node.fakes.audit_fails.store(true, Ordering::Relaxed);
    let answer = node.ask(Role::Admin, "GET", "/v1/audit?format=csv", "").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "try_again"), "nothing is exported");
}

#[tokio::test]
async fn export_has_all_entries_and_no_formula() {
    let node = node();
    for number in 0..1_203 {
        node.store(0, entry(&format!("s-{number}"), "queue.read", "+1"));
    }
    let bearer = format!("Bearer {}", token(Role::Admin));
    let headers = [("authorization", &*bearer), ("accept", "text/csv")];
    let answer = node.send("GET", "/v1/audit", &headers, "").await;
    assert_eq!(answer.headers["content-type"], "text/csv; charset=utf-8; header=present");
    let lines: Vec<_> = answer.text.trim_end().split("\r\n").collect();
    assert_eq!(lines.len(), 1 + 1_203);
    assert!(lines[0].starts_with("\u{feff}number,at,subject,role,"), "{}", lines[0]);
    assert!(lines[1].starts_with("1203,"), "{}", lines[1]);
    let cells: Vec<_> = lines[1].split(',').collect();
    assert_eq!((cells[2], cells[5], cells[7]), ("s-1202", "'=cmd()|x", "'+1"));
}
