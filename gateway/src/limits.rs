//! Limits of what one client may ask of a node: rates and places, per subject, tenant and address.
//! Every limit, with its default and its reason, is a row of `limits/table.rs`.

pub(crate) mod admission;
pub(crate) mod places;
pub mod settings;
pub(crate) mod table;

mod buckets;
mod shared;

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, RandomState},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use gateway_core::access::Claims;
use schemas::{codes::Code, ids::TenantId, tenant::INSTALLATION};
use tokio::time::Instant;

pub(crate) use self::table::Limit;
use self::{
    buckets::Buckets,
    places::{Place, Places},
    settings::{LimitSettings, installation_limit, own_limit},
    shared::SharedQuotas,
    table::LimitValue,
};
use crate::{
    backends::{
        quota::{Moment, Quota, Spent},
        short_keys::ShortKeys,
    },
    client_address::AddressGroup,
    metrics::Metrics,
};

/// When a client that found no place may ask again. Places are free within moments; the number only
/// keeps programs from asking in a loop.
const PLACE_RETRY: Duration = Duration::from_secs(1);

/// How long the refusal of a limit is held back. A client that repeats a refused request in a loop
/// then has ten answers a second on each connection, and not thousands; a person does not notice.
const REFUSAL_DELAY: Duration = Duration::from_millis(100);
/// The further delay for each refusal of the same address that is held back already: an address has
/// 200 refusals a second, on however many connections, because each costs the check of a token.
const REFUSAL_STEP: Duration = Duration::from_millis(5);
/// The longest time: less than clients wait for an answer.
const LONGEST_REFUSAL_DELAY: Duration = Duration::from_secs(10);

/// The client by which a limit counts: hashes that are different on each node and at each start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LimitKey {
    client: u64,
    /// The hash of the client's tenant. 0 for limits that count no tenant.
    tenant: u64,
}

/// A request that a rate allowed or refused: what `RateLimit` says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateState {
    pub limit: Limit,
    pub quota: Quota,
    pub spent: Spent,
}

/// A request that a limit refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitRefusal {
    pub limit: Limit,
    pub retry_after: Duration,
    /// The state of the rate. `None` for places.
    pub rate: Option<RateState>,
}

impl LimitRefusal {
    pub fn code(&self) -> Code {
        self.limit.code()
    }
}

impl From<LimitRefusal> for Code {
    fn from(refusal: LimitRefusal) -> Code {
        refusal.code()
    }
}

/// The limits of a node, and the spent rates and held places of its clients.
pub(crate) struct Limits {
    settings: LimitSettings,
    /// The limits that super admins have changed for a tenant, by the hash of the tenant.
    of_tenants: RwLock<HashMap<u64, OwnLimits>>,
    /// The limits that super admins have changed for the whole installation.
    of_installation: RwLock<OwnLimits>,
    buckets: Buckets,
    places: Arc<Places>,
    shared: SharedQuotas,
    hasher: RandomState,
    started: Instant,
    metrics: Arc<Metrics>,
}

impl Limits {
    pub fn new(
        settings: LimitSettings,
        short_keys: Arc<dyn ShortKeys>,
        metrics: Arc<Metrics>,
    ) -> Self {
        // An alert on an increase needs the zero before it.
        for limit in Limit::ALL {
            metrics.show_limit(limit.name());
        }
        Self {
            settings,
            of_tenants: RwLock::default(),
            of_installation: RwLock::default(),
            buckets: Buckets::default(),
            places: Arc::default(),
            shared: SharedQuotas::new(short_keys),
            hasher: RandomState::new(),
            started: Instant::now(),
            metrics,
        }
    }

    pub fn settings(&self) -> &LimitSettings {
        &self.settings
    }

    pub fn subject_key(&self, tenant: &TenantId, subject: &str) -> LimitKey {
        let client = self.hasher.hash_one((tenant.as_str(), subject));
        LimitKey { client, tenant: self.tenant_hash(tenant) }
    }

    pub fn tenant_key(&self, tenant: &TenantId) -> LimitKey {
        let tenant = self.tenant_hash(tenant);
        LimitKey { client: tenant, tenant }
    }

    pub fn address_key(&self, address: AddressGroup) -> LimitKey {
        LimitKey { client: self.hasher.hash_one(address), tenant: 0 }
    }

    /// The key of limits that count all clients of the node together.
    pub fn node_key(&self) -> LimitKey {
        LimitKey { client: 0, tenant: 0 }
    }

    fn tenant_hash(&self, tenant: &TenantId) -> u64 {
        self.hasher.hash_one(tenant.as_str())
    }

    /// Replaces the limits that a tenant has of its own, or those of the whole installation. What
    /// this version does not understand is left out: a gateway of another version has accepted it.
    pub fn set_tenant(&self, tenant: &TenantId, limits: &BTreeMap<String, String>) {
        if tenant.as_str() == INSTALLATION {
            let limits = understood(limits, installation_limit);
            *self.of_installation.write().unwrap_or_else(PoisonError::into_inner) = limits;
            return;
        }
        let limits = understood(limits, own_limit);
        let mut of_tenants = self.of_tenants.write().unwrap_or_else(PoisonError::into_inner);
        match limits.is_empty() {
            true => drop(of_tenants.remove(&self.tenant_hash(tenant))),
            false => drop(of_tenants.insert(self.tenant_hash(tenant), limits)),
        }
    }

