//! The commands about parked records, as an operator uses them.

use processors::{fixtures::opening, log::Log, servers::postgres::Role};
use schemas::{
    ids::{Aggregate, LocationId, TenantId},
    record::{CARE_TOPIC, WireRecord},
};
use testing::{patience::until, records::command_record};
use tokio_postgres::Client;

use crate::{
    binary::{Installation, output},
    setup::fresh,
};

/// A word of the records that only `show` may print.
const SECRET: &str = "Planted-Name";

/// Runs `parked` with these words. Returns the exit code and both outputs.
async fn parked(installation: &Installation, words: &[&str]) -> (Option<i32>, String) {
    let mut program = installation.program("parked");
    program.args(words);
    let output = output(program).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!told.contains(SECRET), "{told}");
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// Waits until the database answers `sql` with this number.
async fn counts(client: &Client, sql: &str, expected: i64) {
    until(sql, async || client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == expected)
        .await;
}

/// The record in the format of a program of another version.
fn of_other_version(record: WireRecord) -> WireRecord {
    let changed = |(name, value): (String, String)| match name.as_str() {
        "ce_type" => (name, value.replace(".v1", ".v9")),
        _ => (name, value),
    };
    WireRecord { headers: record.headers.into_iter().map(changed).collect(), ..record }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_listed_shown_released_and_dropped() {
    let installation = Installation::new().await;
    let (ok, told) = installation.output("prepare").await;
    assert!(ok, "{told}");
    let (process, _) = installation.run().await;
    let tenant = TenantId::new(fresh()).unwrap();
    let aggregate = Aggregate::location(&tenant, &LocationId::new("riverside").unwrap());
    let record =
        |id: &str, command| of_other_version(command_record(&aggregate, id, command).to_wire());
    let mut records: Vec<_> = (0..)
        .zip(opening())
        .map(|(number, command)| (CARE_TOPIC, record(&format!("open-{number}"), command)))
        .collect();
    let mut unreadable = record("secret", opening().remove(0));
    unreadable.value = format!("{{\"name\":\"{SECRET}\u{1b}[2J\"").into();
    records.push((CARE_TOPIC, unreadable));
    installation.topics.writer().append(&records).await.expect("kafka acknowledges");
    let client = installation.database.role(Role::Processor).await;
    let (all, opened) = (i64::try_from(records.len()).unwrap(), opening().len());
    counts(&client, "SELECT count(*) FROM clinicwire.parked", all).await;

    let (code, list) = parked(&installation, &["list"]).await;
    assert_eq!(code, Some(0));
    assert!(list.ends_with(&format!("{all} of {all} parked records\n")), "{list}");
    assert!(list.contains(aggregate.as_str()) && !list.contains(SECRET), "{list}");
    let place = list.lines().rev().nth(1).unwrap().split(' ').next().unwrap();
    assert!(list.contains(&format!("{place}  ")) && list.contains("record_unknown_version"));
    let (_, page) = parked(&installation, &["list", "--limit=1"]).await;
    assert!(page.ends_with(&format!("\n1 of {all} parked records\n")), "{page}");

    let (code, shown) = parked(&installation, &["show", place]).await;
    assert_eq!(code, Some(0));
    assert!(shown.contains(SECRET) && !shown.contains('\u{1b}'), "{shown:?}");
    let (code, dropped) = parked(&installation, &["drop", place]).await;
    assert_eq!(
        (code, dropped.as_str()),
        (Some(0), &*format!("dropped {place}\n1 records dropped\n"))
    );
    for words in [["show", place], ["drop", place], ["release", place]] {
        let (code, text) = parked(&installation, &words).await;
        assert_eq!(code, Some(4), "{words:?}");
        assert!(text.starts_with(&format!("{place} is not parked\n")), "{text}");
    }

    // While the cause lasts, released records are parked again, under new offsets.
    let by_code = ["release", "--code=record_unknown_version"];
    let (code, released) = parked(&installation, &by_code).await;
    assert_eq!(code, Some(0), "{released}");
    assert!(released.ends_with(&format!("\n{opened} records released\n")), "{released}");
    let again = format!(
        "SELECT count(*) FROM clinicwire.parked WHERE \"offset\" > {}",
        place.rsplit('/').next().unwrap()
    );
    counts(&client, &again, i64::try_from(opened).unwrap()).await;

    // A program that can read them.
    let mend = "UPDATE clinicwire.parked SET headers = replace(headers::text, '.v9', '.v1')::json";
    client.execute(mend, &[]).await.unwrap();
    let (code, released) = parked(&installation, &by_code).await;
    assert_eq!(code, Some(0), "{released}");
    let applied = "SELECT count(*) FROM clinicwire.journal WHERE kind = 'applied'";
    counts(&client, applied, i64::try_from(opened).unwrap()).await;
    let (_, list) = parked(&installation, &["list"]).await;
    assert_eq!(list, "0 of 0 parked records\n");
    assert!(process.stop().await, "SIGTERM is no failure");
}

/// A record of a topic that the settings do not name stays parked.
#[tokio::test]
async fn record_of_unknown_topic_is_not_released() {
    let installation = Installation::new().await;
    let (ok, told) = installation.output("prepare").await;
    assert!(ok, "{told}");
    let client = installation.database.role(Role::Processor).await;
    let insert = "INSERT INTO clinicwire.parked VALUES ('other', 0, 7, 0, 'x', '', '[]', '')";
    client.execute(insert, &[]).await.unwrap();
    let mut program = installation.program("parked");
    program.args(["release", "other/0/7"]);
    let output = output(program).await;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("--care-topic"), "{told}");
    counts(&client, "SELECT count(*) FROM clinicwire.parked", 1).await;
}
