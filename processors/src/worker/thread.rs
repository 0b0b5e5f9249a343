//! The thread of one check.

use std::error::Error;

use tokio::task::spawn_blocking;

/// Runs `work` on a new thread with the lowest priority. A thread that has lowered its priority may
/// not be able to raise it again, so it is not a thread of the runtime. One thread of the runtime
/// waits for it, so that the runtime knows of the work.
///
/// # Errors
/// When `work` panics, or no thread can be started.
pub(super) async fn run_on_idle_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Box<dyn Error + Send + Sync>> {
    let run = move || {
        lower_priority();
        work()
    };
    let done =
        move || std::thread::Builder::new().name("check".to_owned()).spawn(run).map(|it| it.join());
    spawn_blocking(done).await??.map_err(|_| "the thread panicked".into())
}

/// Lowers the priority of this thread. The next position of a waiting patient matters more than a
/// file, so the thread gets only the CPU time that nothing else wants, and gives it back at once. A
/// machine that is never idle checks slowly, but the lease is still extended. Only Linux has
/// scheduling policies per thread.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    {
        use thread_priority::{
            NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
            set_thread_priority_and_policy, thread_native_id,
        };
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        if let Err(error) =
            set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle)
        {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "lowering the priority of a check failed"
            );
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadSchedulePolicy, thread_native_id,
        thread_schedule_policy_param,
    };

    use super::run_on_idle_thread;

    #[tokio::test]
    async fn check_runs_with_idle_priority() {
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        let policy = || thread_schedule_policy_param(thread_native_id()).map(|(policy, _)| policy);
        assert_eq!(run_on_idle_thread(policy).await.expect("it does not panic"), Ok(idle));
        assert_ne!(policy(), Ok(idle), "and other threads keep their priority");
    }

    #[tokio::test]
    async fn panicking_check_is_an_error() {
        assert!(run_on_idle_thread(|| panic!("on purpose")).await.is_err());
    }
}
