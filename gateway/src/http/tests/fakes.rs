//! The backends of a node in memory.

use super::*;

/// The answer of the fake clinic to a command.
#[derive(Clone)]
pub(super) enum Decision {
    Applied(CommandResult),
    Moving(CommandResult),
    Refused(Code),
    /// No outcome within the time that the node waits.
    Nothing,
}

/// The backends of one node in memory, and a fake clinic that answers every command with
/// `decision`.
pub(super) struct FakeBackends {
    pub(super) decision: Mutex<Decision>,
    pub(super) appended: Mutex<Vec<CommandRecord>>,
    pub(super) answered: mpsc::UnboundedSender<(NamedCommand, CommandOutcome)>,
    /// The commands that the authority knows.
    pub(super) recorded: Mutex<HashMap<CommandIdentity, RecordedOutcome>>,
    pub(super) views: Mutex<HashMap<String, View>>,
    /// Runs of the tenant `demo`, newest first. `findings` holds the findings of completed runs, in
    /// order.
    pub(super) runs: Mutex<Vec<ListedRun>>,
    pub(super) findings: Mutex<HashMap<RunId, Vec<(FindingPlace, Finding)>>>,
    /// The entries of the audit, each with its tenant.
    pub(super) audited: Mutex<Vec<(String, AuditEntry)>>,
    /// The stored audit of the tenant `demo`, oldest first.
    pub(super) stored_audit: Mutex<Vec<AuditRow>>,
    /// Whether the log refuses records of the audit.
    pub(super) audit_fails: AtomicBool,
    pub(super) keys: Mutex<HashMap<String, String>>,
    /// The spent quotas of all nodes.
    pub(super) spent: Mutex<HashMap<String, Bucket>>,
    pub(super) revoked: Mutex<Vec<(TenantId, Revocation)>>,
    pub(super) tenants: Mutex<Vec<(TenantId, TenantStatus)>>,
    /// Sessions of `subject-1` in the tenant `demo` that each node finds, as JSON.
    pub(super) sessions: Mutex<Vec<Value>>,
}

impl Log for FakeBackends {
    fn append(
        &self,
        topic: &'static str,
        record: WireRecord,
    ) -> BoxFuture<'_, Result<(), NotAppended>> {
        if topic == ACCESS_TOPIC {
            match AccessRecord::from_wire(&record).unwrap() {
                AccessRecord::Revoked(tenant, revocation) => {
                    self.revoked.lock().unwrap().push((tenant, revocation));
                }
                AccessRecord::Asked(tenant, asked) => self.list_sessions(&tenant, &asked),
                AccessRecord::Settings(..) => panic!("processors write it"),
                AccessRecord::Tenant(tenant, status) => {
                    self.tenants.lock().unwrap().push((tenant, status));
                }
            }
            return Box::pin(async { Ok(()) });
        }
        if topic == AUDIT_TOPIC {
            if self.audit_fails.load(Ordering::Relaxed) {
                return Box::pin(async { Err(NotAppended("no broker".into())) });
            }
            let AuditRecord { entries } = serde_json::from_slice(&record.value).unwrap();
            let entries = entries.into_iter().map(|entry| (record.key.clone(), entry));
            self.audited.lock().unwrap().extend(entries);
            return Box::pin(async { Ok(()) });
        }
        let record = CommandRecord::from_wire(&record).unwrap_or_else(|code| panic!("{code}"));
        assert_eq!(topic, topic_for(record.aggregate.kind()));
        let verdict = match self.decision.lock().unwrap().clone() {
            Decision::Applied(result) => Some(Verdict::Applied { epoch: 7, version: 17, result }),
            Decision::Moving(result) => Some(Verdict::Moving { epoch: 7, version: 17, result }),
            Decision::Refused(code) => Some(Verdict::Refused { code }),
            Decision::Nothing => None,
        };
        if let Some(verdict) = verdict {
            let named =
                NamedCommand { identity: record.identity(), fingerprint: record.fingerprint };
            let outcome = CommandOutcome { command: record.id.clone(), at: 1, verdict };
            self.answered.send((named, outcome)).unwrap();
        }
        self.appended.lock().unwrap().push(record);
        Box::pin(async { Ok(()) })
    }

    fn follow(&self) -> mpsc::Receiver<FeedItem> {
        mpsc::channel(1).1
    }

    fn follow_access(&self) -> mpsc::Receiver<FeedItem> {
        let (feed, items) = mpsc::channel(1);
        feed.try_send(FeedItem::CaughtUp).unwrap();
        items
    }
}

impl FakeBackends {
    /// A view as both the store and the authority have it.
    fn held(&self, aggregate: &Aggregate, view: &str) -> Option<View> {
        let own = aggregate.tenant().as_str() == "demo";
        self.views.lock().unwrap().get(view).filter(|_| own).cloned()
    }
}

impl Snapshots for FakeBackends {
    fn probe(&self) -> BoxFuture<'_, Result<(), NotRead>> {
        Box::pin(async { Ok(()) })
    }

    fn load<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        view: &'a str,
    ) -> BoxFuture<'a, Result<Snapshot, NotRead>> {
        let held = self.held(aggregate, view);
        Box::pin(async { Ok(held.map_or(Snapshot::Absent, Snapshot::Held)) })
    }
}

