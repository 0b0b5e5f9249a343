//! The revocations and the tenants that a node knows: all of `clinicwire.access.v1`,
//! bounded, in memory.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use gateway_core::access::{Claims, Origin, Role};
use schemas::{
    Millis,
    access::{MAX_TOKEN_LIFE_MS, Revocation, RevocationTag, TargetKind, TenantStatus},
    codes::Code,
    ids::TenantId,
    tenant::{INSTALLATION, StoredTenant},
};

/// Revocations that are held for one tenant. A clinic of a thousand people revokes a few dozen a
/// day, and each is held for as long as a token can live. Past this number the older half is
/// replaced by its last moment: every token of the tenant that was issued before it must be
/// replaced by a newer one.
const MAX_OF_TENANT: usize = 20_000;
/// Revocations that a node holds, at 32 bytes each. Past it, the tenant with the most is treated as
/// above.
const MAX_OF_NODE: usize = 500_000;
/// Time between two removals of revocations that outlived every token.
const PRUNE_INTERVAL_MS: Millis = 60_000;

/// The revocations of all tenants.
#[derive(Default)]
pub struct Revocations {
    held: RwLock<RevocationTable>,
    /// Changes with each revocation, so that shards notice new ones without the lock.
    generation: AtomicU64,
    is_read: AtomicBool,
    /// Whether tokens of tenants that nobody has created are refused.
    created_only: bool,
}

#[derive(Default)]
struct RevocationTable {
    tenants: HashMap<TenantId, TenantRevocations>,
    /// The suspended tenants. Each is a customer of the installation, so there are few.
    suspended: HashMap<TenantId, TenantStatus>,
    /// The tenants that super admins have created.
    stored: BTreeMap<TenantId, StoredTenant>,
    count: usize,
    pruned_at: Millis,
}

#[derive(Default)]
struct TenantRevocations {
    by_tag: HashMap<RevocationTag, Entry>,
    /// Tokens that were issued up to this moment are outdated, because the revocations until then
    /// are no longer known one by one.
    outdated_until: Option<Millis>,
}

#[derive(Clone, Copy)]
struct Entry {
    at: Millis,
    permission_version: Option<u32>,
    /// Whether an admin named the tag itself, which is then not known to be one of its tenant.
    is_listed: bool,
}

impl Revocations {
    /// Revocations of a node that follows no topic: none, for tests and tools.
    pub fn none() -> Self {
        let revocations = Self::default();
        revocations.finish_reading();
        revocations
    }

    /// Revocations of a node that serves only tenants that a super admin has created, if
    /// `created_only`.
    pub fn new(created_only: bool) -> Self {
        Self { created_only, ..Self::default() }
    }

    /// Records that the topic has been read to its end. Until then no token is accepted.
    pub fn finish_reading(&self) {
        self.is_read.store(true, Ordering::Release);
    }

    /// Whether the topic has been read to the end that it had at the start of the node.
    pub fn is_read(&self) -> bool {
        self.is_read.load(Ordering::Acquire)
    }

    /// A number that changes with each revocation.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The number of revocations that are held.
    pub fn count(&self) -> usize {
        self.read().table.count
    }

