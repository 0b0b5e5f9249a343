use proptest::prelude::*;

use super::*;

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn each_method_is_recognised() {
    let kind = |line: &str| match json::commands(line)
        .next()
        .flatten()
        .map(|command| (command.id, command.request))
    {
        Some((1, Request::Connect { token })) => format!("connect {token}"),
        Some((2, Request::Subscribe { channel, since })) => {
            format!(
                "subscribe {channel} {:?}",
                since.map(|position| (position.epoch, position.version))
            )
        }
        Some((3, Request::Unsubscribe { channel })) => format!("unsubscribe {channel}"),
        Some((4, Request::Refresh { token })) => format!("refresh {token}"),
        Some((5, Request::Ping)) => "ping".into(),
        Some((6, Request::NotOffered)) => "not offered".into(),
        Some((0, Request::Pong)) => "pong".into(),
        Some(_) => "another id or request".into(),
        None => "no command".into(),
    };
    let table = [
        (r#"{"id":1,"connect":{"token":"t","name":"js"}}"#, "connect t"),
        (r#"{"id":2,"subscribe":{"channel":"board:a"}}"#, "subscribe board:a None"),
        (
            r#"{"id":2,"subscribe":{"channel":"c","recover":true,"epoch":"7","offset":9}}"#,
            "subscribe c Some((7, 9))",
        ),
        (
            r#"{"id":2,"subscribe":{"channel":"c","recover":true,"epoch":"_","offset":0}}"#,
            "subscribe c None",
        ),
        (
            r#"{"id":"2","subscribe":{"channel":"c","recover":true,"epoch":"7","offset":"9"}}"#,
            "subscribe c Some((7, 9))",
        ),
        (
            r#"{"id":2,"subscribe":{"channel":"c","recover":false,"epoch":"7","offset":9}}"#,
            "subscribe c None",
        ),
        (
            r#"{"id":2,"subscribe":{"channel":"c","recover":null,"epoch":null,"offset":null}}"#,
            "subscribe c None",
        ),
        (r#"{"id":1,"connect":{"token":null},"ping":null}"#, "connect "),
        (r#"{"id":null}"#, "pong"),
        (r#"{"id":3,"unsubscribe":{"channel":"c"}}"#, "unsubscribe c"),
        (r#"{"id":4,"refresh":{"token":"a\"b"}}"#, "refresh a\"b"),
        (r#"{"id":5,"ping":{}}"#, "ping"),
        (r#"{"id":6,"rpc":{"method":"x"}}"#, "not offered"),
        (r#"{"id":6,"publish":{"channel":"c","data":{}}}"#, "not offered"),
        ("{}", "pong"),
        (r#"{"id":"x"}"#, "no command"),
        (r#"{"id":2,"subscribe":{"offset":"-1"}}"#, "no command"),
        ("[]x", "no command"),
    ];
    for (line, expected) in table {
        assert_eq!(kind(line), expected, "{line}");
    }
}

#[test]
fn blank_lines_are_no_commands() {
    let text = "\n{\"id\":1,\"ping\":{}}\r\n\n  \n{\"id\":2,\"ping\":{}}\n\n";
    let ids: Vec<_> = json::commands(text).map(|command| command.unwrap().id).collect();
    assert_eq!(ids, [1, 2]);
    assert_eq!(json::commands("\n").count(), 0);
}

#[test]
fn recovered_reply_repeats_offset_with_one_publication() {
    let data = RawValue::from_string("{\"from\":3}".into()).unwrap();
    let start = Start::Recovered {
        position: Position { epoch: 7, version: 9 },
        held: 3,
        missed: Some(&data),
    };
    assert_eq!(
        text(json::write(&Reply::Subscribe { id: 2, start })),
        concat!(
            r#"{"id":2,"subscribe":{"recoverable":true,"positioned":true,"epoch":"7","offset":3,"#,
            r#""recovered":true,"was_recovering":true,"#,
            r#""publications":[{"data":{"from":3},"offset":9}]}}"#
        )
    );
}

#[test]
fn snapshot_reply_carries_data_and_position() {
    let data = RawValue::from_string("{}".into()).unwrap();
    let start = Start::Snapshot {
        position: Position { epoch: 7, version: 9 },
        data: &data,
        was_recovering: false,
        resets: false,
    };
    assert_eq!(
        text(json::write(&Reply::Subscribe { id: 2, start })),
        concat!(
            r#"{"id":2,"subscribe":{"recoverable":true,"positioned":true,"epoch":"7","offset":9,"#,
            r#""data":{}}}"#
        )
    );
}

#[test]
fn error_reply_names_our_code() {
    assert_eq!(
        text(json::write(&Reply::Error { id: 4, code: Code::TryAgain })),
        r#"{"id":4,"error":{"code":100,"message":"try_again","temporary":true}}"#
    );
    assert_eq!(
        text(json::write(&Reply::Error { id: 4, code: Code::Forbidden })),
        r#"{"id":4,"error":{"code":103,"message":"forbidden"}}"#
    );
    assert_eq!(
        text(json::write(&Reply::Error { id: 0, code: Code::Unavailable })),
        r#"{"error":{"code":108,"message":"unavailable"}}"#,
        "the refusal of a send has no id"
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(line in ".{0,200}") {
        json::commands(&line).count();
    }
}