impl Queries for FakeBackends {
    fn lagging(&self, _: u32) -> BoxFuture<'_, Result<Vec<Aggregate>, NotRead>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn view<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        view: &'a str,
    ) -> BoxFuture<'a, Result<Option<View>, NotRead>> {
        let held = self.held(aggregate, view);
        Box::pin(async { Ok(held) })
    }

    fn outcome<'a>(
        &'a self,
        command: &'a CommandIdentity,
    ) -> BoxFuture<'a, Result<Option<RecordedOutcome>, NotRead>> {
        let recorded = self.recorded.lock().unwrap().get(command).cloned();
        Box::pin(async move { Ok(recorded) })
    }

    fn runs<'a>(
        &'a self,
        tenant: &'a TenantId,
        asked: &'a RunsQuery,
    ) -> BoxFuture<'a, Result<Vec<ListedRun>, NotRead>> {
        let mut runs = self.runs_of(tenant);
        runs.retain(|listed| {
            asked.state.is_none_or(|state| listed.head.state == state)
                && asked.owner.is_none_or(|owner| listed.run.owner() == owner)
                && asked
                    .after
                    .as_ref()
                    .is_none_or(|(at, run)| (listed.head.requested_at, &listed.run) < (*at, run))
        });
        runs.truncate(asked.limit as usize);
        Box::pin(async { Ok(runs) })
    }

    fn findings<'a>(
        &'a self,
        tenant: &'a TenantId,
        run: &'a RunId,
        asked: &'a FindingsQuery,
    ) -> BoxFuture<'a, Result<Option<FindingsPage>, NotRead>> {
        let known = self.runs_of(tenant).iter().any(|listed| listed.run == *run);
        let mut found = self.findings.lock().unwrap().get(run).cloned().unwrap_or_default();
        found.retain(|(place, finding)| {
            (asked.severities.is_empty() || asked.severities.contains(&finding.severity))
                && asked.rule.as_ref().is_none_or(|rule| finding.rule == *rule)
                && asked.after.is_none_or(|after| *place > after)
        });
        found.truncate(asked.limit as usize);
        Box::pin(async move { Ok(known.then_some(found)) })
    }

    fn has_tenant<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<bool, NotRead>> {
        Box::pin(async { Ok(tenant.as_str() != "nowhere") })
    }

    /// The tenant has two locations beside the one that is asked about.
    fn other_locations<'a>(
        &'a self,
        _: &'a TenantId,
        location: &'a LocationId,
    ) -> BoxFuture<'a, Result<Option<u32>, NotRead>> {
        Box::pin(async { Ok((location.as_str() != "riverside").then_some(2)) })
    }

    fn audit<'a>(
        &'a self,
        tenant: &'a TenantId,
        asked: &'a AuditQuery,
    ) -> BoxFuture<'a, Result<Vec<AuditRow>, NotRead>> {
        let own = tenant.as_str() == "demo";
        let stored = self.stored_audit.lock().unwrap();
        let selected = stored.iter().rev().filter(|row| own && asked.selects(row));
        let rows = selected.take(asked.limit as usize).cloned().collect();
        Box::pin(async { Ok(rows) })
    }

    fn webhook_queues<'a>(
        &'a self,
        _: &'a TenantId,
    ) -> BoxFuture<'a, Result<Vec<WebhookQueue>, NotRead>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn webhook_deliveries<'a>(
        &'a self,
        _: &'a TenantId,
        _: &'a DeliveriesQuery,
    ) -> BoxFuture<'a, Result<Vec<ListedDelivery>, NotRead>> {
        Box::pin(async { Ok(Vec::new()) })
    }
    crate::backends::queries::fake::no_history!();
}

impl FakeBackends {
    /// Answers as the nodes of the installation would.
    pub(super) fn list_sessions(&self, tenant: &TenantId, asked: &SessionsQuestion) {
        let is_known = tenant.as_str() == "demo" && asked.subject == "subject-1";
        for (place, answer) in self.sessions.lock().unwrap().iter().enumerate() {
            let answer = if is_known { answer.to_string() } else { "[]".to_owned() };
            let key = format!("sessions:{}:{place}", asked.question);
            self.keys.lock().unwrap().insert(key, answer);
        }
    }

    pub(super) fn runs_of(&self, tenant: &TenantId) -> Vec<ListedRun> {
        let own = tenant.as_str() == "demo";
        self.runs.lock().unwrap().iter().filter(|_| own).cloned().collect()
    }
}

impl ShortKeys for FakeBackends {
    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        _: Duration,
    ) -> BoxFuture<'a, Result<(), KeysUnavailable>> {
        self.keys.lock().unwrap().insert(key.to_owned(), value.to_owned());
        Box::pin(async { Ok(()) })
    }

    fn claim<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        _: Duration,
    ) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>> {
        let mut keys = self.keys.lock().unwrap();
        let held = keys.get(key).cloned();
        if held.is_none() {
            keys.insert(key.to_owned(), value.to_owned());
        }
        Box::pin(async { Ok(held) })
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>> {
        let value = self.keys.lock().unwrap().get(key).cloned();
        Box::pin(async {
            // A server's answer takes a moment, in which other requests go on.
            tokio::task::yield_now().await;
            Ok(value)
        })
    }

    fn take<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>> {
        let value = self.keys.lock().unwrap().remove(key);
        Box::pin(async { Ok(value) })
    }

    /// The clock does not move here, so that a quota is never restored.
    fn spend<'a>(
        &'a self,
        key: &'a str,
        quota: Quota,
    ) -> BoxFuture<'a, Result<Spent, KeysUnavailable>> {
        let mut spent = self.spent.lock().unwrap();
        let answer = spent.entry(key.to_owned()).or_default().spend(quota, Moment::default());
        Box::pin(async move { Ok(answer) })
    }
}
