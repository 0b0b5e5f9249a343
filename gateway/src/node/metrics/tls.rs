//! The metrics of TLS at a node.

use prometheus::{IntCounterVec, IntGauge};

use super::Builder;

pub struct TlsMetrics {
    /// In seconds since 1970.
    pub certificate_ends: IntGauge,
    handshakes: IntCounterVec,
    reloads: IntCounterVec,
}

impl TlsMetrics {
    /// `result` is `done`, `failed` or `slow`.
    pub fn handshake(&self, result: &'static str) {
        self.handshakes.with_label_values(&[result]).inc();
    }

    /// `result` is `used` or `refused`.
    pub fn reload(&self, result: &'static str) {
        self.reloads.with_label_values(&[result]).inc();
    }
}

impl Builder {
    pub(super) fn tls(&self) -> TlsMetrics {
        let metrics = TlsMetrics {
            certificate_ends: self.add(IntGauge::new(
                "clinicwire_tls_certificate_ends_seconds",
                "When the certificate of this node ends, in seconds since 1970. 0 without one.",
            )),
            handshakes: self.counters(
                "clinicwire_tls_handshakes_total",
                "Handshakes of TLS: done, failed, or slow. Those that a limit refused are in \
                 clinicwire_limited_total.",
                &["result"],
            ),
            reloads: self.counters(
                "clinicwire_tls_reloads_total",
                "Changes of the certificate's files: used, or refused while the old one stays.",
                &["result"],
            ),
        };
        // An alert on an increase needs the zero before it.
        metrics.reloads.with_label_values(&["refused"]);
        metrics
    }
}
