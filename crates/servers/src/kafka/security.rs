//! TLS to the brokers, and the login.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use rdkafka::ClientConfig;

use crate::{tls::client_config, url_options::read_secret};

/// How the brokers are reached, in Kafka's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum SecurityProtocol {
    /// Neither TLS nor a login
    #[default]
    Plaintext,
    /// TLS
    Ssl,
    /// A login without TLS
    SaslPlaintext,
    /// TLS and a login
    SaslSsl,
}

impl SecurityProtocol {
    /// Whether the brokers are reached by TLS.
    pub fn has_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether the brokers want a user.
    pub fn has_login(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }
}

/// How a login proves its password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SaslMechanism {
    /// The password is sent as it is.
    Plain,
    /// Like [`SaslMechanism::ScramSha512`], by a shorter hash.
    ScramSha256,
    /// Brokers keep no password, and the password is never sent.
    #[default]
    ScramSha512,
}

impl SaslMechanism {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl FromStr for SaslMechanism {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Plain, Self::ScramSha256, Self::ScramSha512]
            .into_iter()
            .find(|mechanism| mechanism.name().eq_ignore_ascii_case(text))
            .ok_or("expected PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
    }
}

/// A password, which `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Reads the secret in a file.
    ///
    /// # Errors
    /// A message that names the file only.
    pub fn from_file(file: &str) -> Result<Self, String> {
        read_secret(Path::new(file)).map(Self).map_err(|error| error.to_string())
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A user of the brokers.
#[derive(Debug, Clone)]
pub struct KafkaLogin {
    /// How the password is proved.
    pub mechanism: SaslMechanism,
    /// The name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// How every client reaches the brokers.
#[derive(Debug, Clone, Default)]
pub struct KafkaSecurity {
    /// Whether there is TLS, and a login.
    pub protocol: SecurityProtocol,
    /// Authorities that sign the brokers' certificates, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// The user, if the brokers want one.
    pub login: Option<KafkaLogin>,
}

impl KafkaSecurity {
    pub(super) fn apply(&self, config: &mut ClientConfig) {
        config.set("security.protocol", self.protocol.name());
        if self.protocol.has_tls() {
            // The authorities of the system: an OpenSSL of our own does not know where they are.
            let file = self.ca_file.as_ref().map(|file| file.display().to_string());
            config.set("ssl.ca.location", file.as_deref().unwrap_or("probe"));
        }
        if let Some(login) = self.login.as_ref().filter(|_| self.protocol.has_login()) {
            config
                .set("sasl.mechanism", login.mechanism.name())
                .set("sasl.username", &login.user)
                .set("sasl.password", &login.password.0);
        }
    }

    /// TLS for sockets beside librdkafka's. `None` without TLS, and when the authorities cannot be
    /// read, which librdkafka reports.
    pub(super) fn tls(&self) -> Option<Arc<rustls::ClientConfig>> {
        self.protocol.has_tls().then(|| client_config(self.ca_file.as_deref()).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_reaches_the_client_and_never_a_log() {
        let login = KafkaLogin {
            mechanism: "scram-sha-256".parse().unwrap(),
            user: "gateway".into(),
            password: Secret::new("hunter2"),
        };
        let security = KafkaSecurity {
            protocol: SecurityProtocol::SaslSsl,
            ca_file: Some("/etc/ca.pem".into()),
            login: Some(login),
        };
        let mut config = ClientConfig::new();
        security.apply(&mut config);
        for (name, value) in [
            ("security.protocol", "sasl_ssl"),
            ("ssl.ca.location", "/etc/ca.pem"),
            ("sasl.mechanism", "SCRAM-SHA-256"),
            ("sasl.username", "gateway"),
            ("sasl.password", "hunter2"),
        ] {
            assert_eq!(config.get(name), Some(value), "{name}");
        }
        for text in [format!("{security:?}"), format!("{config:?}")] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
