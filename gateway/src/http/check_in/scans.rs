//! Scans: patients check themselves in at a check-in point, with the code of its poster or at a
//! kiosk that has a credential.

mod check_in;
mod found;
mod scanner;
mod suspicion;

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use schemas::{settings::QueueSettings, ticket::QueueState};
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::scanner::{ScanRequest, Scanner};
pub(in crate::http) use self::{
    check_in::{ScanBody, WalkInBody, check_in, find, walk_in},
    suspicion::flags,
};
use crate::http::{
    NodeState, Problem, pages,
    shared::{body::read, snapshots::unreadable},
};

/// Most characters of the code in an address: the longest ids of tenant, location and point, the
/// rotation and the MAC.
const MAX_CODE: usize = 200;

/// A queue in which patients without an appointment may take a ticket.
#[derive(Serialize)]
struct WalkIn {
    queue: String,
    name: String,
}

#[derive(Deserialize, schemars::JsonSchema)]
pub(in crate::http) struct OpenBody {
    point: Option<String>,
}

/// Leads from `/c/<code>`, the address in the code of a poster, to the page. The
/// redirect does not reveal whether the code is valid.
pub(in crate::http) async fn open_page(headers: HeaderMap, Path(code): Path<String>) -> Response {
    let is_code = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if code.len() > MAX_CODE || !code.bytes().all(is_code) {
        return pages::not_found(headers).await;
    }
    // Relative, because a proxy may have the pages under a prefix.
    let page = format!("../check-in#point={code}");
    (StatusCode::SEE_OTHER, [(header::LOCATION, page)]).into_response()
}

/// Returns the questions and offers of the page of a check-in point. The answer contains nothing
/// about any booking.
pub(in crate::http) async fn open(
    State(node): NodeState,
    request: ScanRequest,
) -> Result<Response, Problem> {
    let OpenBody { point } = read(&request.body, r#"{"point"?}"#)?;
    let scanner = request.scanner(&node, point.as_deref()).await?;
    let setup = &scanner.point.setup;
    let body = json!({
        "location": scanner.location()?,
        "check_in_point": { "name": setup.name, "kind": setup.kind },
        "factor": setup.factor,
        "digits": setup.factor.digits(),
        "asks_position": scanner.asks_position(),
        "walk_in": offered(&scanner)?,
    });
    Ok(Json(body).into_response())
}

/// The queues of the point that issue tickets now.
fn offered(scanner: &Scanner) -> Result<Vec<WalkIn>, Problem> {
    let mut offered = Vec::new();
    for queue in &scanner.point.setup.queues {
        let Some(entry) = scanner.settings.entries.get(&format!("queue:{queue}")) else { continue };
        let settings: QueueSettings = serde_json::from_str(entry.get()).map_err(unreadable)?;
        if settings.state != QueueState::Closed {
            offered.push(WalkIn { queue: queue.to_string(), name: settings.name });
        }
    }
    Ok(offered)
}
