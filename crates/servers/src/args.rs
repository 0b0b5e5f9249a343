//! Flags that several programs share. Each flag can also be given by its environment variable.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::Context;
use claims::tables::Tables;
use clap::Args;
use schemas::{
    push::{KNOWN_SERVICES, PushService, PushServices},
    record::{ACCESS_TOPIC, AUDIT_TOPIC, CARE_TOPIC, EVENTS_TOPIC, RUNS_TOPIC, VIEWS_TOPIC},
    webhook::WebhookKey,
};

use crate::{
    config_check::Faults,
    file_store::FileStoreUrl,
    kafka::{
        KafkaCluster, KafkaLogin, KafkaSecurity, SaslMechanism, Secret, SecurityProtocol, Topics,
    },
    postgres::{self, LoginPolicy},
    redis,
    tls::client_config,
};

/// The flag of the push services that alerts are sent to, the same on gateways and processors.
#[derive(Debug, Args)]
pub struct PushServiceArgs {
    /// Push service that alerts may be sent to: `host` or `*.domain`, called over HTTPS and at
    /// public addresses only, or an origin such as `https://push.intern.example:8443`, called at
    /// any address. May be repeated
    #[arg(
        long = "push-service",
        env = "CLINICWIRE_PUSH_SERVICE",
        value_name = "HOST",
        value_delimiter = ',',
        default_value = KNOWN_SERVICES
    )]
    pub push_services: Vec<PushService>,
}

impl PushServiceArgs {
    /// The accepted push services.
    pub fn services(&self) -> PushServices {
        PushServices(self.push_services.clone())
    }
}

/// The flag of the key of webhooks, the same on gateways and processors.
#[derive(Debug, Args)]
pub struct WebhookKeyArgs {
    /// File with the key from which the secrets of webhooks are derived, as `clinicwire-processors
    /// webhook-key` writes it, the same on all gateways and processors. Without it, no webhooks are
    /// offered and sent
    #[arg(long, env = "CLINICWIRE_WEBHOOK_KEY_FILE", value_name = "FILE")]
    pub webhook_key_file: Option<PathBuf>,
}

impl WebhookKeyArgs {
    /// The key, if the settings name its file.
    ///
    /// # Errors
    /// When the file cannot be read or has no key.
    pub fn key(&self) -> anyhow::Result<Option<WebhookKey>> {
        let Some(path) = &self.webhook_key_file else { return Ok(None) };
        Ok(Some(std::fs::read_to_string(path)?.parse()?))
    }
}

/// The flags of a Kafka cluster and its topics.
#[derive(Debug, Args)]
pub struct KafkaArgs {
    /// Kafka's brokers as `host:port`, separated by commas
    #[arg(long, env = "CLINICWIRE_KAFKA", default_value = "127.0.0.1:9092")]
    pub kafka: String,
    /// TLS and the login.
    #[command(flatten)]
    pub security: KafkaSecurityArgs,
    /// Topic of commands for locations
    #[arg(long, env = "CLINICWIRE_CARE_TOPIC", default_value = CARE_TOPIC)]
    pub care_topic: String,
    /// Topic of commands for runs and rule books
    #[arg(long, env = "CLINICWIRE_RUNS_TOPIC", default_value = RUNS_TOPIC)]
    pub runs_topic: String,
    /// Topic of view changes and command outcomes
    #[arg(long, env = "CLINICWIRE_VIEWS_TOPIC", default_value = VIEWS_TOPIC)]
    pub views_topic: String,
    /// Topic of the audit: who read or changed what
    #[arg(long, env = "CLINICWIRE_AUDIT_TOPIC", default_value = AUDIT_TOPIC)]
    pub audit_topic: String,
    /// Topic of outward events, for other systems
    #[arg(long, env = "CLINICWIRE_EVENTS_TOPIC", default_value = EVENTS_TOPIC)]
    pub events_topic: String,
    /// Topic of revocations
    #[arg(long, env = "CLINICWIRE_ACCESS_TOPIC", default_value = ACCESS_TOPIC)]
    pub access_topic: String,
}

