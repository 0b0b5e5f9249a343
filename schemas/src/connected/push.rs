//! Alerts by Web Push: what a browser gives to subscribe, and which push services are accepted.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::ids::{Fingerprint, TicketId};

/// Longest address of a push service in bytes. Those of today's services have at most 500.
pub const MAX_ENDPOINT: usize = 1_000;

/// Most devices that one ticket alerts: a phone, that of a companion, and a tablet. One more is
/// refused as `too_many_devices`.
pub const MAX_DEVICES: usize = 3;

/// The push subscription of a browser (RFC 8030), with the keys that encrypt messages to it
/// (RFC 8291). `Debug` is left out on purpose: anyone who knows the address can send to the device.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct PushDevice {
    /// The address at the push service.
    pub endpoint: String,
    /// The keys, in base64url without padding.
    pub keys: PushKeys,
}

/// The keys of a subscription, as the Push API names them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct PushKeys {
    /// The public key of the browser: an uncompressed point on P-256, 65 bytes.
    pub p256dh: String,
    /// The authentication secret: 16 bytes.
    pub auth: String,
}

/// Characters of 65 and of 16 bytes in base64url.
const P256DH_LENGTH: usize = 87;
const AUTH_LENGTH: usize = 22;

impl PushDevice {
    /// The name of the device.
    pub fn id(&self) -> DeviceId {
        DeviceId::from_endpoint(&self.endpoint)
    }

    /// Whether address and keys have their form and length.
    pub fn is_plausible(&self) -> bool {
        let is_url_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_key = |key: &str, length| key.len() == length && key.bytes().all(is_url_base64);
        let PushKeys { p256dh, auth } = &self.keys;
        is_endpoint(&self.endpoint) && is_key(p256dh, P256DH_LENGTH) && is_key(auth, AUTH_LENGTH)
    }
}

/// Whether the text can be the address of a subscription: printable ASCII of bounded length.
pub fn is_endpoint(text: &str) -> bool {
    (1..=MAX_ENDPOINT).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The name of a device in journals and audits: a digest of its address, which itself is a key to
/// the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct DeviceId(Fingerprint);

impl DeviceId {
    /// The name of the device with this address.
    pub fn from_endpoint(endpoint: &str) -> Self {
        Self(Fingerprint::from_parts([b"push device".as_slice(), endpoint.as_bytes()]))
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DeviceId {
    type Err = crate::ids::InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// The kind of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// Few people are ahead.
    Near,
    /// The patient is called, or called again.
    Called,
    /// The place in line moved to another location.
    Moved,
}

impl AlertKind {
    /// Every kind.
    pub const ALL: [AlertKind; 3] = [AlertKind::Near, AlertKind::Called, AlertKind::Moved];

    /// The kind as messages, rows and metrics spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            AlertKind::Near => "near",
            AlertKind::Called => "called",
            AlertKind::Moved => "moved",
        }
    }
}

impl FromStr for AlertKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

/// The message that a device decrypts. The page stored the words of its language on the device, so
/// that the message is small and the server needs no texts.
#[derive(Serialize, Deserialize)]
pub struct AlertMessage {
    /// The kind of the alert.
    pub kind: AlertKind,
    /// The ticket, under whose id the page stored its words.
    pub ticket: TicketId,
    /// The label that the board shows.
    pub label: String,
    /// The name of the room, for a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
}

/// The push services of the browsers in use. Each hosts its own devices alone.
pub const KNOWN_SERVICES: &str = "fcm.googleapis.com,*.push.services.mozilla.com,\
     web.push.apple.com,*.notify.windows.com";

/// A push service to which messages may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushService {
    /// `host` or `*.domain`: by HTTPS on its standard port, and never at a private address.
    Host(String),
    /// `scheme://host` with or without a port: this server, wherever it is. Plain HTTP is for
    /// tests.
    Origin(String),
}

impl FromStr for PushService {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim().to_ascii_lowercase();
        if let Some((scheme, rest)) = text.split_once("://") {
            let is_origin = matches!(scheme, "https" | "http") && is_authority(rest);
            return is_origin.then_some(Self::Origin(text)).ok_or("not an origin");
        }
        let host = text.strip_prefix("*.").unwrap_or(&text);
        // A last label of letters rules out addresses.
        let is_name = host.split('.').count() > 1
            && host.split('.').all(|label| !label.is_empty() && label.bytes().all(is_host_byte))
            && host.bytes().next_back().is_some_and(|byte| byte.is_ascii_alphabetic());
        is_name.then_some(Self::Host(text)).ok_or("not a host name, *.domain or origin")
    }
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

fn is_authority(text: &str) -> bool {
    let is_byte = |byte: u8| is_host_byte(byte) || matches!(byte, b'.' | b':' | b'[' | b']');
    !text.is_empty() && text.bytes().all(is_byte)
}

/// The accepted push services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushServices(pub Vec<PushService>);

/// The push services of the browsers in use.
impl Default for PushServices {
    fn default() -> Self {
        let known = KNOWN_SERVICES.split(',').map(str::parse);
        Self(known.collect::<Result<_, _>>().expect("the known services are host names"))
    }
}