    /// The value of a limit for this client. `None` is off.
    fn value(&self, limit: Limit, key: LimitKey) -> Option<LimitValue> {
        let of_tenants = self.of_tenants.read().unwrap_or_else(PoisonError::into_inner);
        let own = of_tenants.get(&key.tenant).and_then(|limits| limits.get(&limit));
        if let Some(own) = own {
            return *own;
        }
        drop(of_tenants);
        self.of_all(limit)
    }

    /// The value of a limit for all tenants that have no other. `None` is off.
    pub fn of_all(&self, limit: Limit) -> Option<LimitValue> {
        let changed = self.of_installation.read().unwrap_or_else(PoisonError::into_inner);
        changed.get(&limit).copied().unwrap_or_else(|| self.settings.value(limit))
    }

    fn quota(&self, limit: Limit, key: LimitKey) -> Option<Quota> {
        match self.value(limit, key)? {
            LimitValue::Rate(quota) => Some(quota),
            LimitValue::Places(_) | LimitValue::Fixed(_) => None,
        }
    }

    /// The number of places that this client may hold. `None` is off.
    pub fn places(&self, limit: Limit, key: LimitKey) -> Option<u32> {
        match self.value(limit, key)? {
            LimitValue::Places(places) => Some(places),
            LimitValue::Rate(_) | LimitValue::Fixed(_) => None,
        }
    }

    fn now(&self) -> Moment {
        Moment::from_duration(self.started.elapsed())
    }

    /// Spends one request of a client on this node. `None` when the rate is off.
    ///
    /// # Errors
    /// The refusal, which is counted. A refused request spends nothing.
    pub fn spend(&self, limit: Limit, key: LimitKey) -> Result<Option<RateState>, LimitRefusal> {
        let Some(quota) = self.quota(limit, key) else { return Ok(None) };
        let spent = self.buckets.spend(limit, key, quota, self.now());
        self.judge(RateState { limit, quota, spent }).map(Some)
    }

    /// Like [`Limits::spend`], and on all nodes together. While the shared keys do not answer, the
    /// rate holds for each node alone.
    ///
    /// # Errors
    /// The refusal, which is counted.
    pub async fn spend_shared(
        &self,
        limit: Limit,
        claims: &Claims,
    ) -> Result<Option<RateState>, LimitRefusal> {
        let key = self.subject_key(&claims.tenant, &claims.subject);
        let Some(here) = self.spend(limit, key)? else { return Ok(None) };
        let tag = claims.owner_tag();
        match self.shared.spend(limit, &claims.tenant, tag, here.quota).await {
            Some(spent) => self.judge(RateState { spent, ..here }).map(Some),
            None => Ok(Some(here)),
        }
    }

    /// Whether the client could spend one more request. Nothing is spent.
    ///
    /// # Errors
    /// The refusal, which is counted.
    pub fn check(&self, limit: Limit, key: LimitKey) -> Result<(), LimitRefusal> {
        let Some(quota) = self.quota(limit, key) else { return Ok(()) };
        let spent = self.buckets.peek(limit, key, quota, self.now());
        self.judge(RateState { limit, quota, spent }).map(drop)
    }

    /// Spends a failed request without refusing anything: the next [`Limits::check`] does.
    pub fn note(&self, limit: Limit, key: LimitKey) {
        if let Some(quota) = self.quota(limit, key) {
            self.buckets.spend(limit, key, quota, self.now());
        }
    }

    fn judge(&self, state: RateState) -> Result<RateState, LimitRefusal> {
        match state.spent {
            Spent::Allowed { .. } => Ok(state),
            Spent::Refused { retry_after } => {
                self.metrics.limited(state.limit.name());
                Err(LimitRefusal { limit: state.limit, retry_after, rate: Some(state) })
            }
        }
    }

    /// Takes a place, which is freed when dropped.
    ///
    /// # Errors
    /// The refusal, which is counted, when the client has as many places as it may have.
    pub fn place(&self, limit: Limit, key: LimitKey) -> Result<Place, LimitRefusal> {
        let most = self.places(limit, key);
        self.places.take(limit, key, most).ok_or_else(|| self.refuse(limit))
    }

    /// The places that a client holds.
    pub fn held(&self, limit: Limit, key: LimitKey) -> u32 {
        self.places.held_by(limit, key)
    }

    /// Waits before a refusal is sent to a client of the address.
    pub async fn hold_back(&self, address: LimitKey) {
        // A rate holds no places of its own.
        let holder = Limit::AddressRequests;
        let delay = refusal_delay(self.held(holder, address));
        let _held = self.places.take(holder, address, None);
        tokio::time::sleep(delay).await;
    }

    /// Counts a refusal of a limit that is not a rate.
    pub fn refuse(&self, limit: Limit) -> LimitRefusal {
        self.metrics.limited(limit.name());
        LimitRefusal { limit, retry_after: PLACE_RETRY, rate: None }
    }
}

/// Limits that were changed while the node runs. `None` is off.
type OwnLimits = HashMap<Limit, Option<LimitValue>>;

fn understood(
    limits: &BTreeMap<String, String>,
    read: impl Fn(&str, &str) -> Result<(Limit, Option<LimitValue>), String>,
) -> OwnLimits {
    let read = |(name, value): (&String, &String)| match read(name, value) {
        Ok(change) => Some(change),
        Err(error) => {
            tracing::warn!(name, error, "a changed limit was left out");
            None
        }
    };
    limits.iter().filter_map(read).collect()
}

/// How long the next refusal is held back while `held` refusals of its address are.
fn refusal_delay(held: u32) -> Duration {
    (REFUSAL_DELAY + REFUSAL_STEP * held).min(LONGEST_REFUSAL_DELAY)
}

#[cfg(test)]
mod tests;
