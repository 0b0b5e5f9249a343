//! `clinicwire call-next`: calls the next person to a station.

use anyhow::Result;
use hyper::Method;
use serde_json::json;

use super::{Terminal, arguments::CallNextArgs, gateway_client::GatewayClient};

/// Calls, and prints the label of the ticket.
///
/// # Errors
/// The refusal in words, such as that nobody waits.
pub async fn run(arguments: &CallNextArgs, terminal: &mut Terminal<'_>) -> Result<()> {
    let client = GatewayClient::new(&arguments.gateway, "reception")?;
    let CallNextArgs { station, queue, force, .. } = arguments;
    let (path, body) = match queue {
        Some(queue) => {
            (format!("/v1/queues/{queue}/call-next"), json!({"station": station, "force": force}))
        }
        None => (format!("/v1/stations/{station}/call-next"), json!({ "force": force })),
    };
    let answer = client.command(Method::POST, &path, &body).await?;
    terminal.print(answer["result"]["label"].as_str().unwrap_or_default());
    Ok(())
}
