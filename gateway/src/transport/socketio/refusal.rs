//! Refusals of clients. socketioxide can only give a message, which is the name of the code. Our
//! layer adds `data`, as the protocol allows, and the clients have it as `error.data`.

use schemas::codes::Code;
use serde::Serialize;

use crate::wire::peer::events;

/// The start of a packet that refuses a client of the namespace `/`.
const REFUSAL: &str = r#"44{"message":"#;
/// Separates the packets in the answer to a poll.
const SEPARATOR: char = '\x1e';

/// The packet of a refusal with `data`: the code, its text, and whether a retry may help. `None`
/// for any other packet.
pub(super) fn with_data(packet: &str) -> Option<String> {
    #[derive(Serialize)]
    struct Refusal<D> {
        message: Code,
        data: D,
    }
    let name = packet.strip_prefix(REFUSAL)?.strip_prefix('"')?.strip_suffix("\"}")?;
    let code = Code::ALL.iter().copied().find(|code| code.as_str() == name)?;
    let refusal = Refusal { message: code, data: events::error(None, code) };
    Some(format!("44{}", serde_json::to_string(&refusal).ok()?))
}

/// The answer to a poll, with `data` in its refusals. `None` when it has none.
pub(super) fn in_answer(answer: &str) -> Option<String> {
    if !answer.contains(REFUSAL) {
        return None;
    }
    let told = |packet: &str| with_data(packet).unwrap_or_else(|| packet.to_owned());
    Some(answer.split(SEPARATOR).map(told).collect::<Vec<_>>().join("\x1e"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_says_code_text_and_retry() {
        assert_eq!(
            in_answer("2\x1e44{\"message\":\"try_again\"}").unwrap(),
            concat!(
                "2\x1e",
                r#"44{"message":"try_again","data":{"code":"try_again","#,
                r#""message":"The server can't answer right now. Try again.","retry":true}}"#
            )
        );
    }

    #[test]
    fn other_packets_stay() {
        for packet in [
            "40{\"sid\":\"x\"}",
            "44/admin,{\"message\":\"Invalid namespace\"}",
            "44{\"message\":\"no code\"}",
            "42[\"44{\\\"message\\\":\"]",
            "",
        ] {
            assert_eq!(with_data(packet), None, "{packet}");
        }
        assert_eq!(in_answer("42[\"a\"]\x1e2"), None);
    }
}
