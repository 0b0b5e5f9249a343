//! The arguments of the subcommands.

use std::{collections::BTreeSet, path::PathBuf};

use clap::Args;
use gateway_core::access::Role;
use schemas::ids::{
    AppointmentId, DoctorId, LocationId, QueueId, SourceId, StationId, TenantId, TicketId,
};

use crate::tokens::Tokens;

/// The gateway that a subcommand uses, and the token for it.
#[derive(Debug, Args)]
pub struct GatewayArgs {
    /// Address of the gateway
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        env = "CLINICWIRE_URL"
    )]
    pub url: String,

    /// File with the authorities that sign the gateway's certificate, in PEM form, for an
    /// `https://` address [default: those of this system]
    #[arg(long, value_name = "FILE", env = "CLINICWIRE_CA")]
    pub ca: Option<PathBuf>,

    /// Token [default: the token of a clinic that runs on this machine]
    #[arg(long, value_name = "TOKEN", env = "CLINICWIRE_TOKEN", hide_env_values = true)]
    pub token: Option<String>,

    /// Ready file of a clinic that was started with this flag
    #[arg(long, value_name = "PATH")]
    pub ready_file: Option<PathBuf>,
}

/// The role of a token, its claims, and the clinic that signed it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    curl -H \"Authorization: Bearer $(clinicwire token reception)\" \\\n    \
    http://127.0.0.1:8080/v1/boards/riverside\n  \
    clinicwire token pharmacist --insecure-development-key=WORDS --tenant north \\\n    \
    --location north --queue north.pharmacy\n\n\
    Without the key, this prints a token of a clinic that runs on this machine. With the key, \
    it\nsigns a token for any role, with the claims that you give. Gateways that were started with \
    \nthe same words accept it. Never use such a key with patient data.")]
pub struct TokenArgs {
    /// Who the token is for, such as reception, doctor or patient
    #[arg(value_parser = role_word)]
    pub role: String,

    /// Port that the clinic serves on
    #[arg(long, value_name = "PORT", default_value_t = 8080, conflicts_with = "ready_file")]
    pub port: u16,

    /// Ready file of a clinic that was started with this flag
    #[arg(long, value_name = "PATH")]
    pub ready_file: Option<PathBuf>,

    /// Sign the token with a key made from WORDS
    #[arg(long, value_name = "WORDS", require_equals = true)]
    #[arg(conflicts_with_all = ["port", "ready_file"])]
    pub insecure_development_key: Option<String>,

    #[command(flatten)]
    pub claims: ClaimArgs,
}

/// The claims of a token that is signed here.
#[derive(Debug, Default, Args)]
#[group(requires = "insecure_development_key")]
#[command(next_help_heading = "Claims of a token that is signed here")]
pub struct ClaimArgs {
    /// Organisation [default: demo]
    #[arg(long, value_name = "ID")]
    pub tenant: Option<TenantId>,

    /// Pseudonym of the person or program [default: the role]
    #[arg(long, value_name = "TEXT")]
    pub subject: Option<String>,

    /// Location where the person works; may be repeated
    #[arg(long = "location", value_name = "ID")]
    pub locations: Vec<LocationId>,

    /// Queue that the person serves; may be repeated
    #[arg(long = "queue", value_name = "ID")]
    pub queues: Vec<QueueId>,

    /// Ticket of a patient; may be repeated
    #[arg(long = "ticket", value_name = "ID")]
    pub tickets: Vec<TicketId>,

    /// Appointment of a patient; may be repeated
    #[arg(long = "appointment", value_name = "ID")]
    pub appointments: Vec<AppointmentId>,

    /// Id of the person in schedules
    #[arg(long, value_name = "ID")]
    pub doctor: Option<DoctorId>,

    /// Minutes until the token expires, up to a day [default: 60]
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u16).range(1..=1440))]
    pub expires_in: Option<u16>,
}

