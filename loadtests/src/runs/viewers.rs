//! Many followers of one run, who cost the log nothing: each record is sent to all of them.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::office::{Office, Run};
use crate::{
    breach::Breach,
    crowd::FOLDING,
    follower::Follower,
    payloads::Entries,
    report::Report,
    watch::{Kind, Sample, Watch},
};

/// How often it is asked whether all saw the end; they stamp their own times, so it bounds no
/// figure.
const LOOK: Duration = Duration::from_millis(20);

pub struct Viewers {
    run: String,
    followers: Vec<(Arc<Follower>, JoinHandle<()>)>,
}

/// What they saw.
pub struct Viewed {
    pub run: String,
    pub samples: Vec<Sample>,
    /// Of each viewer.
    pub frames: Vec<f64>,
    /// Publications of each viewer.
    pub deliveries: Vec<f64>,
}

impl Viewers {
    /// Lets `count` viewers of the tenant follow the run.
    #[must_use]
    pub fn open(office: &Office, tenant: usize, run: &str, count: usize) -> Self {
        let hub = office.viewers(tenant);
        let follow = |viewer: usize| {
            let mut watch = Watch::new(viewer, Kind::Keyed);
            watch.entries = (viewer < FOLDING).then(Entries::new);
            office.follow(&hub, run, watch, viewer)
        };
        Self { run: run.to_owned(), followers: (0..count).map(follow).collect() }
    }

    /// Waits until all are where the clerk who started the run is, and ends them; who is not, or
    /// shows something else than that clerk, is noted.
    pub async fn finish(self, runs: &[Run], patience: Duration, report: &mut Report) -> Viewed {
        let clerk = runs.iter().find(|run| run.run == self.run);
        let (end, shown) = clerk.map_or((0, None), |run| {
            let watch = run.follower.watch();
            (watch.offset(), watch.entries.clone())
        });
        let until = Instant::now() + patience;
        while self.followers.iter().any(|(viewer, _)| viewer.watch().offset() < end)
            && Instant::now() < until
        {
            sleep(LOOK).await;
        }
        let mut viewed = Viewed {
            run: self.run,
            samples: Vec::new(),
            frames: Vec::new(),
            deliveries: Vec::new(),
        };
        for (viewer, task) in &self.followers {
            task.abort();
            let mut watch = viewer.watch();
            if watch.offset() < end {
                watch.note(Breach::NeverArrived, "a viewer did not see the end of the run");
            } else if watch.entries.is_some() && watch.entries != shown {
                watch.note(Breach::WrongView, "a viewer is shown something else than the clerk");
            }
            viewed.frames.push(watch.frames as f64);
            viewed.deliveries.push(watch.samples.len() as f64);
            viewed.samples.append(&mut watch.samples);
            report.breaches.merge(std::mem::take(&mut watch.breaches));
        }
        viewed
    }
}
