//! Whether a user may give commands to Redis, tried on keys that nobody has.

use fred::{
    clients::Client,
    interfaces::ClientLike,
    types::{ClusterHash, CustomCommand, Value},
};

use tokio::time::timeout;

use super::RedisUnusable;
use crate::access_check::{Access, AccessReport, REACHED_WITHIN};

/// A key in the place of a view: no tenant is called so.
pub const VIEW_KEY: &str = "cw:{check-config/nobody}:v:nothing";
/// A key in the place of the heads of an installation.
pub const HEADS_KEY: &str = "cw:heads:check-config";
/// A key in the place of a short-lived one.
pub const SHORT_KEY: &str = "cw:once:check-config";

/// A command with its arguments, and the name of its purpose.
pub type NamedCommand<'a> = (&'a str, &'a [&'a str]);

/// Tries the commands that a user needs, and those that must be refused.
pub async fn check_commands(
    report: &mut AccessReport,
    connecting: impl Future<Output = Result<Client, RedisUnusable>>,
    needed: &[NamedCommand<'_>],
    forbidden: &[NamedCommand<'_>],
) {
    report.begin("redis");
    let client = match timeout(REACHED_WITHIN, connecting).await {
        Ok(Ok(client)) => client,
        Ok(Err(error)) => {
            return report.no_login("redis", std::error::Error::source(&error).unwrap_or(&error));
        }
        Err(_) => return report.no_login("redis", "no answer"),
    };
    // A client may connect with its first command.
    if let Access::Unknown(why) = try_command(&client, &["PING"]).await {
        return report.no_login("redis", why);
    }
    for (purpose, command) in needed {
        report.needs(format!("redis: {purpose}"), try_command(&client, command).await);
    }
    for (purpose, command) in forbidden {
        report.must_not(format!("redis: {purpose}"), try_command(&client, command).await);
    }
}

/// Tries a command with its arguments. Redis looks at the rights before it looks at the arguments,
/// so a command that must not run can be tried with invalid arguments.
async fn try_command(client: &Client, command: &[&str]) -> Access {
    let Some((name, arguments)) = command.split_first() else {
        return Access::Unknown("no command".to_owned());
    };
    let custom = CustomCommand::new((*name).to_owned(), ClusterHash::FirstKey, false);
    let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
    let tried = timeout(REACHED_WITHIN, client.custom::<Value, _>(custom, arguments)).await;
    let Ok(tried) = tried else { return Access::Unknown("no answer".to_owned()) };
    match tried {
        Ok(_) => Access::Allowed,
        Err(error) if error.details().starts_with("NOPERM") => Access::Refused,
        // Redis has read the arguments.
        Err(error) if error.details().starts_with("ERR") => Access::Allowed,
        Err(error) => Access::Unknown(error.details().to_owned()),
    }
}
