//! `clinicwire seed`: creates a clinic from a file.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use hyper::Method;
use schemas::ids::{CheckInPointId, LocationId, QueueId, StationId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Terminal, arguments::SeedArgs, gateway_client::GatewayClient, terminal::read_file};

/// The content of a seed file: the body of a PUT for each id.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SeedFile {
    locations: BTreeMap<LocationId, Value>,
    queues: BTreeMap<QueueId, Value>,
    stations: BTreeMap<StationId, Value>,
    check_in_points: BTreeMap<CheckInPointId, Value>,
    open: Vec<QueueId>,
}

impl SeedFile {
    /// The requests, in the order in which things need one another.
    fn requests(&self) -> Vec<(Method, String, Value)> {
        fn puts<Id: std::fmt::Display>(
            list: &str,
            things: &BTreeMap<Id, Value>,
        ) -> Vec<(Method, String, Value)> {
            let put =
                |(id, body): (&Id, &Value)| (Method::PUT, format!("/v1/{list}/{id}"), body.clone());
            things.iter().map(put).collect()
        }
        let open = self
            .open
            .iter()
            .map(|queue| (Method::POST, format!("/v1/queues/{queue}/open"), json!({})));
        [
            puts("locations", &self.locations),
            puts("queues", &self.queues),
            puts("stations", &self.stations),
            puts("check-in-points", &self.check_in_points),
            open.collect(),
        ]
        .concat()
    }
}

/// Creates everything that the file names, and prints a line for each.
///
/// # Errors
/// When the file is no seed file, and the first refusal with the thing that was refused.
pub async fn run(arguments: &SeedArgs, terminal: &mut Terminal<'_>) -> Result<()> {
    let file: SeedFile = serde_json::from_slice(&read_file(&arguments.file)?)
        .with_context(|| format!("{} is not a seed file", arguments.file.display()))?;
    let client = GatewayClient::new(&arguments.gateway, "admin")?;
    for (method, path, body) in file.requests() {
        let thing = path.trim_start_matches("/v1/").to_owned();
        client.command(method, &path, &body).await.with_context(|| thing.clone())?;
        terminal.print(&thing);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_come_first_and_queues_open_last() {
        let file: SeedFile = serde_json::from_value(json!({
            "open": ["north.general"],
            "queues": {"north.general": {"name": "General", "prefix": "A"}},
            "stations": {"north.room-1": {"name": "Room 1"}},
            "locations": {"north": {}},
        }))
        .unwrap();
        let paths: Vec<_> = file.requests().into_iter().map(|(_, path, _)| path).collect();
        assert_eq!(
            paths,
            [
                "/v1/locations/north",
                "/v1/queues/north.general",
                "/v1/stations/north.room-1",
                "/v1/queues/north.general/open",
            ]
        );
        assert!(serde_json::from_value::<SeedFile>(json!({"rooms": {}})).is_err());
    }
}
