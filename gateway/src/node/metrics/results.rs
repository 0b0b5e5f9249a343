//! Counters of connections, commands and uploads, by result.

use prometheus::{IntCounter, IntCounterVec};
use schemas::codes::{Close, Code};

use super::{Builder, Metrics};

/// Counters by result.
pub(super) struct ResultCounters {
    closes: IntCounterVec,
    commands: IntCounterVec,
    errors: IntCounterVec,
    uploads: IntCounterVec,
    upload_bytes: IntCounter,
    limited: IntCounterVec,
}

impl Builder {
    pub(super) fn results(&self) -> ResultCounters {
        let results = ResultCounters {
            closes: self.counters(
                "clinicwire_closes_total",
                "Sockets and subscriptions ended by this node, by reason.",
                &["reason"],
            ),
            commands: self.counters(
                "clinicwire_commands_total",
                "Commands by kind and result: applied, pending, or the code of the refusal.",
                &["kind", "result"],
            ),
            errors: self.counters(
                "clinicwire_errors_total",
                "Error replies on sockets and streams, by code.",
                &["code"],
            ),
            limited: self.counters(
                "clinicwire_limited_total",
                "Requests, frames and connections refused because a client reached a limit: see \
                 docs/limits.md.",
                &["limit"],
            ),
            uploads: self.counters(
                "clinicwire_uploads_total",
                "Uploaded files by result: stored, or the code of the refusal.",
                &["result"],
            ),
            upload_bytes: self.add(IntCounter::new(
                "clinicwire_upload_bytes_total",
                "Bytes of the files that were stored.",
            )),
        };
        // An alert on an increase needs the zero before it.
        for close in Close::ALL {
            results.closes.with_label_values(&[close.reason()]);
        }
        results
    }
}

impl Metrics {
    /// Counts a closed connection.
    pub fn close(&self, close: Close) {
        self.results.closes.with_label_values(&[close.reason()]).inc();
    }

    /// Counts a request, a frame or a connection that the limit of this name refused.
    pub fn limited(&self, limit: &'static str) {
        self.results.limited.with_label_values(&[limit]).inc();
    }

    /// Exports a limit that has refused nothing.
    pub fn show_limit(&self, limit: &'static str) {
        self.results.limited.with_label_values(&[limit]);
    }

    /// `result` is `applied`, `pending` or a code.
    pub fn command(&self, kind: &'static str, result: &'static str) {
        self.results.commands.with_label_values(&[kind, result]).inc();
    }

    /// An error reply on a socket or stream.
    pub fn error(&self, code: Code) {
        self.results.errors.with_label_values(&[code.as_str()]).inc();
    }

    /// An upload: the bytes stored, or why not.
    pub fn upload(&self, result: Result<u64, Code>) {
        self.results
            .uploads
            .with_label_values(&[result.map_or_else(Code::as_str, |_| "stored")])
            .inc();
        self.results.upload_bytes.inc_by(result.unwrap_or_default());
    }
}
