//! `verify`: journal = read models = Redis, without changing anything.
//!
//! Each aggregate is compared at one moment of the database. Redis follows the database, so each of
//! its views is compared once both have the same position.

use std::{
    cell::Cell,
    collections::BTreeMap,
    io::{self, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use schemas::{ids::Aggregate, view::Position};
use serde::Serialize;
use servers::file_store::{self, FileStoreError, Probe};

use super::{
    archive::{Archive, ArchiveError},
    config::{CompareArgs, ReadArchiveArgs, RebuildArgs},
    postgres::{
        ComparedAggregate, ConnectionSettings, PoolSettings, PostgresError, PostgresJournal,
        PostgresVerifier, RebuildError, RebuiltLocation, check_roles,
    },
    redis::{NotReadFromRedis, RedisReader, RedisView, has_line_of},
};
use crate::clock::wall_clock;
use crate::verify::{AggregateSnapshot, Compared, Difference, How, has_entries_of};

/// How often a view is read again until Redis has the position of the database. A step is in Redis
/// some milliseconds after its commit.
const TRIES: u32 = 40;
/// The pause between two of them.
const TRY_PAUSE: Duration = Duration::from_millis(50);
/// How long a failed request to the archive is repeated.
const ARCHIVE_RETRY: Duration = Duration::from_secs(10);
/// The pause between two lines about the progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// PostgreSQL failed, or holds what cannot be read.
    #[error("postgres cannot be read: check --postgres or CLINICWIRE_POSTGRES")]
    Postgres(#[from] PostgresError),
    /// The login may do more than it should, or less.
    #[error("postgres cannot be used: check --postgres or CLINICWIRE_POSTGRES")]
    Login(#[from] servers::postgres::UnsafeSession),
    /// Redis cannot be used.
    #[error("redis cannot be used: check --redis or CLINICWIRE_REDIS")]
    Redis(#[from] servers::redis::RedisUnusable),
    /// Redis did not answer.
    #[error("redis cannot be read: check --redis or CLINICWIRE_REDIS")]
    View(#[from] NotReadFromRedis),
    /// The archive cannot be used.
    #[error("the archive cannot be used: check --archive or CLINICWIRE_ARCHIVE")]
    Store(#[from] FileStoreError),
    /// The archive cannot be read.
    #[error("the archive cannot be read: check --archive or CLINICWIRE_ARCHIVE")]
    Archive(#[from] ArchiveError),
    /// Only the archive has the first steps of an aggregate.
    #[error("the first days of the journal of {0} are in the archive alone: give --archive")]
    NoArchive(Aggregate),
    /// No processor of the named group has claimed the partition of the location.
    #[error("the group has processed nothing there: check --group or CLINICWIRE_GROUP")]
    UnknownGroup,
    /// Nothing is rebuilt from a journal with holes.
    #[error("versions are missing in the journal: nothing was rebuilt")]
    Holes,
    /// The output is closed.
    #[error("the output cannot be written")]
    Output(#[from] io::Error),
}

impl From<RebuildError> for VerifyError {
    fn from(error: RebuildError) -> Self {
        match error {
            RebuildError::Postgres(error) => error.into(),
            RebuildError::UnknownGroup => Self::UnknownGroup,
        }
    }
}

/// The line of one aggregate.
#[derive(Serialize)]
struct Report<'a> {
    aggregate: &'a str,
    epoch: String,
    version: u64,
    versions: u64,
    tickets: u64,
    appointments: u64,
    views: usize,
    /// Views that a repair will copy to Redis.
    pending: u64,
    differences: &'a [Difference],
}

/// The last line.
#[derive(Default, Serialize)]
struct Summary {
    aggregates: u64,
    versions: u64,
    views: u64,
    pending: u64,
    differences: u64,
}

/// Verifies the aggregates in scope, and prints a line for each. Returns whether all are equal.
///
/// # Errors
/// [`VerifyError`]
pub async fn run(settings: CompareArgs) -> Result<bool, VerifyError> {
    check_roles(&settings.connection(), settings.postgres.login_policy()).await?;
    let mut run = Verification {
        store: PostgresVerifier::connect(&settings.connection()).await?,
        redis: RedisReader::connect(&settings.redis.redis).await?,
        archive: archive(&settings.archive, settings.connection()).await?,
        is_json: settings.json,
        summary: Summary::default(),
        progress: Progress::new(),
    };
    let mut after = None;
    loop {
        let page = run.store.aggregates(&settings.scope(), after.as_ref()).await?;
        for aggregate in &page {
            run.verify(aggregate).await?;
        }
        match page.into_iter().last() {
            Some(last) => after = Some(last),
            None => break,
        }
    }
    run.end()
}

/// Rebuilds one location, and prints what differed. Returns whether there is such a location.
///
/// # Errors
/// [`VerifyError`]. Nothing is changed then.
pub async fn rebuild(settings: RebuildArgs) -> Result<bool, VerifyError> {
    check_roles(&settings.connection(), settings.postgres.login_policy()).await?;
    let mut store = PostgresVerifier::connect(&settings.connection()).await?;
    let archive = archive(&settings.archive, settings.connection()).await?;
    let (aggregate, now) = (settings.aggregate(), (wall_clock())());
    let snapshot = first_state(&store, archive.as_ref(), &aggregate).await?;
    let (group, is_dry) = (&settings.group, settings.dry_run);
    let rebuilt = store.rebuild(&aggregate, snapshot, group, now, is_dry).await?;
    let out = &mut io::stdout();
    let Some(RebuiltLocation { compared, position }) = rebuilt else {
        writeln!(out, "{aggregate} does not exist")?;
        return Ok(false);
    };
    let found = match compared.differences.is_empty() {
        true => "equal".to_owned(),
        false => counts(&compared.differences),
    };
    writeln!(out, "{aggregate}  {} versions  before: {found}", compared.versions)?;
    for difference in &compared.differences {
        writeln!(out, "  {difference}")?;
    }
    if let Some(Position { epoch, version }) = position {
        tracing::info!(%aggregate, epoch, version, "a location was rebuilt");
        writeln!(out, "rebuilt: epoch {epoch} version {version}")?;
    } else if !is_dry {
        return Err(VerifyError::Holes);
    }
    Ok(true)
}

/// The archive, if the settings have one.
async fn archive(
    settings: &ReadArchiveArgs,
    connection: ConnectionSettings,
) -> Result<Option<Archive>, VerifyError> {
    let Some(url) = &settings.archive else { return Ok(None) };
    let store = file_store::open(url, ARCHIVE_RETRY, Probe::Read).await?;
    let journal = PostgresJournal::new(&PoolSettings { connection, size: 1 })?;
    Ok(Some(Archive::new(store, journal, Arc::default())))
}

/// The snapshot with which the fold of an aggregate begins, if the journal lacks its first steps.
async fn first_state(
    store: &PostgresVerifier,
    archive: Option<&Archive>,
    aggregate: &Aggregate,
) -> Result<Option<AggregateSnapshot>, VerifyError> {
    if !store.begins_in_archive(aggregate).await? {
        return Ok(None);
    }
    let archive = archive.ok_or_else(|| VerifyError::NoArchive(aggregate.clone()))?;
    Ok(archive.snapshot(aggregate).await?)
}

struct Verification {
    store: PostgresVerifier,
    redis: RedisReader,
    archive: Option<Archive>,
    is_json: bool,
    summary: Summary,
    progress: Progress,
}

impl Verification {
    async fn verify(&mut self, aggregate: &Aggregate) -> Result<(), VerifyError> {
        let snapshot = first_state(&self.store, self.archive.as_ref(), aggregate).await?;
        let progress = |versions| self.progress.read(versions);
        let compared = self.store.compare(aggregate, snapshot, progress).await?;
        let Some(mut compared) = compared else { return Ok(()) };
        let mut pending = 0;
        for name in &compared.views {
            match self.compare_with_redis(aggregate, name).await? {
                RedisResult::Equal => {}
                RedisResult::Pending => pending += 1,
                RedisResult::Differs(difference) => compared.differences.push(difference),
            }
            self.progress.tell();
        }
        compared.differences.sort();
        self.print(&compared, pending)?;
        let summary = &mut self.summary;
        summary.aggregates += 1;
        summary.versions += compared.versions;
        summary.views += compared.views.len() as u64;
        summary.pending += pending;
        summary.differences += compared.differences.len() as u64;
        self.progress.done();
        Ok(())
    }

    /// Compares a view in Redis with the database, once both have the same position.
    async fn compare_with_redis(
        &mut self,
        aggregate: &Aggregate,
        name: &str,
    ) -> Result<RedisResult, VerifyError> {
        let differs =
            |what, how| Ok(RedisResult::Differs(Difference::new(what, how, name.to_owned())));
        let mut how = How::Missing;
        for _ in 0..TRIES {
            let held = self.redis.read(aggregate, name).await?;
            // Read after Redis, which follows: a view that is newer there was read too early here.
            let Some(stored) = self.store.view(aggregate, name).await? else {
                return Ok(RedisResult::Equal); // no longer kept
            };
            match &held {
                RedisView { is_unreadable: true, .. } => how = How::Unreadable,
                RedisView { view: None, .. } => how = How::Missing,
                RedisView { view: Some(view), .. } if view.position != stored.position => {
                    how = How::Position;
                }
                RedisView { view: Some(view), line, .. } => {
                    return match has_entries_of(view, &stored) {
                        false => differs(Compared::RedisView, How::Differs),
                        true if !has_line_of(line, name, &stored) => {
                            differs(Compared::RedisLine, How::Differs)
                        }
                        true => Ok(RedisResult::Equal),
                    };
                }
            }
            // A repair copies a marked view; until then, gateways read it from the database.
            if self.store.is_marked(aggregate, name).await? {
                return Ok(RedisResult::Pending);
            }
            tokio::time::sleep(TRY_PAUSE).await;
        }
        differs(Compared::RedisView, how)
    }

    fn print(&self, compared: &ComparedAggregate, pending: u64) -> io::Result<()> {
        let ComparedAggregate { aggregate, position, differences, .. } = compared;
        let out = &mut io::stdout().lock();
        if self.is_json {
            let report = Report {
                aggregate: aggregate.as_str(),
                epoch: position.epoch.to_string(),
                version: position.version,
                versions: compared.versions,
                tickets: compared.tickets,
                appointments: compared.appointments,
                views: compared.views.len(),
                pending,
                differences,
            };
            return writeln!(out, "{}", serde_json::to_string(&report)?);
        }
        let kinds = match differences.is_empty() {
            true => "equal".to_owned(),
            false => format!("DIFFERENT: {}", counts(differences)),
        };
        let copies = match pending {
            0 => String::new(),
            _ => format!(", {pending} wait for their copy to redis"),
        };
        let ComparedAggregate { versions, tickets, appointments, views, .. } = compared;
        let (epoch, version, views) = (position.epoch, position.version, views.len());
        writeln!(out, "{aggregate}  epoch {epoch} version {version}  {kinds}")?;
        writeln!(
            out,
            "  {versions} versions, {tickets} tickets, {appointments} appointments, {views} views\
             {copies}"
        )?;
        for difference in differences {
            writeln!(out, "  {difference}")?;
        }
        Ok(())
    }

    fn end(self) -> Result<bool, VerifyError> {
        let out = &mut io::stdout().lock();
        let Summary { aggregates, versions, views, pending, differences } = self.summary;
        match self.is_json {
            true => {
                writeln!(out, "{}", serde_json::to_string(&self.summary).map_err(io::Error::from)?)?
            }
            false => writeln!(
                out,
                "{aggregates} aggregates, {versions} versions, {views} views: {differences} \
                 differences, {pending} views wait for their copy"
            )?,
        }
        Ok(differences == 0)
    }
}

enum RedisResult {
    Equal,
    /// A repair will copy the view.
    Pending,
    Differs(Difference),
}

/// How many differences there are of each kind.
fn counts(differences: &[Difference]) -> String {
    let mut counts: BTreeMap<Compared, usize> = BTreeMap::new();
    differences.iter().for_each(|difference| *counts.entry(difference.what).or_default() += 1);
    let kind = |what: Compared| match what {
        Compared::Journal => "journal",
        Compared::Aggregate => "aggregate",
        Compared::Ticket => "tickets",
        Compared::Appointment => "appointments",
        Compared::View => "views",
        Compared::RedisView => "views in redis",
        Compared::RedisLine => "lines in redis",
    };
    let counts: Vec<String> =
        counts.into_iter().map(|(what, count)| format!("{count} {}", kind(what))).collect();
    counts.join(", ")
}

/// Lines on the error output, so that nobody takes a long verification for one that hangs.
struct Progress {
    aggregates: Cell<u64>,
    versions: Cell<u64>,
    told: Cell<Instant>,
}

impl Progress {
    fn new() -> Self {
        Self { aggregates: Cell::new(0), versions: Cell::new(0), told: Cell::new(Instant::now()) }
    }

    fn read(&self, versions: u64) {
        self.versions.set(self.versions.get() + versions);
        self.tell();
    }

    fn done(&self) {
        self.aggregates.set(self.aggregates.get() + 1);
        self.tell();
    }

    fn tell(&self) {
        if self.told.get().elapsed() >= PROGRESS_EVERY {
            self.told.set(Instant::now());
            let (aggregates, versions) = (self.aggregates.get(), self.versions.get());
            // The reader of the error output may be gone.
            let _ = writeln!(io::stderr(), "{aggregates} aggregates, {versions} versions so far");
        }
    }
}