/// TLS to Kafka, and the login.
#[derive(Debug, Args)]
pub struct KafkaSecurityArgs {
    /// How the brokers are reached. `ssl` and `sasl-ssl` check their certificates and names
    #[arg(long, env = "CLINICWIRE_KAFKA_SECURITY", value_enum, default_value = "plaintext")]
    pub kafka_security: SecurityProtocol,
    /// File with the authorities that sign the brokers' certificates [default: the system's]
    #[arg(long, env = "CLINICWIRE_KAFKA_CA", value_name = "FILE")]
    pub kafka_ca: Option<PathBuf>,
    /// How the login proves its password: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
    #[arg(long, env = "CLINICWIRE_KAFKA_MECHANISM", default_value = "SCRAM-SHA-512")]
    pub kafka_mechanism: SaslMechanism,
    /// User of the brokers, for `sasl-ssl` and `sasl-plaintext`
    #[arg(long, env = "CLINICWIRE_KAFKA_USER")]
    pub kafka_user: Option<String>,
    /// File with the password of the user
    #[arg(long, env = "CLINICWIRE_KAFKA_PASSWORD_FILE", value_name = "FILE")]
    #[arg(value_parser = Secret::from_file)]
    pub kafka_password_file: Option<Secret>,
    /// Password of the user. Give it by the environment, or better by --kafka-password-file: others
    /// can see the command line
    #[arg(long, env = "CLINICWIRE_KAFKA_PASSWORD", value_name = "WORD", hide_env_values = true)]
    #[arg(conflicts_with = "kafka_password_file")]
    pub kafka_password: Option<Secret>,
}

impl KafkaSecurityArgs {
    fn password(&self) -> Option<&Secret> {
        self.kafka_password_file.as_ref().or(self.kafka_password.as_ref())
    }

    fn security(&self) -> KafkaSecurity {
        let login = self.kafka_user.as_ref().zip(self.password()).map(|(user, password)| {
            let (user, password) = (user.clone(), password.clone());
            KafkaLogin { mechanism: self.kafka_mechanism, user, password }
        });
        KafkaSecurity { protocol: self.kafka_security, ca_file: self.kafka_ca.clone(), login }
    }

    fn validate(&self, faults: &mut Faults) {
        let protocol = self.kafka_security;
        if protocol.has_tls() {
            faults.check("--kafka-ca", client_config(self.kafka_ca.as_deref()));
        }
        let has_login = self.kafka_user.is_some() && self.password().is_some();
        if protocol.has_login() && !has_login {
            let problem = "a login needs --kafka-user and --kafka-password-file";
            faults.add("--kafka-user", problem);
        } else if !protocol.has_login() && self.kafka_user.is_some() {
            let problem = "a user is given, but --kafka-security is neither sasl-ssl nor \
                sasl-plaintext";
            faults.add("--kafka-user", problem);
        }
    }
}

/// Longest topic name that Kafka accepts.
const LONGEST_TOPIC_NAME: usize = 249;

impl KafkaArgs {
    /// The cluster that a program uses under this name.
    pub fn cluster(&self, client_id: &'static str) -> KafkaCluster {
        let topics = Topics {
            care: self.care_topic.clone(),
            runs: self.runs_topic.clone(),
            views: self.views_topic.clone(),
            audit: self.audit_topic.clone(),
            events: self.events_topic.clone(),
            access: self.access_topic.clone(),
        };
        let security = self.security.security();
        KafkaCluster { brokers: self.kafka.clone(), client_id, topics, security }
    }

    /// Adds what is wrong with these settings to `faults`.
    pub fn validate(&self, faults: &mut Faults) {
        for broker in self.kafka.split(',') {
            let is_address = broker.trim().rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
            });
            if !is_address {
                faults.add("--kafka", format!("`{broker}` is not host:port"));
            }
        }
        self.security.validate(faults);
        let topics = [
            ("--care-topic", &self.care_topic),
            ("--runs-topic", &self.runs_topic),
            ("--views-topic", &self.views_topic),
            ("--audit-topic", &self.audit_topic),
            ("--events-topic", &self.events_topic),
            ("--access-topic", &self.access_topic),
        ];
        for (index, (flag, name)) in topics.into_iter().enumerate() {
            validate_topic(flag, name, faults);
            if let Some((other, _)) = topics[..index].iter().find(|(_, other)| *other == name) {
                faults.add(flag, format!("the topic `{name}` is also given by {other}"));
            }
        }
    }
}

/// Checks that Kafka accepts `name` as the name of a topic.
pub fn validate_topic(flag: &str, name: &str, faults: &mut Faults) {
    let is_legal = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let is_name = !name.is_empty() && name != "." && name != ".." && name.chars().all(is_legal);
    if !is_name || name.len() > LONGEST_TOPIC_NAME {
        faults.add(flag, format!("`{name}` is not the name of a topic"));
    }
}

