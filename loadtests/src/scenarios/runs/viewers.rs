//! Many followers of one run. They add no records to the log: each record is sent to all of them.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::office::{Office, Run};
use crate::{
    breach::Breach,
    client::SwarmClient,
    crowd::FOLDING,
    payloads::Entries,
    report::Report,
    watch::{ChannelKind, ClientWatch, DeliverySample},
};

/// The interval at which the viewers are checked. They record their own times, so this bounds no
/// figure.
const LOOK: Duration = Duration::from_millis(20);

pub struct Viewers {
    run: String,
    followers: Vec<(Arc<SwarmClient>, JoinHandle<()>)>,
}

/// The figures of the viewers.
pub struct ViewerFigures {
    pub run: String,
    pub samples: Vec<DeliverySample>,
    /// Frames of each viewer.
    pub frames: Vec<f64>,
    /// Publications of each viewer.
    pub deliveries: Vec<f64>,
}

impl Viewers {
    /// Starts `count` viewers of the tenant that follow the run.
    #[must_use]
    pub fn open(office: &Office, tenant: usize, run: &str, count: usize) -> Self {
        let hub = office.viewers(tenant);
        let follow = |viewer: usize| {
            let mut watch = ClientWatch::new(viewer, ChannelKind::Keyed);
            watch.entries = (viewer < FOLDING).then(Entries::new);
            office.follow(&hub, run, watch, viewer)
        };
        Self { run: run.to_owned(), followers: (0..count).map(follow).collect() }
    }

    /// Waits until all viewers reach the position of the clerk, and stops them. Records a breach
    /// for each viewer that does not reach it or shows another view.
    pub async fn finish(
        self,
        runs: &[Run],
        patience: Duration,
        report: &mut Report,
    ) -> ViewerFigures {
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
        let mut viewed = ViewerFigures {
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