/// The file with the clinic.
#[derive(Debug, Args)]
#[command(after_help = "The file is JSON. Each value is the body of the PUT request for its id \
    (docs/setup.md).\nQueues in `open` issue tickets at once:\n\n  \
    {\n    \
    \"locations\": { \"north\": { \"name\": \"North\", \"time_zone\": \"UTC\", \"languages\": \
    [\"en\"] } },\n    \
    \"queues\": { \"north.general\": { \"name\": \"General\", \"prefix\": \"A\" } },\n    \
    \"stations\": { \"north.room-1\": { \"name\": \"Room 1\" } },\n    \
    \"check_in_points\": { \"north.door\": { \"name\": \"Door\", \"kind\": \"poster\" } },\n    \
    \"open\": [\"north.general\"]\n  \
    }\n\nSeeding again changes what differs.")]
pub struct SeedArgs {
    /// The file; `-` reads standard input
    pub file: PathBuf,

    #[command(flatten)]
    pub gateway: GatewayArgs,
}

/// The station that calls.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    clinicwire call-next riverside.room-1\n  \
    clinicwire call-next riverside.room-1 --queue riverside.general --force")]
pub struct CallNextArgs {
    /// The station to which the next person is called
    pub station: StationId,

    /// Call from this queue [default: the station's queues, in their order]
    #[arg(long, value_name = "ID")]
    pub queue: Option<QueueId>,

    /// Call although the person called before has not come, who then counts as absent
    #[arg(long)]
    pub force: bool,

    #[command(flatten)]
    pub gateway: GatewayArgs,
}

/// The channels to follow.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    clinicwire tail board:riverside\n  \
    clinicwire tail queue:riverside.general load:riverside --count 10 | jq .data\n\n\
    Each line is a message of the event stream, with `event` beside its data \
    (docs/api/asyncapi.json).\nA stream that ends is opened again and continues; Ctrl-C stops.")]
pub struct TailArgs {
    /// Channels such as board:riverside or queue:riverside.general
    #[arg(required = true, value_name = "CHANNEL")]
    pub channels: Vec<String>,

    /// Stop after so many messages
    #[arg(long, value_name = "NUMBER")]
    pub count: Option<u64>,

    #[command(flatten)]
    pub gateway: GatewayArgs,
}

/// The file to import.
#[derive(Debug, Args)]
#[command(after_help = "The first line names the columns. `key`, `location` and `status` are \
    required, and `version` or\n`updated_at`; `start`, `end`, `doctor`, `doctor_name`, `queue` and \
    `label` are optional. Times have\nthe form of RFC 3339:\n\n  \
    key,location,version,status,start,end,queue\n  \
    4711,north,1,booked,2026-11-30T09:00:00-05:00,2026-11-30T09:20:00-05:00,north.general\n\n\
    The token has the role source, and its subject is the name of the source. When a line cannot \
    be\nread, nothing is sent. A line that a clinic refuses is named, and the others are reported. \
    \nA line that was imported before changes nothing.")]
pub struct ImportArgs {
    /// The CSV file; `-` reads standard input
    pub file: PathBuf,

    #[command(flatten)]
    pub gateway: GatewayArgs,
}

/// Finds the role of a token that is signed here.
///
/// # Errors
/// A message for the name of a demo token that is not a role.
pub fn role(word: &str) -> anyhow::Result<Role> {
    let known = Role::ALL.into_iter().find(|role| role.as_str() == word);
    known
        .ok_or_else(|| anyhow::anyhow!("{word} is a token of the demo and not a role: use patient"))
}

/// Accepts a role, or the name of a demo token.
fn role_word(text: &str) -> Result<String, String> {
    let roles = || Role::ALL.iter().map(|role| role.as_str()).chain(Tokens::NAMES);
    if roles().any(|word| word == text) {
        return Ok(text.to_owned());
    }
    let words: BTreeSet<_> = roles().collect();
    Err(format!("the roles are {}", words.into_iter().collect::<Vec<_>>().join(", ")))
}

/// Checks the subject of a token of a source: the name of the source.
///
/// # Errors
/// A message that names the form.
pub fn check_subject(role: Role, subject: &str) -> anyhow::Result<()> {
    let is_good = role != Role::Source || SourceId::new(subject).is_ok();
    anyhow::ensure!(
        is_good,
        "--subject is the name of the source: small letters, digits and hyphens, and it does not \
         begin with clinicwire"
    );
    Ok(())
}
