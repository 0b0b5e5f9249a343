//! Parts that routes share: the caller, limits, the audit, bodies and problems.

pub(super) mod audited;
pub(super) mod audited_request;
pub(super) mod bearer;
pub(super) mod body;
pub(super) mod caller;
pub(super) mod command_request;
pub(super) mod cursor;
pub(super) mod edge;
pub(super) mod editions;
pub(super) mod export;
pub(super) mod headers;
pub(super) mod limits;
pub(super) mod link_offers;
pub(super) mod problem;
pub(super) mod qr_image;
mod quotas;
pub(super) mod rate_headers;
pub(super) mod snapshots;
pub(super) mod trace;