    /// The numbers of tenants by state.
    pub fn tenant_counts(&self) -> [(&'static str, usize); 2] {
        let table = self.read().table;
        let created = table.stored.keys().filter(|tenant| tenant.as_str() != INSTALLATION).count();
        [("created", created), ("suspended", table.suspended.len())]
    }

    /// Adds a revocation that was appended to the topic at `at`. Of two for one target the later
    /// one counts.
    pub fn add(&self, tenant: TenantId, revocation: &Revocation, at: Millis) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.prune(at);
        let tag = revocation.tag(&tenant);
        let is_listed = revocation.target.kind == TargetKind::Listed;
        let entry = Entry { at, permission_version: revocation.permission_version, is_listed };
        let of_tenant = held.tenants.entry(tenant.clone()).or_default();
        let before = of_tenant.by_tag.len();
        let kept = of_tenant.by_tag.entry(tag).or_insert(entry);
        let is_listed = kept.is_listed && is_listed;
        if kept.at <= at {
            *kept = entry;
        }
        kept.is_listed = is_listed;
        let added = of_tenant.by_tag.len() - before;
        let is_full = of_tenant.by_tag.len() > MAX_OF_TENANT;
        held.count += added;
        if is_full {
            held.collapse(&tenant);
        } else if held.count > MAX_OF_NODE {
            held.collapse_largest();
        }
        drop(held);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Records that a tenant was suspended or resumed.
    pub fn set_tenant(&self, tenant: TenantId, status: TenantStatus) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        match status.suspended {
            true => drop(held.suspended.insert(tenant, status)),
            false => drop(held.suspended.remove(&tenant)),
        }
        drop(held);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Records the settings of a tenant.
    pub fn set_settings(&self, tenant: TenantId, stored: StoredTenant) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.stored.insert(tenant, stored);
        drop(held);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// The settings of a tenant that a super admin has created.
    pub fn settings(&self, tenant: &TenantId) -> Option<StoredTenant> {
        self.read().table.stored.get(tenant).cloned()
    }

    /// The tenants after `after` that are created or suspended, at most `limit`.
    pub fn known_tenants(&self, after: Option<&TenantId>, limit: usize) -> Vec<TenantId> {
        let reader = self.read();
        let all: BTreeSet<&TenantId> =
            reader.table.stored.keys().chain(reader.table.suspended.keys()).collect();
        let is_later = |tenant: &&TenantId| {
            after.is_none_or(|after| *tenant > after) && tenant.as_str() != INSTALLATION
        };
        all.into_iter().filter(is_later).take(limit).cloned().collect()
    }

    /// The state of a tenant that is suspended.
    pub fn suspension(&self, tenant: &TenantId) -> Option<TenantStatus> {
        self.read().table.suspended.get(tenant).cloned()
    }

    /// Checks that a tenant is served, for requests whose tenant no token names.
    ///
    /// # Errors
    /// `tenant_suspended` or `tenant_not_served`, or `try_again` until the topic has been read.
    pub fn check_tenant(&self, tenant: &TenantId) -> Result<(), Code> {
        if !self.is_read() {
            return Err(Code::TryAgain);
        }
        self.read().check_tenant(tenant)
    }

    /// Access to the revocations for several checks.
    pub fn read(&self) -> RevocationsReader<'_> {
        let table = self.held.read().unwrap_or_else(PoisonError::into_inner);
        RevocationsReader { table, created_only: self.created_only }
    }

    /// Checks that nothing with this tag was revoked, whenever it was issued, and that its tenant
    /// is not suspended.
    ///
    /// # Errors
    /// `token_revoked`, `tenant_suspended`, or `try_again` until the topic has been read.
    pub fn check_tag(&self, tenant: &TenantId, tag: RevocationTag) -> Result<(), Code> {
        if !self.is_read() {
            return Err(Code::TryAgain);
        }
        let reader = self.read();
        reader.check_tenant(tenant)?;
        let of_tenant = reader.table.tenants.get(tenant);
        let is_revoked = of_tenant.is_some_and(|of_tenant| of_tenant.by_tag.contains_key(&tag));
        if is_revoked { Err(Code::TokenRevoked) } else { Ok(()) }
    }

    /// Checks that a token still counts.
    ///
    /// # Errors
    /// `token_revoked`, `permissions_changed`, `tenant_suspended`, or `try_again` until the topic
    /// has been read.
    pub fn check(&self, claims: &Claims) -> Result<(), Code> {
        if !self.is_read() {
            return Err(Code::TryAgain);
        }
        self.read().check(claims)
    }
}

/// The revocations, locked for reading.
pub struct RevocationsReader<'a> {
    table: RwLockReadGuard<'a, RevocationTable>,
    created_only: bool,
}

