use gateway_core::access::{Origin, Role};
use proptest::prelude::*;

use super::{
    buckets::MAX_CLIENTS,
    table::{LimitValue, Scope},
    *,
};
use crate::backends::short_keys::fake::{Answers, FakeKeys};

fn limits(changes: &[&str], keys: Arc<FakeKeys>) -> Limits {
    let changes: Vec<_> = changes.iter().map(|change| change.parse().unwrap()).collect();
    Limits::new(LimitSettings::default().changed(&changes), keys, Arc::new(Metrics::new()))
}

impl Limits {
    /// The key of a client of no tenant.
    fn key(&self, client: impl std::hash::Hash) -> LimitKey {
        LimitKey { client: self.hasher.hash_one(client), tenant: 0 }
    }

    /// Limits of a node whose shared keys allow everything.
    pub(crate) fn without_sharing(settings: LimitSettings) -> Self {
        Self::new(settings, FakeKeys::new(Answers::Allow), Arc::new(Metrics::new()))
    }
}

fn claims(subject: &str) -> Claims {
    Claims {
        tenant: TenantId::new("demo").unwrap(),
        subject: subject.into(),
        role: Role::Reception,
        locations: Vec::new(),
        queues: Vec::new(),
        tickets: Vec::new(),
        appointments: Vec::new(),
        doctor: None,
        expires: 0,
        origin: Origin::default(),
    }
}

async fn allowed(limits: &Limits, subject: &str) -> usize {
    let mut count = 0;
    while count < 1000 && limits.spend_shared(Limit::Desk, &claims(subject)).await.is_ok() {
        count += 1;
    }
    count
}