impl PushServices {
    /// The service of this address, if it is accepted.
    pub fn service_of(&self, endpoint: &str) -> Option<&PushService> {
        let (origin, host) = origin_of(endpoint)?;
        self.0.iter().find(|service| match service {
            PushService::Origin(accepted) => *accepted == origin,
            PushService::Host(accepted) => {
                let is_there = match accepted.strip_prefix("*.") {
                    Some(domain) => host
                        .strip_suffix(domain)
                        .is_some_and(|before| before.len() > 1 && before.ends_with('.')),
                    None => *accepted == host,
                };
                origin.starts_with("https://") && is_there
            }
        })
    }
}

/// The origin of an address in lower case, and its authority: host, and port unless it is the
/// standard one of HTTPS. `None` for anything but a plain address: a name before `@`, a backslash
/// or an empty path could be read differently by another parser.
pub fn origin_of(endpoint: &str) -> Option<(String, String)> {
    let (scheme, rest) = endpoint.split_once("://")?;
    let (authority, path) = rest.split_once('/')?;
    let scheme = scheme.to_ascii_lowercase();
    let is_plain = is_endpoint(endpoint)
        && matches!(&*scheme, "https" | "http")
        && is_authority(authority)
        && !path.is_empty()
        && !endpoint.contains(['\\', '@', '#']);
    let authority = authority.to_ascii_lowercase();
    let host = match &*scheme {
        "https" => authority.strip_suffix(":443").unwrap_or(&authority).to_owned(),
        _ => authority,
    };
    is_plain.then(|| (format!("{scheme}://{host}"), host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_services_are_accepted() {
        let services = PushServices::default();
        for (endpoint, is_accepted) in [
            ("https://fcm.googleapis.com/fcm/send/abc:def", true),
            ("https://FCM.googleapis.com:443/wp/abc", true),
            ("https://updates.push.services.mozilla.com/wpush/v2/x", true),
            ("https://web.push.apple.com/QOz", true),
            ("https://wns2-par02p.notify.windows.com/w/?token=BQ%2b", true),
            ("http://fcm.googleapis.com/wp/abc", false),
            ("https://fcm.googleapis.com:8443/wp/abc", false),
            ("https://fcm.googleapis.com", false),
            ("https://fcm.googleapis.com/", false),
            ("https://user@fcm.googleapis.com/x", false),
            ("https://fcm.googleapis.com\\@evil.example/x", false),
            ("https://fcm.googleapis.com#@evil.example/x", false),
            ("https://evil.example/fcm.googleapis.com/x", false),
            ("https://evilfcm.googleapis.com/x", false),
            ("https://push.services.mozilla.com/x", false),
            ("https://.push.services.mozilla.com/x", false),
            ("https://push.services.mozilla.com.evil.example/x", false),
            ("https://169.254.169.254/latest/meta-data", false),
            ("https://[::1]/x", false),
            ("https://localhost/x", false),
            ("file:///etc/passwd", false),
            ("", false),
        ] {
            assert_eq!(services.service_of(endpoint).is_some(), is_accepted, "{endpoint}");
        }
    }

    #[test]
    fn origin_is_accepted_with_its_scheme_and_port() {
        let services = PushServices(vec!["http://127.0.0.1:9000".parse().unwrap()]);
        assert!(services.service_of("http://127.0.0.1:9000/notify/1").is_some());
        for other in ["http://127.0.0.1:9001/x", "https://127.0.0.1:9000/x", "http://127.0.0.1/x"] {
            assert_eq!(services.service_of(other), None, "{other}");
        }
    }

    #[test]
    fn addresses_are_no_host_names() {
        for bad in ["127.0.0.1", "*.0.0.1", "localhost", "*", "", "a..b", "ftp://a.b", "a b.c"] {
            assert!(bad.parse::<PushService>().is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_have_their_lengths() {
        let device = |p256dh: usize, auth: usize| PushDevice {
            endpoint: "https://push.example/1".to_owned(),
            keys: PushKeys { p256dh: "A".repeat(p256dh), auth: "A".repeat(auth) },
        };
        assert!(device(P256DH_LENGTH, AUTH_LENGTH).is_plausible());
        assert!(!device(P256DH_LENGTH + 1, AUTH_LENGTH).is_plausible());
        assert!(!device(P256DH_LENGTH, AUTH_LENGTH - 1).is_plausible());
        let long = "a".repeat(MAX_ENDPOINT + 1);
        assert!(!is_endpoint(&long) && !is_endpoint("") && !is_endpoint("a b"));
    }

    #[test]
    fn address_of_a_service_is_plain_and_has_one_form() {
        let both = |endpoint: &str| origin_of(endpoint);
        let found = |origin: &str, host: &str| Some((origin.to_owned(), host.to_owned()));
        assert_eq!(
            both("HTTPS://Push.Example:443/X"),
            found("https://push.example", "push.example")
        );
        assert_eq!(both("http://a.example:80/x"), found("http://a.example:80", "a.example:80"));
        for bad in ["ftp://a.example/x", "https:///x", "https://a b/x", "https://a.example/\n"] {
            assert_eq!(both(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_of_kinds_and_devices_are_read_again() {
        for kind in AlertKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert_eq!("eaten".parse::<AlertKind>(), Err(()));
        let device = DeviceId::from_endpoint("https://push.example/x");
        assert_eq!(device.to_string().parse::<DeviceId>().unwrap(), device);
        assert_eq!(serde_json::to_value(device).unwrap(), device.to_string());
    }
}