/// The flag of Redis.
#[derive(Debug, Args)]
pub struct RedisArgs {
    /// Redis, as `redis://user:password@host:port`
    ///
    /// With `rediss://` it is reached by TLS, and its certificate is checked by the system's
    /// authorities, or by those in the file of `?ca_file=`. `?password_file=` names a file with the
    /// password.
    #[arg(
        long,
        env = "CLINICWIRE_REDIS",
        hide_env_values = true,
        default_value = "redis://127.0.0.1:6379"
    )]
    pub redis: String,
}

impl RedisArgs {
    /// Adds what is wrong with these settings to `faults`.
    pub fn validate(&self, faults: &mut Faults) {
        faults.check("--redis", redis::check_url(&self.redis));
    }
}

/// The flag of PostgreSQL.
#[derive(Debug, Args)]
pub struct PostgresArgs {
    /// PostgreSQL, as `postgres://user:password@host:port/database`
    ///
    /// With `?sslmode=verify-full` it is reached by TLS, and its certificate is checked by the
    /// system's authorities, or by those in the file of `&sslrootcert=`. `&password_file=` names a
    /// file with the password.
    ///
    /// The login of a gateway needs the role clinicwire_gateway, the login of a processor or worker
    /// the role clinicwire_processor. `prepare` logs in as the owner of the schema.
    #[arg(
        long,
        env = "CLINICWIRE_POSTGRES",
        hide_env_values = true,
        default_value = "postgres://127.0.0.1:5432/clinicwire"
    )]
    pub postgres: String,
    /// Accept a login that owns the tables or is a superuser
    ///
    /// Such a login can leave its role and read every tenant. Never use it where there are
    /// patients.
    #[arg(long, env = "CLINICWIRE_INSECURE_POSTGRES_LOGIN")]
    pub insecure_postgres_login: bool,
}

impl PostgresArgs {
    /// Which logins these settings accept.
    pub fn login_policy(&self) -> LoginPolicy {
        if self.insecure_postgres_login { LoginPolicy::Any } else { LoginPolicy::Limited }
    }

    /// Adds what is wrong with these settings to `faults`.
    pub fn validate(&self, faults: &mut Faults) {
        faults.check("--postgres", postgres::check_url(&self.postgres));
    }
}

/// The flag of the file store.
#[derive(Debug, Args)]
pub struct FileStoreArgs {
    /// Where uploaded claims files are kept until they are checked: `file:///directory`, or
    /// `s3://bucket/prefix` with the usual AWS_* variables. The same for gateways and workers
    #[arg(long, env = "CLINICWIRE_FILES", default_value = "file:///var/lib/clinicwire/files")]
    pub files: String,
}

impl FileStoreArgs {
    /// Adds what is wrong with these settings to `faults`.
    pub fn validate(&self, faults: &mut Faults) {
        faults.check("--files", FileStoreUrl::parse(&self.files));
    }
}

/// The flags of the tables that rules use.
#[derive(Debug, Args)]
pub struct TableArgs {
    /// Table of billing codes that rules use, as CSV. The same for gateways and workers
    #[arg(long, env = "CLINICWIRE_CODES", value_name = "FILE")]
    pub codes: Option<PathBuf>,
    /// Table of establishments that rules use, as CSV. The same for gateways and workers
    #[arg(long, env = "CLINICWIRE_ESTABLISHMENTS", value_name = "FILE")]
    pub establishments: Option<PathBuf>,
}

impl TableArgs {
    /// Reads the tables. A table that is not given is empty.
    ///
    /// # Errors
    /// When a file cannot be read or is not such a table.
    pub fn tables(&self) -> anyhow::Result<Tables> {
        let open = |file: Option<&Path>| -> anyhow::Result<Box<dyn Read>> {
            let Some(file) = file else { return Ok(Box::new(io::empty())) };
            let opened =
                fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
            Ok(Box::new(opened))
        };
        let codes = open(self.codes.as_deref())?;
        let establishments = open(self.establishments.as_deref())?;
        Tables::read(codes, establishments).context("check --codes and --establishments")
    }

    /// Reads the tables one by one, so that each fault names its flag.
    pub fn validate(&self, faults: &mut Faults) {
        let Self { codes, establishments } = self;
        let alone = [
            ("--codes", Self { codes: codes.clone(), establishments: None }),
            ("--establishments", Self { codes: None, establishments: establishments.clone() }),
        ];
        for (flag, table) in alone {
            faults.check(flag, table.tables());
        }
    }
}