#[tokio::test(start_paused = true)]
async fn subjects_spend_quotas_of_their_own() {
    let limits = limits(&["desk=5/60"], FakeKeys::new(Answers::Allow));
    assert_eq!(allowed(&limits, "one").await, 5);
    assert_eq!(allowed(&limits, "two").await, 5);
    tokio::time::advance(Duration::from_secs(24)).await;
    assert_eq!(allowed(&limits, "one").await, 2);
    let text = limits.metrics.text(&Default::default());
    assert!(text.contains("clinicwire_limited_total{limit=\"desk\"} 3"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn other_nodes_spend_the_same_quota() {
    let refused =
        limits(&[], FakeKeys::new(Answers::Refuse)).spend_shared(Limit::Desk, &claims("one")).await;
    let refusal = refused.unwrap_err();
    assert_eq!((refusal.limit, refusal.retry_after.as_secs()), (Limit::Desk, 9));
}

#[tokio::test(start_paused = true)]
async fn node_limits_alone_while_shared_keys_fail_or_hang() {
    for hangs in [false, true] {
        let keys = FakeKeys::new(if hangs { Answers::Hang } else { Answers::Fail });
        let limits = limits(&["desk=5/60"], keys.clone());
        let began = Instant::now();
        assert_eq!(allowed(&limits, "one").await, 5, "hangs: {hangs}");
        assert_eq!(keys.asked(), 1, "asked once in a pause");
        assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
        tokio::time::advance(Duration::from_secs(12)).await;
        assert_eq!(allowed(&limits, "one").await, 1);
        assert_eq!(keys.asked(), 2, "asked again after the pause");
    }
}

#[tokio::test(start_paused = true)]
async fn memory_of_clients_is_bounded_and_swept() {
    let limits = limits(&["address-requests=2/60"], FakeKeys::new(Answers::Allow));
    for client in 0..3 * MAX_CLIENTS {
        assert!(limits.spend(Limit::AddressRequests, limits.key(client)).is_ok());
        assert!(limits.buckets.client_count(Limit::AddressRequests) <= MAX_CLIENTS);
    }
    tokio::time::advance(Duration::from_secs(60)).await;
    for client in 0..MAX_CLIENTS {
        assert!(limits.spend(Limit::AddressRequests, limits.key(("new", client))).is_ok());
    }
    // The clients of the minute before are gone, and a spent quota is remembered.
    assert!(limits.buckets.client_count(Limit::AddressRequests) <= MAX_CLIENTS);
    let last = limits.key(("new", MAX_CLIENTS - 1));
    assert!(limits.spend(Limit::AddressRequests, last).is_ok());
    assert!(limits.spend(Limit::AddressRequests, last).is_err());
}

#[tokio::test]
async fn places_are_counted_by_client_and_freed() {
    let limits = limits(&["uploads-tenant=2"], FakeKeys::new(Answers::Allow));
    let key = limits.key("one");
    let first = limits.place(Limit::UploadsOfTenant, key).unwrap_or_else(|_| panic!("a place"));
    let second = limits.place(Limit::UploadsOfTenant, key);
    let refusal = limits.place(Limit::UploadsOfTenant, key).err().unwrap();
    assert_eq!((refusal.limit, refusal.rate), (Limit::UploadsOfTenant, None));
    assert!(limits.place(Limit::UploadsOfTenant, limits.key("two")).is_ok());
    assert!(limits.place(Limit::UploadsOfSubject, key).is_ok());
    drop(first);
    assert!(limits.place(Limit::UploadsOfTenant, key).is_ok());
    drop(second);
    assert_eq!(limits.places.holder_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn checks_refuse_what_notes_have_spent() {
    let limits = limits(&["failures=3/60"], FakeKeys::new(Answers::Allow));
    let key = limits.key("one");
    for _ in 0..3 {
        assert!(limits.check(Limit::Failures, key).is_ok());
        limits.note(Limit::Failures, key);
    }
    for _ in 0..100 {
        limits.note(Limit::Failures, key);
    }
    assert!(limits.check(Limit::Failures, key).is_err());
    tokio::time::advance(Duration::from_secs(20)).await;
    assert!(limits.check(Limit::Failures, key).is_ok());
}

/// The page of all limits, as this table says it. `CLINICWIRE_WRITE_DOCUMENTS=1` writes it.
#[test]
fn page_of_limits_is_generated_from_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/limits.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once(START).expect("the page has the start of the table");
    let (_, after) = rest.split_once(END).expect("the page has the end of the table");
    let expected = format!("{before}{START}{}{END}{after}", rows());
    if std::env::var_os("CLINICWIRE_WRITE_DOCUMENTS").is_some() {
        std::fs::write(path, expected).unwrap();
    } else {
        assert_eq!(page, expected, "write it with CLINICWIRE_WRITE_DOCUMENTS=1");
    }
}

const START: &str = "<!-- generated: limits -->\n";
const END: &str = "<!-- end -->\n";

fn rows() -> String {
    let mut text = "\n| name | counts | for each | default | code | why |\n".to_owned();
    text.push_str("|---|---|---|---|---|---|\n");
    for limit in Limit::ALL {
        let value = match limit.default() {
            LimitValue::Rate(quota) => format!("{} in {} s", quota.count(), quota.window_s()),
            LimitValue::Places(places) => format!("{places} at once"),
            LimitValue::Fixed(text) => format!("{text}, fixed"),
        };
        let name = limit.name();
        let code = match limit.default() {
            LimitValue::Fixed(_) => "[below](#bounds-of-one-socket)".to_owned(),
            LimitValue::Rate(_) | LimitValue::Places(_) => format!("`{}`", limit.code()),
        };
        let (what, scope, why) = (limit.what(), limit.scope().text(), limit.why());
        text.push_str(&format!("| `{name}` | {what} | {scope} | {value} | {code} | {why} |\n"));
    }
    text.push('\n');
    text
}

#[test]
fn only_http_rates_of_subjects_are_shared() {
    for limit in Limit::ALL {
        let is_rate = matches!(limit.default(), LimitValue::Rate(_));
        assert!(limit.scope() != Scope::SubjectEverywhere || is_rate, "{}", limit.name());
    }
}

proptest! {
    /// Nobody ever holds more places than allowed, and freed places leave no entry behind.
    #[test]
    fn places_never_exceed_their_bound(
        steps in prop::collection::vec((0u8..4, any::<bool>()), 0..200),
    ) {
        let limits = Limits::without_sharing(
            LimitSettings::default().changed(&["uploads-tenant=3".parse().unwrap()]),
        );
        let mut held: Vec<(u8, Place)> = Vec::new();
        for (client, takes) in steps {
            let count = held.iter().filter(|(holder, _)| *holder == client).count();
            if takes {
                let place = limits.place(Limit::UploadsOfTenant, limits.key(client));
                prop_assert_eq!(place.is_ok(), count < 3);
                held.extend(place.ok().map(|place| (client, place)));
            } else if let Some(at) = held.iter().position(|(holder, _)| *holder == client) {
                held.swap_remove(at);
            }
        }
        drop(held);
        prop_assert_eq!(limits.places.holder_count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_of_an_address_are_held_back_for_longer_the_more_there_are() {
    let limits = limits(&[], FakeKeys::new(Answers::Allow));
    let [crowded, other] = [1, 2].map(|last| {
        limits
            .address_key(crate::client_address::ClientAddress::new([10, 0, 0, last].into()).group())
    });
    let took = async |held: usize, address| {
        let began = Instant::now();
        let refusals = (0..held).map(|_| limits.hold_back(crowded));
        let last = async {
            let began = Instant::now();
            limits.hold_back(address).await;
            began.elapsed()
        };
        let (_, last) = tokio::join!(futures_util::future::join_all(refusals), last);
        (last, began.elapsed())
    };
    assert_eq!(took(0, crowded).await.0, Duration::from_millis(100));
    assert_eq!(took(100, crowded).await.0, Duration::from_millis(600));
    assert_eq!(took(100, other).await.0, Duration::from_millis(100));
    assert_eq!(took(5000, crowded).await.1, Duration::from_secs(10));
    assert_eq!(took(0, crowded).await.0, Duration::from_millis(100), "nothing is left behind");
}

#[test]
fn limits_of_a_tenant_replace_those_of_the_installation() {
    let limits = Limits::without_sharing(LimitSettings::default());
    let [small, other] = ["small", "other"].map(|id| TenantId::new(id).unwrap());
    let own = |pairs: &[(&str, &str)]| {
        let own = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        limits.set_tenant(&small, &pairs.iter().map(own).collect());
    };
    let spend = |tenant| {
        let key = limits.subject_key(tenant, "ann");
        (0..4).filter(|_| limits.spend(Limit::Desk, key).is_ok()).count()
    };
    own(&[("desk", "2/60"), ("uploads-tenant", "1"), ("rest", "off"), ("no-such", "1")]);
    assert_eq!((spend(&small), spend(&other)), (2, 4));
    let place = |tenant| limits.place(Limit::UploadsOfTenant, limits.tenant_key(tenant));
    let _held = place(&small).unwrap();
    assert_eq!(place(&small).err().map(|refusal| refusal.code()), Some(Code::TooManyUploads));
    let _others = [place(&other).unwrap(), place(&other).unwrap()];
    assert_eq!(limits.spend(Limit::Rest, limits.subject_key(&small, "ann")), Ok(None), "off");
    own(&[]);
    let _again = place(&small).expect("the installation's limit counts again");
}

#[test]
fn tenant_has_no_limits_of_addresses_and_nodes() {
    for (name, value, is_good) in [
        ("desk", "900/60", true),
        ("connections-tenant", "500", true),
        ("queued-runs", "off", true),
        ("desk", "900", false),
        ("connections", "5", false),
        ("address-requests", "5/1", false),
        ("commands", "5/1", false),
        ("all", "off", false),
        ("nothing", "1", false),
    ] {
        assert_eq!(settings::own_limit(name, value).is_ok(), is_good, "{name}={value}");
    }
}
