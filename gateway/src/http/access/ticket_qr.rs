//! The QR code of a ticket's link, as SVG and PNG, sized for a receipt printer.

use axum::{extract::State, response::Response};

use super::ticket_links;
use crate::http::{
    NodeState, Problem,
    shared::{
        caller::{Caller, QueryParams, Segments},
        qr_image::{self, NodeAddress, QrImage},
    },
};

/// The width without `mm`. It fits the 48 mm that a printer for paper of 58 mm prints.
const DEFAULT_MM: u16 = 40;
/// The smallest width: the modules of a usual link are then 0.4 mm wide, about the least that a
/// phone reads from thermal paper. The largest is what a printer for paper of 80 mm prints.
const LEAST_MM: u16 = 24;
const MOST_MM: u16 = 72;

/// The query of an image of the code of a ticket.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct TicketImageParams {
    /// Width of the image with its quiet zone, in millimetres.
    #[schemars(range(min = LEAST_MM, max = MOST_MM))]
    mm: Option<u16>,
}

pub(in crate::http) async fn svg(
    State(node): NodeState,
    caller: Caller,
    segments: Segments<1>,
    QueryParams(TicketImageParams { mm }): QueryParams<TicketImageParams>,
    address: NodeAddress,
) -> Result<Response, Problem> {
    let mm = qr_image::width(mm, DEFAULT_MM, LEAST_MM..=MOST_MM)?;
    let path = ticket_links::path_of(&node, caller, segments).await?;
    Ok(QrImage::new(&address.url(&node, &path)?)?.svg_response(mm))
}

pub(in crate::http) async fn png(
    State(node): NodeState,
    caller: Caller,
    segments: Segments<1>,
    QueryParams(TicketImageParams { mm }): QueryParams<TicketImageParams>,
    address: NodeAddress,
) -> Result<Response, Problem> {
    let mm = qr_image::width(mm, DEFAULT_MM, LEAST_MM..=MOST_MM)?;
    let path = ticket_links::path_of(&node, caller, segments).await?;
    QrImage::new(&address.url(&node, &path)?)?.png_response(mm)
}
