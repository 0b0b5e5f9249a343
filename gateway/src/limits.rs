//! Limits of what one client may ask of a node: rates and places, per subject, tenant and address.
//! Every limit, with its default and its reason, is a row of `limits/table.rs`.

pub(crate) mod admission;
pub(crate) mod places;
pub mod settings;
pub(crate) mod table;

mod buckets;
mod shared;

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::Arc,
    time::Duration,
};

use gateway_core::access::Claims;
use schemas::{codes::Code, ids::TenantId};
use tokio::time::Instant;

pub(crate) use self::table::Limit;
use self::{
    buckets::Buckets,
    places::{Place, Places},
    settings::LimitSettings,
    shared::SharedQuotas,
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

/// The client by which a limit counts: a hash that is different on each node and at each start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LimitKey(u64);

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
        self.key((tenant.as_str(), subject))
    }

    pub fn tenant_key(&self, tenant: &TenantId) -> LimitKey {
        self.key(tenant.as_str())
    }

    pub fn address_key(&self, address: AddressGroup) -> LimitKey {
        self.key(address)
    }

    /// The key of limits that count all clients of the node together.
    pub fn node_key(&self) -> LimitKey {
        LimitKey(0)
    }

    fn key(&self, client: impl Hash) -> LimitKey {
        LimitKey(self.hasher.hash_one(client))
    }

    fn now(&self) -> Moment {
        Moment::from_duration(self.started.elapsed())
    }

    /// Spends one request of a client on this node. `None` when the rate is off.
    ///
    /// # Errors
    /// The refusal, which is counted. A refused request spends nothing.
    pub fn spend(&self, limit: Limit, key: LimitKey) -> Result<Option<RateState>, LimitRefusal> {
        let Some(quota) = self.settings.quota(limit) else { return Ok(None) };
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
        let Some(quota) = self.settings.quota(limit) else { return Ok(()) };
        let spent = self.buckets.peek(limit, key, quota, self.now());
        self.judge(RateState { limit, quota, spent }).map(drop)
    }

    /// Spends a failed request without refusing anything: the next [`Limits::check`] does.
    pub fn note(&self, limit: Limit, key: LimitKey) {
        if let Some(quota) = self.settings.quota(limit) {
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
        let most = self.settings.places(limit);
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

/// How long the next refusal is held back while `held` refusals of its address are.
fn refusal_delay(held: u32) -> Duration {
    (REFUSAL_DELAY + REFUSAL_STEP * held).min(LONGEST_REFUSAL_DELAY)
}

#[cfg(test)]
mod tests;