impl RevocationsReader<'_> {
    /// Checks that a token still counts.
    ///
    /// # Errors
    /// `token_revoked`, `permissions_changed`, `tenant_suspended` or `tenant_not_served`.
    pub fn check(&self, claims: &Claims) -> Result<(), Code> {
        match self.check_tenant(&claims.tenant) {
            // Somebody must be able to create the first tenant.
            Err(Code::TenantNotServed) if claims.role == Role::SuperAdmin => {}
            checked => checked?,
        }
        if let Some(of_tenant) = self.table.tenants.get(&claims.tenant) {
            of_tenant.check(claims)?;
        }
        // A crossing ends with the first token, which is of another tenant. Crossings are few. A
        // tag that an admin named counts in its own tenant alone, because anybody can compute the
        // tag of a person elsewhere.
        let ends = |of_tenant: &TenantRevocations| of_tenant.ends(claims, |it| !it.is_listed);
        match claims.origin.crossed && self.table.tenants.values().any(ends) {
            true => Err(Code::TokenRevoked),
            false => Ok(()),
        }
    }
}

impl RevocationsReader<'_> {
    fn check_tenant(&self, tenant: &TenantId) -> Result<(), Code> {
        if self.table.suspended.contains_key(tenant) {
            return Err(Code::TenantSuspended);
        }
        let is_served = !self.created_only || self.table.stored.contains_key(tenant);
        is_served.then_some(()).ok_or(Code::TenantNotServed)
    }
}

impl TenantRevocations {
    /// Whether something that the token names was revoked since, by an entry that counts.
    fn ends(&self, claims: &Claims, counts: impl Fn(&Entry) -> bool) -> bool {
        let Origin { issued, tags, .. } = &claims.origin;
        let held = tags.iter().filter_map(|tag| self.by_tag.get(tag));
        held.filter(|entry| counts(entry)).any(|entry| *issued <= entry.at)
    }

    fn check(&self, claims: &Claims) -> Result<(), Code> {
        let origin = &claims.origin;
        if self.ends(claims, |_| true) {
            return Err(Code::TokenRevoked);
        }
        let changed = self.by_tag.get(&origin.permissions).is_some_and(|entry| {
            match (origin.permission_version, entry.permission_version) {
                (Some(held), Some(needed)) => held < needed,
                _ => origin.issued <= entry.at,
            }
        });
        if changed || self.outdated_until.is_some_and(|until| origin.issued <= until) {
            return Err(Code::PermissionsChanged);
        }
        Ok(())
    }
}

impl RevocationTable {
    /// Removes revocations that are older than every token they could refuse, by the time of the
    /// log.
    fn prune(&mut self, now: Millis) {
        if now - self.pruned_at < PRUNE_INTERVAL_MS {
            return;
        }
        self.pruned_at = now;
        let alive = |at: Millis| at + MAX_TOKEN_LIFE_MS >= now;
        self.tenants.retain(|_, of_tenant| {
            of_tenant.by_tag.retain(|_, entry| alive(entry.at));
            !of_tenant.by_tag.is_empty() || of_tenant.outdated_until.is_some_and(alive)
        });
        self.count = self.tenants.values().map(|of_tenant| of_tenant.by_tag.len()).sum();
    }

    fn collapse_largest(&mut self) {
        let largest = self.tenants.iter().max_by_key(|(_, of_tenant)| of_tenant.by_tag.len());
        if let Some((tenant, _)) = largest {
            let tenant = tenant.clone();
            self.collapse(&tenant);
        }
    }

    /// Replaces the older half of a tenant's revocations by their last moment.
    fn collapse(&mut self, tenant: &TenantId) {
        let Some(of_tenant) = self.tenants.get_mut(tenant) else { return };
        let mut moments: Vec<Millis> = of_tenant.by_tag.values().map(|entry| entry.at).collect();
        let middle = moments.len() / 2;
        let (_, until, _) = moments.select_nth_unstable(middle);
        let (until, before) = (*until, of_tenant.by_tag.len());
        of_tenant.by_tag.retain(|_, entry| entry.at > until);
        of_tenant.outdated_until = of_tenant.outdated_until.max(Some(until));
        self.count -= before - of_tenant.by_tag.len();
        tracing::warn!(
            %tenant,
            "a tenant has more revocations than this node holds; its older tokens are outdated"
        );
    }
}

#[cfg(test)]
mod tests;
