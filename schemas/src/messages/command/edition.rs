//! The edition that a change was made from.

use super::Command;

impl Command {
    /// The edition from which the command was made, if commands of its kind name one. `None` inside
    /// means any edition.
    pub fn edition_mut(&mut self) -> Option<&mut Option<u64>> {
        use Command as C;
        match self {
            C::ConfigureLocation { edition, .. }
            | C::ChangePrivacy { edition, .. }
            | C::ChangeMessages { edition, .. }
            | C::ChangeBranding { edition, .. }
            | C::OrderQueues { edition, .. }
            | C::ConfigureQueue { edition, .. }
            | C::ConfigureStation { edition, .. }
            | C::RenameDisplay { edition, .. }
            | C::ConfigureCheckInPoint { edition, .. }
            | C::PutRule { edition, .. }
            | C::DeleteRule { edition, .. }
            | C::PutReference { edition, .. }
            | C::DeleteReference { edition, .. }
            | C::LoadReference { edition, .. }
            | C::ClearReference { edition, .. }
            | C::ChangeWebhook { edition, .. }
            | C::ChangeTenant { edition, .. } => Some(edition),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;
    use crate::ids::WebhookId;

    fn webhook() -> Value {
        json!(WebhookId::from_random(7))
    }

    fn rule() -> Value {
        json!({"id": "a-rule", "name": {"fr": "", "en": ""}, "category": "a", "kind": "required",
            "column": "code"})
    }

    /// The kinds of commands that have this field.
    fn kinds_with(field: &str) -> BTreeSet<String> {
        let schema = serde_json::to_value(schemars::schema_for!(Command)).unwrap();
        let variants = schema["oneOf"].as_array().unwrap().iter();
        let with_field = variants.filter(|variant| variant["properties"].get(field).is_some());
        with_field
            .map(|it| it["properties"]["type"]["const"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Checks that `find` answers for these commands, which are all that have the field.
    fn check(field: &str, commands: &[Value], find: impl Fn(&mut Command) -> bool) {
        for json in commands {
            let mut command: Command = serde_json::from_value(json.clone()).expect("a command");
            assert!(find(&mut command), "{}", command.kind());
        }
        let kinds = commands.iter().map(|json| json["type"].as_str().unwrap().to_owned());
        assert_eq!(kinds.collect::<BTreeSet<_>>(), kinds_with(field));
        let mut tick: Command = serde_json::from_value(json!({"type": "location.tick"})).unwrap();
        assert!(!find(&mut tick));
    }

    #[test]
    fn every_command_with_an_edition_gives_it() {
        let table = json!("establishments");
        let commands = [
            json!({"type": "location.configure", "name": "", "time_zone": "", "languages": []}),
            json!({"type": "location.change_privacy", "privacy": {}}),
            json!({"type": "location.change_messages", "messages": []}),
            json!({"type": "location.change_branding", "branding": {}}),
            json!({"type": "location.order_queues", "queues": []}),
            json!({"type": "queue.configure", "queue": "north.lab", "name": "", "prefix": ""}),
            json!({"type": "station.configure", "station": "north.lab", "name": ""}),
            json!({"type": "display.rename", "display": "north.0000000000000007", "name": ""}),
            json!({"type": "check_in_point.configure", "point": "north.door", "setup":
                {"name": "", "kind": "poster", "factor": "none", "queues": []}}),
            json!({"type": "rule.put", "rule": rule()}),
            json!({"type": "rule.delete", "rule": "a-rule"}),
            json!({"type": "reference.put", "table": table, "key": "5", "entry": {"gmf": true}}),
            json!({"type": "reference.delete", "table": table, "key": "5"}),
            json!({"type": "reference.load", "table": table, "csv": ""}),
            json!({"type": "reference.clear", "table": table}),
            json!({"type": "webhook.change", "webhook": webhook(), "settings": {"url": ""}}),
            json!({"type": "tenant.change", "settings": {}}),
        ];
        let commands = commands.map(|mut json| {
            json["edition"] = 7.into();
            json
        });
        check("edition", &commands, |command| command.edition_mut() == Some(&mut Some(7)));
    }

    #[test]
    fn every_command_about_a_webhook_names_it() {
        let settings = json!({"url": "https://a.example"});
        let commands = [
            json!({"type": "webhook.create", "settings": settings}),
            json!({"type": "webhook.change", "settings": settings}),
            json!({"type": "webhook.delete"}),
            json!({"type": "webhook.rotate", "keep_s": 0}),
            json!({"type": "webhook.pause"}),
            json!({"type": "webhook.resume"}),
            json!({"type": "webhook.disable"}),
            json!({"type": "webhook.test"}),
            json!({"type": "webhook.replay", "replay": {"what": "time", "from": 0, "until": 1}}),
        ];
        let commands = commands.map(|mut json| {
            json["webhook"] = webhook();
            json
        });
        check("webhook", &commands, |command| {
            command.webhook() == Some(&WebhookId::from_random(7))
        });
    }
}
