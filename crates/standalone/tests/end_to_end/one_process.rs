//! Every scenario on a fresh clinic in one process.

use std::{sync::Arc, time::Duration};

use claims::tables::Tables;
use gateway::{access::auth::DevelopmentKey, limits::settings::LimitSettings};
use standalone::one_process::{OneProcess, Settings};
use testing::claims_files::tables::reference_tables;

use crate::{
    scenarios::{self, for_each_scenario},
    world::World,
};

const SECRET: &str = "words of this test alone";

/// Runs `scenario` on a fresh clinic and stops it afterwards.
pub async fn on_one_process(scenario: impl AsyncFnOnce(&World)) {
    let [codes, establishments] = reference_tables();
    let settings = Settings {
        listen: ([127, 0, 0, 1], 0).into(),
        tls: None,
        shards: 2,
        key: DevelopmentKey::from_words(SECRET),
        drain: Duration::ZERO,
        // Scenarios poll faster than any client.
        limits: LimitSettings::off(),
        push_services: schemas::push::PushServices::default(),
        webhook_networks: Vec::new(),
        tables: Arc::new(Tables::read(&codes[..], &establishments[..]).unwrap()),
    };
    let clinic = OneProcess::start(settings).unwrap();
    let world = World::new(vec![format!("http://{}", clinic.address())], SECRET);
    world.ready().await;
    scenario(&world).await;
    clinic.shut_down().await;
}

macro_rules! tests {
    ($($name:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            on_one_process(async |world| scenarios::$name(world).await).await;
        }
    )*};
}
for_each_scenario!(tests);
